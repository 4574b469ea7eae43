# Hosts that have to evaluate; `example` is the one of examples/flake.
{
  example = ../../../examples/flake/configuration.nix;
  thirty = ./thirty.nix;
  own = ./own.nix;
  everything = ./everything.nix;
}
