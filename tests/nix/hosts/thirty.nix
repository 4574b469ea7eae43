# Thirty agents without a system of their own: one evaluation for all.
{ lib, ... }:
{
  imports = [ ./machine.nix ];
  services.hyperhive = {
    enable = true;
    agents = lib.genAttrs (map (number: "agent-${toString number}") (lib.range 10 39)) (name: {
      prompt = "You are ${name}.";
    });
  };
}
