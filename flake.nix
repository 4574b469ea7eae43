{
  description = "hyperhive: a swarm of Claude Code agents on one NixOS host, each in a container of its own";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # For claude-code alone, which is released more often than NixOS is.
    nixpkgs-unstable.url = "github:NixOS/nixpkgs/nixos-unstable";
  };

  outputs =
    {
      self,
      nixpkgs,
      nixpkgs-unstable,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem =
        f:
        lib.genAttrs systems (
          system:
          f {
            inherit self lib system;
            pkgs = import nixpkgs {
              inherit system;
              overlays = [ self.overlays.default ];
            };
          }
        );
      sources = {
        hyperhive = self.outPath;
        nixpkgs = nixpkgs.outPath;
        nixpkgsUnstable = nixpkgs-unstable.outPath;
      };
    in
    {
      overlays = {
        claude-unstable = import ./overlays/claude-unstable.nix { inherit nixpkgs-unstable systems; };
        hyperhive = import ./overlays/hyperhive.nix;
        default = lib.composeManyExtensions [
          self.overlays.claude-unstable
          self.overlays.hyperhive
        ];
      };

      lib = import ./modules/lib { inherit lib; } // {
        agentSystem = import ./modules/lib/agent-system.nix {
          inherit nixpkgs;
          inherit (self.nixosModules) harness-base;
        };
      };

      nixosModules = {
        default = self.nixosModules.hyperhive;
        hyperhive = import ./modules {
          overlay = self.overlays.default;
          inherit (self.lib) agentSystem;
          inherit sources;
        };
        harness-base = {
          imports = [ ./modules/harness-base.nix ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
      };

      nixosConfigurations.example = lib.nixosSystem {
        modules = [
          self.nixosModules.default
          ./examples/flake/configuration.nix
        ];
      };

      templates = import ./templates;
      packages = eachSystem (import ./packages);
      checks = eachSystem (import ./checks);
      devShells = eachSystem (import ./packages/shells.nix);
      formatter = eachSystem ({ pkgs, ... }: pkgs.nixfmt-tree);
      apps = eachSystem (
        { system, ... }:
        {
          default = {
            type = "app";
            program = lib.getExe self.packages.${system}.default;
            meta.description = "The hyperhive command line";
          };
        }
      );
    };
}
