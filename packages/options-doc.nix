# The options of services.hyperhive as a page. docs/options.md has the same from `passthru.options`: `make options-doc`.
{
  pkgs,
  lib,
  module,
  root,
}:
let
  evaluated = lib.evalModules {
    modules = [
      module
      {
        # The rest of NixOS is not here; nothing of it is needed to describe our own options.
        _module.check = false;
        _module.args = { inherit pkgs; };
      }
    ];
  };

  documented = pkgs.nixosOptionsDoc {
    options = { inherit (evaluated.options) services; };
    warningsAreErrors = true;
    transformOptions =
      option:
      option
      // {
        declarations = map (path: lib.removePrefix "${root}/" (toString path)) option.declarations;
      };
  };
in
documented.optionsCommonMark
// {
  inherit (documented) optionsJSON;
  options = documented.optionsNix;
}
