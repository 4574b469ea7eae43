# hyperhive.service: the daemon.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf;
  cfg = config.services.hyperhive;
  inVarLib = lib.hasPrefix "/var/lib/" cfg.stateDir;

  # Where nixos-container, nix-env and the daemon itself write; all else is read-only to them.
  writable = [
    "/etc/nixos-containers"
    "/nix/var/nix/gcroots"
    "/nix/var/nix/profiles/per-container"
    "/run/lock"
    "/run/systemd/system"
    "/var/lib/hyperhive-builder"
    "/var/lib/nixos-containers"
  ]
  ++ lib.optional (!inVarLib) cfg.stateDir;

  # The daemon is root on the host and starts programs that act as root. Each line that is missing from what
  # `systemd-analyze security` would like, or weaker, says which of them needs it.
  hardening = {
    CapabilityBoundingSet = [
      # files of the agents: their owners, modes and locks
      "CAP_CHOWN"
      "CAP_DAC_OVERRIDE"
      "CAP_DAC_READ_SEARCH"
      "CAP_FOWNER"
      "CAP_FSETID"
      # chattr, by nixos-container destroy: NixOS makes /var/empty in a container immutable
      "CAP_LINUX_IMMUTABLE"
      # a dashboard on a port below 1024
      "CAP_NET_BIND_SERVICE"
      # the builds of approvals run as a user of their own and are ended when they take too long
      "CAP_KILL"
      "CAP_SETGID"
      "CAP_SETUID"
      # which host uid is root in a container: /proc/<leader>/uid_map
      "CAP_SYS_PTRACE"
      # umount, by nixos-container destroy; nsenter, by nixos-container run
      "CAP_SYS_ADMIN"
      "CAP_SYS_CHROOT"
    ];
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    # None of its own network: agents' pages listen on the host's loopback, notifications go out.
    PrivateDevices = true;
    PrivateTmp = true;
    # No PrivateUsers: it hands directories to the containers' root.
    ProtectClock = true;
    # Limits are set by drop-ins that systemd reads, not in the file system.
    ProtectControlGroups = true;
    # Not hidden: the operator's token file may lie there.
    ProtectHome = "read-only";
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    # No ProtectProc: it reads the uid_map of containers' leaders.
    ProtectSystem = "strict";
    ReadWritePaths = writable;
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      # the C library asks it which addresses there are
      "AF_NETLINK"
      "AF_UNIX"
    ];
    # No RestrictNamespaces: nsenter, by nixos-container run, joins all of a container's.
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      # umount, by nixos-container destroy
      "@mount"
    ];
    UMask = "0077";
  };
in
{
  config = mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    users.groups = {
      hyperhive = mkIf (cfg.group == "hyperhive") { };
      hyperhive-builder = { };
    };
    # Who evaluates and builds what the manager proposes: nobody whom the nix daemon trusts.
    users.users.hyperhive-builder = {
      isSystemUser = true;
      group = "hyperhive-builder";
      description = "Builds what the manager of the hive proposes";
    };

    # They have to be there before the daemon's view of the file system is made, also where no container ever was.
    systemd.tmpfiles.settings."10-hyperhive" =
      lib.genAttrs
        [
          "/etc/nixos-containers"
          "/nix/var/nix/gcroots/hyperhive"
          "/nix/var/nix/profiles/per-container"
          "/var/lib/nixos-containers"
        ]
        (_: {
          d = {
            mode = "0755";
            user = "root";
            group = "root";
          };
        })
      // {
        # The hive's; in it, the builder has a home of its own.
        "/var/lib/hyperhive-builder".d = {
          mode = "0750";
          user = "root";
          group = "hyperhive-builder";
        };
      }
      // lib.optionalAttrs (!inVarLib) {
        ${cfg.stateDir}.d = {
          mode = "0700";
          user = "root";
          group = "root";
        };
      };

    systemd.services.hyperhive = {
      description = "hyperhive, a swarm of Claude Code agents";
      wantedBy = [ "multi-user.target" ];
      # A container does not start without the nix daemon's socket, which is bound into it.
      wants = [ "nix-daemon.socket" ];
      after = [
        "dbus.socket"
        "network.target"
        "nix-daemon.socket"
      ];
      unitConfig.RequiresMountsFor = [
        cfg.stateDir
        "/var/lib/nixos-containers"
      ];

      # nixos-container calls its helpers by name.
      path = lib.mkMerge [
        [
          pkgs.gitMinimal
          pkgs.nixos-container
          config.nix.package
          pkgs.util-linux
          pkgs.e2fsprogs
        ]
        (lib.mkOrder 3000 [ "/run/current-system/sw" ])
      ];

      environment = {
        # Absolute, because git on untrusted repositories is not a thing to look up in PATH.
        HYPERHIVE_GIT = lib.getExe pkgs.gitMinimal;
        HOME = "%C/hyperhive";
        # All writes to the store go through the daemon, so this service does not need to write there itself.
        NIX_REMOTE = "daemon";
      };

      # The listening sockets wait in the fd store. Stopping first would close nothing, but would be a longer gap.
      stopIfChanged = false;
      # A changed file is read by the running daemon; only what it cannot change while it runs restarts it.
      reloadTriggers = [ cfg.settingsFile ];
      restartTriggers = [
        (builtins.toJSON {
          inherit (cfg.renderedSettings)
            database
            runtime
            runtimeDir
            stateDir
            ;
          inherit (cfg.renderedSettings.dashboard) agentPages port;
        })
      ];

      startLimitIntervalSec = 0;
      serviceConfig = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = "${lib.getExe cfg.package} serve --config /etc/hyperhive/config.json";
        ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
        Restart = "on-failure";
        RestartSec = 1;
        # A secret that is not there yet is looked for again and again, ever more rarely.
        RestartSteps = 6;
        RestartMaxDelaySec = 60;
        WatchdogSec = 30;
        # READY comes when every declared agent was started, and those are staggered.
        TimeoutStartSec = "10min";
        TimeoutStopSec = 90;

        # The group of the operator's socket.
        Group = cfg.group;
        RuntimeDirectory = "hyperhive";
        RuntimeDirectoryMode = "0750";
        # Containers have directories below it bound. `restart` leaves them with a stale one after stop and start.
        RuntimeDirectoryPreserve = "yes";
        StateDirectory = mkIf inVarLib (lib.removePrefix "/var/lib/" cfg.stateDir);
        StateDirectoryMode = "0700";
        CacheDirectory = "hyperhive";
        CacheDirectoryMode = "0700";

        # Every TCP listener survives the daemon, so that nobody can take a port that an open browser tab trusts. Not a
        # socket unit: a switch does not apply a changed one, and stopping the service would drop it.
        FileDescriptorStoreMax = 4096;
        FileDescriptorStorePreserve = "yes";
        LimitNOFILE = 65536;

        # git and nix are its children; one that takes too much memory must not take the broker with it.
        KillMode = "mixed";
        OOMPolicy = "continue";
        OOMScoreAdjust = -500;
      }
      // hardening;
    };
  };
}
