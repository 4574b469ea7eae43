{ pkgs, self, ... }:
{
  default = pkgs.hyperhive;
  options-doc = import ./options-doc.nix {
    inherit pkgs;
    inherit (pkgs) lib;
    module = self.nixosModules.default;
    root = self.outPath;
  };
}
