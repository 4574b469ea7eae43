# Every option set, to something that is not its default.
{ pkgs, ... }:
{
  imports = [ ./machine.nix ];

  services.hyperhive = {
    enable = true;
    package = pkgs.hyperhive.overridePythonAttrs { pname = "hyperhive-patched"; };
    group = "wheel";
    stateDir = "/srv/hive";
    timeZone = "Europe/Berlin";
    database.url = "postgresql+psycopg:///hyperhive";
    dashboard = {
      port = 7100;
      allowedHosts = [ "hive.example.org" ];
      operatorTokenFile = "/run/keys/operator";
    };
    operator = {
      name = "Robin";
      pronouns = "they/them";
    };
    notifications = {
      urlFile = "/run/keys/ntfy";
      command = [
        "/run/current-system/sw/bin/wall"
        "-n"
      ];
    };
    manager = {
      enable = true;
      model = "opus";
      prompt = "Ask before you spawn.";
      budget.turns = 50;
      schedules.rounds = {
        cron = "0 9 * * *";
        message = "Look whether everybody works.";
      };
    };
    approvals.ttl = "7d";
    metrics.tokenFile = "/run/keys/metrics";
    budgets = {
      usd = 12.5;
      tokens = 10000000;
      turns = 400;
    };
    defaults = {
      model = "sonnet";
      tools = [
        "WebFetch"
        "Bash(git *)"
      ];
      environment = {
        ANTHROPIC_BASE_URL = "http://localhost:8080";
        camelCase_and_snake = "kept";
      };
      credentials.ANTHROPIC_API_KEY = "/run/keys/anthropic";
      keepWarmSeconds = 0.5;
      maxTurnMinutes = 0.5;
      limits = {
        memoryMax = "infinity";
        cpuQuota = "50%";
        tasksMax = 8;
      };
      budget = {
        usd = 2;
        tokens = 0;
        turns = 100;
      };
    };
    agents.alice = {
      enable = true;
      model = "claude-opus-4-1[1m]";
      prompt = ''
        You look after the build.
        "Quotes", $variables and ''${braces} stay as they are.
      '';
      config.environment.variables.EDITOR = "ed";
      configFile = ./own-system.nix;
      mcpServers = {
        tracker = {
          command = "tracker-mcp";
          args = [ "--read-only" ];
          env.TRACKER_HOME = "/state/tracker";
          allowedTools = [ "list_issues" ];
        };
        remote = {
          url = "http://localhost:3000/mcp";
          headers.Authorization = "Bearer \${TRACKER_TOKEN}";
        };
      };
      tools = [ "WebSearch" ];
      maxTurnMinutes = 15;
      allowedRecipients = [
        "bob"
        "manager"
        "operator"
        "*"
        "alice"
      ];
      environment.LANG = "C.UTF-8";
      credentials.CLAUDE_CODE_OAUTH_TOKEN = "/run/keys/alice-token";
      limits = {
        memoryMax = "8G";
        cpuQuota = "400%";
        tasksMax = 1024;
      };
      autoStart = false;
      extraNspawnFlags = [
        "--capability=CAP_SYS_NICE"
        "--setenv=GREETING=hello"
      ];
      bindMounts = {
        "/src" = {
          hostPath = "/srv/src";
          isReadOnly = false;
        };
        "/var/cache/models" = { };
      };
    };
    agents.bob.schedules = {
      daily = {
        cron = "0 8 * * *";
        message = "Good morning.";
      };
      often = {
        every = "90m";
        message = "Still there?";
      };
    };
    settings.agents.carol.mutable = false;
  };
}
