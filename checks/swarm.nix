# A machine with the module, real containers in it, and the scripted model instead of Anthropic. Needs KVM.
{ module }:
let
  port = 8787;
  scenario = {
    agents.alice.otherwise = [
      {
        tool = "send";
        input = {
          to = "operator";
          body = "alice is here";
        };
      }
      "Done."
    ];
  };
in
{
  name = "hyperhive-swarm";

  # The module brings its overlay, as on any machine.
  node.pkgsReadOnly = false;

  nodes.machine =
    { lib, pkgs, ... }:
    let
      python = pkgs.python3.withPackages (packages: [ (packages.toPythonModule pkgs.hyperhive) ]);
    in
    {
      imports = [ module ];

      virtualisation = {
        memorySize = 4096;
        cores = 2;
      };

      services.hyperhive = {
        enable = true;
        manager.enable = false;
        defaults = {
          environment.ANTHROPIC_BASE_URL = "http://127.0.0.1:${toString port}/agents/alice";
          credentials.ANTHROPIC_API_KEY = "/run/keys/model";
        };
        agents.alice = { };
        agents.bob.autoStart = false;
      };

      systemd.tmpfiles.settings."10-test" = {
        "/run/keys".d.mode = "0700";
        "/run/keys/model".f = {
          mode = "0600";
          argument = "dummy-key-of-the-test";
        };
      };

      systemd.services.scripted-model = {
        wantedBy = [ "multi-user.target" ];
        before = [ "hyperhive.service" ];
        script = ''
          exec ${lib.getExe python} -m hyperhive.testing.scripted_model \
            ${pkgs.writeText "scenario.json" (builtins.toJSON scenario)} --port ${toString port}
        '';
      };
    };

  testScript = ''
    machine.wait_for_unit("hyperhive.service")
    machine.wait_for_unit("container@h-alice.service")

    with subtest("a message is answered"):
        machine.succeed("hyperhive send alice 'are you there?'")
        machine.wait_until_succeeds("hyperhive inbox --json | grep 'alice is here'")

    with subtest("an agent that is not to start is there, but does not run"):
        machine.succeed("hyperhive show bob")
        machine.fail("systemctl is-active container@h-bob.service")

    with subtest("root inside is not root outside"):
        machine.succeed("nixos-container run h-alice -- sh -c '! echo 1 > /proc/sys/kernel/sysrq'")
        machine.succeed("test $(cat /proc/$(machinectl show -p Leader --value h-alice)/uid_map | awk '{print $2}') != 0")

    with subtest("a restart and a stop of the daemon leave the containers running"):
        leader = machine.succeed("machinectl show -p Leader --value h-alice")
        machine.succeed("systemctl restart hyperhive.service")
        machine.succeed("systemctl stop hyperhive.service", "systemctl start hyperhive.service")
        assert machine.succeed("machinectl show -p Leader --value h-alice") == leader
        machine.succeed("hyperhive inbox --ack")
        machine.succeed("hyperhive send alice 'still there?'")
        machine.wait_until_succeeds("hyperhive inbox --json | grep 'alice is here'")

    with subtest("the secret is in the container and nowhere else"):
        machine.fail("grep -r dummy-key-of-the-test /etc/hyperhive /etc/nixos-containers /run/systemd/system")
        machine.succeed("nixos-container run h-alice -- systemctl show hyperhive-harness -p Environment | (! grep dummy-key)")
  '';
}
