# The NixOS system of an agent's container: harness-base.nix and what the agent's own modules add.
#
# Nothing in it says which agent it is for, so all agents without modules of their own share one.
{ nixpkgs, harness-base }:
let
  ownNixpkgs = nixpkgs;
in
{
  hostPlatform,
  modules ? [ ],
  # The source to evaluate with; a host passes its own.
  nixpkgs ? ownNixpkgs,
  # Where the modules stand in the host's options, for error messages.
  prefix ? [ ],
}:
import (nixpkgs + "/nixos/lib/eval-config.nix") {
  inherit prefix;
  system = null;
  modules = [
    harness-base
    { nixpkgs.hostPlatform = hostPlatform; }
  ]
  ++ modules;
}
