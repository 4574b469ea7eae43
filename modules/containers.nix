# The agents' systems. They are evaluated here, with the host's own nixpkgs source; the hive gets store paths.
{
  config,
  lib,
  pkgs,
  hyperhive,
  ...
}:
let
  cfg = config.services.hyperhive;

  evaluate =
    prefix: modules:
    hyperhive.agentSystem {
      inherit prefix;
      nixpkgs = pkgs.path;
      hostPlatform = pkgs.stdenv.hostPlatform.system;
      modules = [ { hyperhive.package = lib.mkDefault cfg.package; } ] ++ modules;
    };

  own =
    name: agent:
    evaluate [ "services" "hyperhive" "agents" name "config" ] (
      lib.optional (agent.config != null) agent.config
      ++ lib.optional (agent.configFile != null) agent.configFile
    );

  hasOwn = _: agent: agent.enable && (agent.config != null || agent.configFile != null);
in
{
  config = lib.mkIf cfg.enable {
    # Since 25.11 its default is "some container is declared in configuration.nix". The hive's are not, and without it
    # there is no container@.service.
    boot.enableContainers = true;

    services.hyperhive.systems = {
      # Once for all agents without modules of their own: one more of those is data, no evaluation.
      default = evaluate [ ] [ ];
      own = lib.mapAttrs own (lib.filterAttrs hasOwn cfg.agents);
    };
  };
}
