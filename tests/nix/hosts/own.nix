# Agents with systems of their own: in place, from a file, both, and one that is switched off.
{
  imports = [ ./machine.nix ];
  services.hyperhive = {
    enable = true;
    manager.enable = false;
    agents = {
      alice.config =
        { pkgs, ... }:
        {
          environment.systemPackages = [ pkgs.nodejs ];
          services.postgresql.enable = true;
        };
      bob.configFile = ./own-system.nix;
      carol = {
        config.users.motd = "carol's";
        configFile = ./own-system.nix;
      };
      # Never evaluated, or this host would not be.
      dave = {
        enable = false;
        config.no.such.option = true;
      };
      erin = { };
    };
  };
}
