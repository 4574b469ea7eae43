# One directory of the host in a container: services.hyperhive.agents.<name>.bindMounts.<place>.
{ lib, hiveTypes }:
let
  inherit (lib) mkOption types;
in
{
  _file = ./bind-options.nix;
  options = {
    hostPath = hiveTypes.orNull types.str {
      defaultText = lib.literalMD "the same as inside";
      example = "/srv/src";
      description = "The directory on the host. It has to be there, or the container does not start.";
    };

    isReadOnly = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the agent may only read it.";
    };
  };
}
