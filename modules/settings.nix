# The one file between Nix and Python: /etc/hyperhive/config.json. Keys are those of python/hyperhive/config.py.
{
  config,
  lib,
  pkgs,
  hyperhive,
  ...
}:
let
  inherit (lib) mapAttrs;
  cfg = config.services.hyperhive;
  agents = lib.filterAttrs (_: agent: agent.enable) cfg.agents;
  storePath = system: "${system.config.system.build.toplevel}";

  renderAgent = name: agent: {
    inherit (agent)
      model
      prompt
      mcpServers
      tools
      allowedRecipients
      environment
      credentials
      maxTurnMinutes
      limits
      budget
      schedules
      autoStart
      mutable
      extraNspawnFlags
      bindMounts
      ;
    system = if cfg.systems.own ? ${name} then storePath cfg.systems.own.${name} else null;
    # A function cannot be handed over: who has one takes no proposals, which would be built without it.
    configFile =
      if agent.configFile == null || agent.config != null then null else "${agent.configFile}";
  };

  fromOptions = {
    version = 1;
    runtime = "nixos-container";
    runtimeDir = "/run/hyperhive";
    inherit (cfg)
      stateDir
      timeZone
      group
      database
      dashboard
      operator
      metrics
      notifications
      budgets
      manager
      approvals
      defaults
      ;
    systems.default = storePath cfg.systems.default;
    builder = {
      inherit (cfg.builder) memoryMax timeout;
      inherit (hyperhive.sources) hyperhive nixpkgsUnstable;
      # The host's own release, where it is a flake and so known as a source.
      nixpkgs =
        if config.nixpkgs.flake.source == null then hyperhive.sources.nixpkgs else config.nixpkgs.flake.source;
    };
    agents = mapAttrs renderAgent agents;
  };

  raw = (pkgs.formats.json { }).generate "hyperhive-config.json" cfg.renderedSettings;
in
{
  config = lib.mkIf cfg.enable {
    services.hyperhive = {
      renderedSettings = lib.recursiveUpdate fromOptions cfg.settings;

      # A mistake in `settings` fails the rebuild, before anything that runs is touched.
      settingsFile = pkgs.runCommand "hyperhive-config-checked.json" { nativeBuildInputs = [ cfg.package ]; } ''
        hyperhive check-config ${raw}
        cp ${raw} "$out"
      '';
    };

    environment.etc."hyperhive/config.json".source = cfg.settingsFile;
  };
}
