# The pure functions, with the vectors that tests/unit/test_names.py has for their Python twins.
{ lib, pkgs }:
let
  hive = import ../modules/lib { inherit lib; };
  failures = lib.runTests {
    testPorts = {
      expr = map hive.webPort [
        "test"
        "alice"
        "bob"
        "coder"
        "manager"
      ];
      expected = [
        8945
        8879
        8744
        8202
        8000
      ];
    };
    testCollision = {
      expr = hive.portCollisions [
        "alice"
        "lint"
        "builder"
      ];
      expected."8900" = [
        "builder"
        "lint"
      ];
    };
    testNames = {
      expr = lib.filter hive.isAgentName [
        "a"
        "build-2"
        "ninechars"
        "tencharsss"
        "Alice"
        "2nd"
        ".."
        "a b"
        ""
      ];
      expected = [
        "a"
        "build-2"
        "ninechars"
      ];
    };
  };
in
pkgs.runCommand "names" { } (
  if failures == [ ] then
    ''touch "$out"''
  else
    throw "modules/lib: ${lib.generators.toPretty { } failures}"
)
