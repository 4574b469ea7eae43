# A host with two agents and the manager. What a real machine has beside it (disks, users, network) is the usual.
{ lib, ... }:
{
  services.hyperhive = {
    enable = true;

    agents.alice = {
      model = "sonnet";
      prompt = "You look after the build.";
    };
    agents.bob = { };
  };

  # Stand-ins for your hardware-configuration.nix.
  boot.loader.grub.enable = lib.mkDefault false;
  fileSystems."/" = lib.mkDefault {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";

  networking.hostName = "hive";
  system.stateVersion = "26.05";
}
