# What every NixOS needs and no test is about.
{
  boot.loader.grub.enable = false;
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  networking.hostName = "hive";
  system.stateVersion = "26.05";
}
