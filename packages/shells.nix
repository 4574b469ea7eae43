{ pkgs, ... }:
{
  # Tools, not libraries: `make test` makes its own virtual environment, from the lock file.
  default = pkgs.mkShell {
    packages = [
      pkgs.bubblewrap
      pkgs.chromium
      pkgs.git
      pkgs.gnumake
      pkgs.nixfmt-tree
      pkgs.python313
    ];
  };
}
