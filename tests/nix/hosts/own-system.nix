{ lib, pkgs, ... }:
{
  environment.systemPackages = [ pkgs.jq ];
  programs.git.enable = true;
  time.timeZone = lib.mkForce "Europe/Berlin";
}
