# The host side: what a machine that runs a hive imports. The arguments are what only the flake knows.
{
  overlay,
  agentSystem,
  sources,
}:
{
  # One key, so that importing it under both of its names is importing it once.
  key = "hyperhive";
  _file = ./default.nix;
  imports = [
    ./options.nix
    ./settings.nix
    ./containers.nix
    ./service.nix
    ./assertions.nix
  ];
  config = {
    _module.args.hyperhive = { inherit agentSystem sources; };
    nixpkgs.overlays = [ overlay ];
  };
}
