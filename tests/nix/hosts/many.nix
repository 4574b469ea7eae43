# Thirty agents without a system of their own, for whom one is evaluated; and some with one: in place, from a file. Both
# at once are in everything.nix.
{ lib, ... }:
{
  imports = [ ./machine.nix ];
  services.hyperhive = {
    enable = true;
    manager.enable = false;
    agents =
      lib.genAttrs (map (number: "agent-${toString number}") (lib.range 10 39)) (name: {
        prompt = "You are ${name}.";
      })
      // {
        alice.config =
          { pkgs, ... }:
          {
            environment.systemPackages = [ pkgs.nodejs ];
            services.postgresql.enable = true;
          };
        bob.configFile = ./own-system.nix;
        # Never evaluated, or this host would not be.
        dave = {
          enable = false;
          config.no.such.option = true;
        };
      };
  };
}
