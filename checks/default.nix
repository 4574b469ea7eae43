# `nix flake check`. `make test` with Nix on PATH runs tests/nix, which looks closer but builds nothing.
{
  self,
  lib,
  pkgs,
  system,
}:
{
  package = self.packages.${system}.default;
  options-doc = self.packages.${system}.options-doc;

  names = import ./names.nix { inherit lib pkgs; };

  swarm = pkgs.testers.runNixOSTest (import ./swarm.nix { module = self.nixosModules.default; });

  # Building it is checking the settings with the real check-config.
  settings =
    (lib.nixosSystem {
      modules = [
        self.nixosModules.default
        ../tests/nix/hosts/everything.nix
        { nixpkgs.hostPlatform = system; }
      ];
    }).config.services.hyperhive.settingsFile;
}
