# The container side: what every agent's system is made of.
#
# Nothing here is about one agent. Its name, model, prompt and limits come at boot from its socket, so that all agents
# without a `config` of their own run one and the same system.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkDefault
    mkOption
    mkPackageOption
    types
    ;
  inherit (import ./lib { inherit lib; }) isClaudeCode;
  cfg = config.hyperhive;

  harness = {
    HIVE_SOCKET = "/run/hive/hive.sock";
    HIVE_STATE = "/state";
    HIVE_SHARED = "/shared";
    # There in the manager's container alone.
    HIVE_PROPOSED = "/agents";
    HIVE_APPLIED = "/applied";
    # Else .claude.json lies beside the bound directory and goes with the container.
    CLAUDE_CONFIG_DIR = "/root/.claude";
    LANG = "C.UTF-8";
    # systemd sets neither for a unit without User=.
    HOME = "/root";
    SHELL = "/run/current-system/sw/bin/bash";
  };
in
{
  key = "hyperhive-harness-base";

  options.hyperhive = {
    package = mkPackageOption pkgs "hyperhive" { };

    tools = mkOption {
      type = types.listOf types.package;
      default = [
        pkgs.claude-code
        pkgs.git
        pkgs.procps
        pkgs.ripgrep
      ];
      defaultText = lib.literalExpression "[ pkgs.claude-code pkgs.git pkgs.procps pkgs.ripgrep ]";
      description = ''
        Programs that every agent has, in its shell and for the harness. For more,
        use {option}`environment.systemPackages` as on any NixOS.
      '';
    };
  };

  config = {
    # A system for nspawn has to say so since 25.11; `nixos-container update` refuses it otherwise.
    boot.isNspawnContainer = true;

    # A container evaluates its own nixpkgs, which the host's `allowUnfree` does not reach.
    nixpkgs.config.allowUnfreePredicate = isClaudeCode;

    networking = {
      # Taken from nspawn, which sets the machine's name: one system, many names.
      hostName = "";
      # The network is the host's, and so is all that configures it.
      firewall.enable = false;
      useDHCP = false;
      dhcpcd.enable = false;
    };
    services.openssh.enable = mkDefault false;

    # The journal is read from the host, but it lies in the container and an agent decides what is written to it.
    services.journald.extraConfig = ''
      SystemMaxUse=64M
      SystemMaxFileSize=8M
      RuntimeMaxUse=16M
    '';

    system.stateVersion = mkDefault "26.05";

    # Nobody reads manuals in there, and building them would be most of the work of a small `config`.
    documentation.enable = mkDefault false;
    services.logrotate.enable = mkDefault false;
    systemd.oomd.enable = mkDefault false;

    environment.systemPackages = [ cfg.package ] ++ cfg.tools;
    # For somebody who logs the agent in from a root shell.
    environment.variables = { inherit (harness) CLAUDE_CONFIG_DIR; };

    systemd.services.hyperhive-harness = {
      description = "Harness of a hyperhive agent";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];

      # A deploy must not end a turn: the hive restarts the harness when its agent is idle.
      restartIfChanged = false;

      # mkOrder, not mkAfter, to come behind the defaults, too: what an agent's `config` installs is there for its Bash
      # tool, but stands in for none of the programs that the harness was built with.
      path = lib.mkMerge [
        cfg.tools
        (lib.mkOrder 3000 [ "/run/current-system/sw" ])
      ];

      environment = harness;

      startLimitIntervalSec = 0;
      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} harness";
        # Everything that nspawn was given with --load-credential; there may be none.
        ImportCredential = "*";
        # The harness ends when the hive asks it to restart, too.
        Restart = "always";
        RestartSec = 1;
        # A running turn gets a few seconds to go back to the inbox; then claude and its tools are killed with it.
        KillMode = "mixed";
        TimeoutStopSec = 20;
        # The kernel ends a greedy tool; the agent reads that in the tool's result and goes on.
        OOMPolicy = "continue";
        # The container's unit on the host has the limit.
        TasksMax = "infinity";
      };
    };
  };
}
