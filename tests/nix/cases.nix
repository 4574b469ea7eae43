# What the tests of this folder evaluate. The flake's outputs are called by hand, so that nothing has to be copied into
# the store first; test_flake.py has Nix itself evaluate the flake.
{ root, nixpkgs }:
let
  outputsOf =
    source: inputs:
    let
      self = (import (source + "/flake.nix")).outputs (inputs // { inherit self; }) // {
        outPath = toString source;
      };
    in
    self;

  nixpkgsFlake = outputsOf (/. + nixpkgs) { };
  hyperhive = outputsOf (/. + root) {
    nixpkgs = nixpkgsFlake;
    nixpkgs-unstable = nixpkgsFlake;
  };

  inherit (nixpkgsFlake) lib;
  system = "x86_64-linux";
  packages = import nixpkgs {
    inherit system;
    overlays = [ hyperhive.overlays.default ];
  };

  host =
    module:
    lib.nixosSystem {
      modules = [
        hyperhive.nixosModules.default
        module
        { nixpkgs.hostPlatform = lib.mkDefault system; }
      ];
    };

  hive = settings: {
    imports = [ ./hosts/machine.nix ];
    services.hyperhive = {
      enable = true;
    }
    // settings;
  };

  # All that the tests ask of one host, from one evaluation.
  report =
    { config, ... }:
    let
      cfg = config.services.hyperhive;
      unit = config: name: config.systemd.units.${name}.text;
    in
    {
      drvPath = config.system.build.toplevel.drvPath;
      settings = cfg.renderedSettings;
      check = cfg.settingsFile.drvAttrs.buildCommand;
      inEtc = toString config.environment.etc."hyperhive/config.json".source;
      settingsFile = toString cfg.settingsFile;
      inherit (config) warnings;
      made = lib.attrNames config.systemd.tmpfiles.settings."10-hyperhive";
      units = lib.genAttrs [ "hyperhive.service" "container@.service" ] (unit config);
      harness = unit cfg.systems.default.config "hyperhive-harness.service";
      harnesses = lib.mapAttrs (_: own: unit own.config "hyperhive-harness.service") cfg.systems.own;
      triggers = {
        reload = map toString config.systemd.services.hyperhive.reloadTriggers;
        restart = config.systemd.services.hyperhive.restartTriggers;
      };
    };

  # The module with the rest of NixOS as plain values: for what the module says, not what NixOS makes of it.
  alone = aloneOn lib.trivial.release;
  aloneOn =
    release: module:
    (lib.evalModules {
      specialArgs.lib = lib // {
        trivial = lib.trivial // {
          inherit release;
        };
      };
      modules = [
        hyperhive.nixosModules.default
        {
          options = {
            assertions = lib.mkOption { type = lib.types.listOf lib.types.raw; };
            warnings = lib.mkOption { type = lib.types.listOf lib.types.str; };
            boot.enableContainers = lib.mkOption { type = lib.types.bool; };
            nix.enable = lib.mkOption { default = true; };
            nix.settings.allowed-users = lib.mkOption { default = [ "*" ]; };
            nix.settings.trusted-users = lib.mkOption { default = [ "root" ]; };
            nix.settings.sandbox = lib.mkOption { default = true; };
            nixpkgs.overlays = lib.mkOption { type = lib.types.listOf lib.types.raw; };
            nixpkgs.flake.source = lib.mkOption { default = null; };
            system.stateVersion = lib.mkOption { default = "26.05"; };
          };
          config = {
            _module.freeformType = lib.types.lazyAttrsOf lib.types.raw;
            _module.args.pkgs = packages;
            services.hyperhive.enable = true;
          };
        }
        module
      ];
    }).config;

  failed =
    config:
    map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) config.assertions);

  # Names whose ports differ.
  apart =
    let
      add =
        found: number:
        let
          name = "a${toString number}";
          port = toString (hyperhive.lib.webPort name);
        in
        if found ? ${port} then found else found // { ${port} = name; };
    in
    lib.attrValues (lib.foldl' add { } (lib.range 1 80));
in
{
  hosts = lib.mapAttrs (_: module: report (host module)) (import ./hosts) // {
    # With its own flake around it.
    example =
      report
        (outputsOf ../../examples/flake {
          nixpkgs = nixpkgsFlake;
          inherit hyperhive;
        }).nixosConfigurations.hive;
  };

  bad = lib.mapAttrs (_: case: {
    inherit (case) path value;
    messages = failed (aloneOn (case.release or lib.trivial.release) case.module);
  }) (import ./bad.nix);
  warned = (alone ./warned.nix).warnings;
  badHost = (host ./bad-host.nix).config.system.build.toplevel.drvPath;
  refused = lib.mapAttrs (
    _: case: (alone case.module).services.hyperhive.renderedSettings
  ) (import ./refused.nix);
  refusals = lib.mapAttrs (_: case: removeAttrs case [ "module" ]) (import ./refused.nix);

  # The module taken in and not switched on.
  off =
    let
      inherit (host ./hosts/machine.nix) config;
    in
    {
      drvPath = config.system.build.toplevel.drvPath;
      service = config.systemd.services ? hyperhive;
      containers = config.boot.enableContainers;
    };

  # A host with `count` agents that have no system of their own.
  counted =
    { count }:
    (host (hive {
      agents = lib.genAttrs (lib.take count apart) (_: { });
    })).config.system.build.toplevel.drvPath;

  # The system of an agent that says nothing of its own.
  plainAgent = (host (hive { })).config.services.hyperhive.systems.default.config.system.build.toplevel;

  unfree =
    let
      evaluates = value: (builtins.tryEval (builtins.seq value true)).success;
      look = pkgs: {
        claude = evaluates pkgs.claude-code.drvPath;
        other = evaluates pkgs.unrar.drvPath;
      };
      plain = host (hive { });
      allowing = host {
        imports = [ (hive { }) ];
        nixpkgs.config.allowUnfree = true;
      };
      inside = found: found.config.services.hyperhive.systems.default.pkgs;
      # An agent's system as somebody would make it without our overlays.
      bare = lib.nixosSystem {
        modules = [
          ../../modules/harness-base.nix
          { nixpkgs.hostPlatform = system; }
        ];
      };
    in
    {
      host = look plain.pkgs;
      container = look (inside plain);
      containerOfAllowing = look (inside allowing);
      withoutOverlay = look bare.pkgs;
    };

  names =
    { names }:
    {
      ports = map hyperhive.lib.webPort (lib.filter hyperhive.lib.isAgentName names);
      good = map hyperhive.lib.isAgentName names;
      collisions = hyperhive.lib.portCollisions (lib.filter hyperhive.lib.isAgentName names);
      reserved = hyperhive.lib.reservedNames;
      inherit (hyperhive.lib) ownFlags ownPlaces;
    };

  options = hyperhive.packages.${system}.options-doc.options;

  package = {
    inherit (packages.hyperhive) version;
    drvPaths = lib.mapAttrs (_: own: own.default.drvPath) hyperhive.packages;
    dependencies = lib.listToAttrs (
      map (dependency: lib.nameValuePair dependency.pname dependency.version) packages.hyperhive.dependencies
    );
    wrapper = toString packages.hyperhive.makeWrapperArgs;
    claude = "${packages.claude-code}/bin";
    # Those that make no machine of their own: `flake check` is a long test.
    checks = lib.mapAttrs (_: check: check.drvPath) (
      removeAttrs hyperhive.checks.${system} [
        "settings"
        "swarm"
      ]
    );
  };
}
