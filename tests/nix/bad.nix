# Wrong configurations, each with the path that its assertion has to name, and the value.
let
  agents = agents: { services.hyperhive.agents = agents; };
  alice = alice: agents { inherit alice; };
in
{
  upperCase = {
    module = agents { Alice = { }; };
    path = "agents.Alice";
    value = "Alice";
  };
  digitFirst = {
    module = agents { "2nd" = { }; };
    path = "agents.2nd";
    value = "2nd";
  };
  dots = {
    module = agents { ".." = { }; };
    path = "agents...";
    value = "..";
  };
  tenCharacters = {
    module = agents { tencharact = { }; };
    path = "agents.tencharact";
    value = "10 characters";
  };
  reserved = {
    module = agents { operator = { }; };
    path = "agents.operator";
    value = "reserved";
  };
  manager = {
    module = agents { manager.model = "opus"; };
    path = "agents.manager";
    value = "services.hyperhive.manager.model";
  };
  nameInSettings = {
    module.services.hyperhive.settings.agents.Bad_Name = { };
    path = "agents.Bad_Name";
    value = "Bad_Name";
  };
  collision = {
    module = agents {
      builder = { };
      lint = { };
    };
    path = "agents";
    value = "'builder' and 'lint' get the same web port 8900";
  };
  dashboardOnAgent = {
    module = {
      imports = [ (alice { }) ];
      services.hyperhive.dashboard.port = 8879;
    };
    path = "dashboard.port";
    value = "8879 is the port of the page of 'alice'";
  };
  dashboardOnManager = {
    module.services.hyperhive.dashboard.port = 8000;
    path = "dashboard.port";
    value = "8000 is the port of the page of 'manager'";
  };
  recipient = {
    module = alice { allowedRecipients = [ "Bob" ]; };
    path = "agents.alice.allowedRecipients";
    value = "'Bob'";
  };
  recipientReserved = {
    module = alice { allowedRecipients = [ "system" ]; };
    path = "agents.alice.allowedRecipients";
    value = "'system'";
  };
  scheduleWithout = {
    module = alice { schedules.daily.message = "x"; };
    path = "agents.alice.schedules.daily";
    value = "neither";
  };
  scheduleOfTheManager = {
    module.services.hyperhive.manager.schedules.daily = {
      every = "59s";
      message = "x";
    };
    path = "manager.schedules.daily.every";
    value = "'59s'";
  };
  scheduleWithBoth = {
    module = alice {
      schedules.daily = {
        cron = "0 8 * * *";
        every = "1d";
        message = "x";
      };
    };
    path = "agents.alice.schedules.daily";
    value = "both";
  };
  scheduleTooOften = {
    module = alice {
      schedules.daily = {
        every = "59s";
        message = "x";
      };
    };
    path = "agents.alice.schedules.daily.every";
    value = "'59s'";
  };
  scheduleNever = {
    module = alice {
      schedules.daily = {
        every = "00h";
        message = "x";
      };
    };
    path = "agents.alice.schedules.daily.every";
    value = "'00h'";
  };
  scheduleName = {
    module = alice {
      schedules."a b" = {
        every = "1h";
        message = "x";
      };
    };
    path = "agents.alice.schedules.a b";
    value = "'a b'";
  };
  secretInStore = {
    module.services.hyperhive.settings.dashboard.operatorTokenFile = "${builtins.storeDir}/x-token";
    path = "settings.dashboard.operatorTokenFile";
    value = "x-token";
  };
  secretAsPath = {
    module.services.hyperhive.settings.notifications.urlFile = ./bad.nix;
    path = "settings.notifications.urlFile";
    value = "bad.nix";
  };
  secretOfAll = {
    module.services.hyperhive.settings.defaults.credentials.KEY = ./bad.nix;
    path = "settings.defaults.credentials.KEY";
    value = "bad.nix";
  };
  secretOfOne = {
    module = {
      imports = [ (alice { }) ];
      services.hyperhive.settings.agents.alice.credentials.KEY = "${builtins.storeDir}/x-key";
    };
    path = "settings.agents.alice.credentials.KEY";
    value = "x-key";
  };
  secretWithSpace = {
    module = alice { credentials.KEY = "/run/keys/the key"; };
    path = "agents.alice.credentials.KEY";
    value = "/run/keys/the key";
  };
  secretOfAllWithSpace = {
    module.services.hyperhive.defaults.credentials.KEY = "/run/keys/the key";
    path = "defaults.credentials.KEY";
    value = "/run/keys/the key";
  };
  serverOfTheHive = {
    module = alice { mcpServers.hyperhive.command = "x"; };
    path = "agents.alice.mcpServers.hyperhive";
    value = "'hyperhive'";
  };
  serverName = {
    module = alice { mcpServers.a__b.command = "x"; };
    path = "agents.alice.mcpServers.a__b";
    value = "'a__b'";
  };
  serverWithNeither = {
    module = alice { mcpServers.git = { }; };
    path = "agents.alice.mcpServers.git";
    value = "'git'";
  };
  serverWithBoth = {
    module = alice {
      mcpServers.git = {
        command = "x";
        url = "http://x/mcp";
      };
    };
    path = "agents.alice.mcpServers.git";
    value = "'git'";
  };
  serverUrlWithEnvironment = {
    module = alice {
      mcpServers.git = {
        url = "http://x/mcp";
        env.A = "b";
      };
    };
    path = "agents.alice.mcpServers.git";
    value = "'git'";
  };
  serverProgramWithHeaders = {
    module = alice {
      mcpServers.git = {
        command = "x";
        headers.A = "b";
      };
    };
    path = "agents.alice.mcpServers.git";
    value = "'git'";
  };
  flagWithSpace = {
    module = alice { extraNspawnFlags = [ "--setenv=A=b c" ]; };
    path = "agents.alice.extraNspawnFlags";
    value = "--setenv=A=b c";
  };
  flagThatGlobs = {
    module = alice { extraNspawnFlags = [ "--setenv=A=*" ]; };
    path = "agents.alice.extraNspawnFlags";
    value = "--setenv=A=*";
  };
  flagWithQuotes = {
    module = alice { extraNspawnFlags = [ "--setenv=A=\"b\"" ]; };
    path = "agents.alice.extraNspawnFlags";
    value = "--setenv=A=\"b\"";
  };
  flagThatIsNone = {
    module = alice { extraNspawnFlags = [ "sh" ]; };
    path = "agents.alice.extraNspawnFlags";
    value = "'sh'";
  };
  flagOfTheHive = {
    module = alice { extraNspawnFlags = [ "--private-users=no" ]; };
    path = "agents.alice.extraNspawnFlags";
    value = "--private-users=no";
  };
  bindWithSpace = {
    module = alice { bindMounts."/src".hostPath = "/srv/my src"; };
    path = "agents.alice.bindMounts.\"/src\"";
    value = "/srv/my src";
  };
  bindPlaceWithSpace = {
    module = alice { bindMounts."/my src" = { }; };
    path = "agents.alice.bindMounts.\"/my src\"";
    value = "/my src";
  };
  bindWithColon = {
    module = alice { bindMounts."/src".hostPath = "/srv/a:b"; };
    path = "agents.alice.bindMounts.\"/src\"";
    value = "/srv/a:b";
  };
  bindRelative = {
    module = alice { bindMounts."src" = { }; };
    path = "agents.alice.bindMounts.\"src\"";
    value = "'src'";
  };
  bindOverState = {
    module = alice { bindMounts."/state".hostPath = "/srv/state"; };
    path = "agents.alice.bindMounts.\"/state\"";
    value = "'/state'";
  };
  stateDirWithSpace = {
    module.services.hyperhive.stateDir = "/srv/my hive";
    path = "stateDir";
    value = "/srv/my hive";
  };
  noContainers = {
    module =
      { lib, ... }:
      {
        boot.enableContainers = lib.mkForce false;
      };
    path = "enable";
    value = "boot.enableContainers";
  };
  builderNotAllowed = {
    module.nix.settings.allowed-users = [ "@wheel" ];
    path = "manager.enable";
    value = "leaves out 'hyperhive-builder'";
  };
  builderTrusted = {
    module.nix.settings.trusted-users = [
      "root"
      "*"
    ];
    path = "manager.enable";
    value = "has '*'";
  };
  builtWithoutSandbox = {
    module.nix.settings.sandbox = "relaxed";
    path = "manager.enable";
    value = "nix.settings.sandbox";
  };
  noNix = {
    module.nix.enable = false;
    path = "enable";
    value = "nix.enable";
  };
  ttlTooShort = {
    module.services.hyperhive.approvals.ttl = "30s";
    path = "approvals.ttl";
    value = "'30s' is too short";
  };
  ttlTooLong = {
    module.services.hyperhive.approvals.ttl = "53w";
    path = "approvals.ttl";
    value = "'53w'";
  };
  oldRelease = {
    module = { };
    release = "25.05";
    path = "enable";
    value = "25.05";
  };
  oldState = {
    module.system.stateVersion = "21.11";
    path = "enable";
    value = "21.11";
  };
  agentsSystem = {
    module = alice {
      config.assertions = [
        {
          assertion = false;
          message = "two of these are one too many";
        }
      ];
    };
    path = "agents.alice.config";
    value = "two of these are one too many";
  };
}
