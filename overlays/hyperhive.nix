# pkgs.hyperhive: daemon, harness and command line in one program.
final: _prev: {
  hyperhive = final.python3Packages.callPackage ../python/package.nix {
    inherit (final) claude-code gitMinimal;
  };
}
