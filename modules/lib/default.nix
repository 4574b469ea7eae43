# Pure functions, the same as in python/hyperhive/names.py; `nix eval .#lib.webPort --apply 'f: f "alice"'`.
{ lib }:
let
  inherit (builtins) bitAnd bitXor;

  manager = "manager";
  managerPort = 8000;
in
rec {
  inherit manager managerPort;

  # Never an agent's name: they are addresses or senders with a meaning of their own.
  reservedNames = [
    "*"
    "all"
    "manager"
    "operator"
    "reminder"
    "self"
    "system"
  ];

  # Recipients that are no declared agent.
  otherRecipients = [
    "*"
    "manager"
    "operator"
  ];

  # At most 9 characters: the container is h-<name>, and nixos-container allows 11.
  isAgentName = name: builtins.match "[a-z][a-z0-9-]{0,8}" name != null;

  # FNV-1a, 32 bits. The product stays below 2^57, so Nix's 64-bit integers hold it.
  fnv1a32 =
    text:
    lib.foldl' (hash: char: bitAnd (bitXor hash (lib.strings.charToInt char) * 16777619) 4294967295) 2166136261 (
      lib.stringToCharacters text
    );

  webPort = name: if name == manager then managerPort else 8100 + lib.mod (fnv1a32 name) 900;

  # Ports that more than one of `names` would get: { "8900" = [ "builder" "lint" ]; }
  portCollisions =
    names:
    lib.filterAttrs (_: group: lib.length group > 1) (
      lib.groupBy (name: toString (webPort name)) (lib.naturalSort (lib.unique names))
    );

  # A file that systemd reads holds nspawn's flags in quotes, and the unit expands them without: a space would end one,
  # and these would be taken for something else.
  cannotBeWord = text: builtins.match ".*[][:space:]*?[\\\"'$`].*" text != null;

  # Flags of nspawn that the hive sets itself; a second one would take the container apart, or its walls down.
  ownFlags = [
    "--bind"
    "--bind-ro"
    "--directory"
    "--load-credential"
    "--machine"
    "--private-users"
    "-D"
    "-M"
  ];

  # Where a container has the hive's directories and the store.
  ownPlaces = [
    "/"
    "/agents"
    "/applied"
    "/nix"
    "/root/.claude"
    "/run/hive"
    "/shared"
    "/state"
  ];

  # Seconds of a span such as "90m", which has the form that its option's type asks for.
  seconds =
    span:
    let
      digits = lib.stringLength span - 1;
      unit = {
        s = 1;
        m = 60;
        h = 3600;
        d = 86400;
        w = 604800;
      };
    in
    lib.toIntBase10 (lib.substring 0 digits span) * unit.${lib.substring digits 1 span};

  isClaudeCode = package: lib.getName package == "claude-code";
}
