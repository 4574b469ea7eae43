# Mistakes of all kinds on a real host: all are said at once.
{
  imports = [ ./hosts/machine.nix ];
  services.hyperhive = {
    enable = true;
    agents = {
      builder = { };
      lint = { };
      tencharact.allowedRecipients = [ "Nobody" ];
      alice.extraNspawnFlags = [ "--setenv=A=b c" ];
    };
  };
}
