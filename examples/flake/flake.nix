{
  description = "A NixOS host that runs a hive";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Where you have hyperhive from: a checkout (path:/srv/hyperhive) or a repository.
    hyperhive.url = "github:you/hyperhive";
    # One nixpkgs for the host and its containers. nixpkgs-unstable stays hyperhive's: claude-code comes from it.
    hyperhive.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, hyperhive, ... }:
    {
      nixosConfigurations.hive = nixpkgs.lib.nixosSystem {
        modules = [
          hyperhive.nixosModules.default
          ./configuration.nix
        ];
      };
    };
}
