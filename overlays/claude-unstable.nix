# claude-code, and nothing else, from nixpkgs-unstable. It is unfree; this is the one unfree package that is allowed, so
# that an operator has to set nothing and no other one comes in with it.
{ nixpkgs-unstable, systems }:
let
  lib = import (nixpkgs-unstable + "/lib");
  inherit (import ../modules/lib { inherit lib; }) isClaudeCode;

  # Not inside the overlay's functions: the host and every container have a nixpkgs of their own, and share this one.
  unstable = lib.genAttrs systems (
    system:
    import nixpkgs-unstable {
      inherit system;
      config.allowUnfreePredicate = isClaudeCode;
      overlays = [ ];
    }
  );
in
_final: prev: {
  claude-code =
    unstable.${prev.stdenv.hostPlatform.system}.claude-code
      or (throw "hyperhive runs on ${lib.concatStringsSep " and " systems}, not on ${prev.stdenv.hostPlatform.system}");
}
