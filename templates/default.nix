{
  default = {
    path = ../examples/flake;
    description = "A NixOS host that runs a hive of two agents";
    welcomeText = ''
      Replace the stand-ins in configuration.nix with your machine's, then:

          nixos-rebuild switch --flake .#hive
          hyperhive dashboard-url
    '';
  };
}
