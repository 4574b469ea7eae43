# Hosts that have to evaluate; `example` is the one of examples/flake.
{
  example = ../../../examples/flake/configuration.nix;
  many = ./many.nix;
  everything = ./everything.nix;
}
