# What can be said about a hive: services.hyperhive. Agents' own options are in agent-options.nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    mkPackageOption
    types
    ;
  hiveTypes = import ./types.nix { inherit lib; };
  inherit (hiveTypes) orNull;
  json = pkgs.formats.json { };
in
{
  options.services.hyperhive = {
    enable = mkEnableOption "hyperhive, a swarm of Claude Code agents";

    package = mkPackageOption pkgs "hyperhive" { } // {
      description = "The hyperhive package, of the daemon and of the harness in every container.";
    };

    group = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_-]{0,30}";
      default = "hyperhive";
      example = "wheel";
      description = ''
        Users of this group may use the `hyperhive` command: they are the operator. Only the default group is made by
        the module.
      '';
    };

    stateDir = mkOption {
      type = types.externalPath;
      default = "/var/lib/hyperhive";
      description = "Where messages, logins, notes and everything else that lasts is kept.";
    };

    timeZone = orNull types.str {
      default = config.time.timeZone;
      defaultText = literalExpression "config.time.timeZone";
      example = "Europe/Berlin";
      description = "The zone of schedules and of days. Without one, what /etc/localtime says.";
    };

    database.url = orNull types.str {
      example = "postgresql+psycopg:///hyperhive";
      description = ''
        SQLAlchemy URL of the database. Without one, SQLite in {option}`stateDir`. It is readable by everybody on the
        host: use a Unix socket with peer authentication rather than a password.
      '';
    };

    dashboard = {
      port = mkOption {
        type = types.port;
        default = 7000;
        description = "TCP port of the operator's page, on 127.0.0.1 and ::1 only. A change restarts the daemon.";
      };

      allowedHosts = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "hive.example.org" ];
        description = "Further names under which the page may be reached, for example of a reverse proxy.";
      };

      operatorTokenFile = orNull types.externalPath {
        example = "/run/keys/hyperhive-operator";
        description = ''
          File with the operator's token, at least 32 characters. Without one, a token is made at the first start;
          `hyperhive dashboard-url` prints it.
        '';
      };

      agentPages = orNull types.bool {
        example = false;
        description = ''
          Whether each agent's page has a port of its own (8100 to 8999, the manager's 8000), on 127.0.0.1 and ::1 only.
          By default yes, unless {option}`dashboard.port` is 0. The dashboard has the pages in either case. A change
          restarts the daemon.
        '';
      };
    };

    operator = {
      name = mkOption {
        type = types.str;
        default = "operator";
        example = "Robin";
        description = "How agents call the human who runs the hive.";
      };

      pronouns = orNull types.str {
        example = "they/them";
        description = "The operator's pronouns, told to the agents.";
      };
    };

    metrics.tokenFile = orNull types.externalPath {
      example = "/run/keys/hyperhive-metrics";
      description = ''
        File with the token of a monitor, at least 32 characters: it opens `/metrics` of the dashboard's port and
        nothing else. Without one, a token is made at the first start, in `metrics-token` in {option}`stateDir`. A
        change restarts the daemon.
      '';
    };

    notifications = {
      urlFile = orNull types.externalPath {
        example = "/run/keys/hyperhive-ntfy";
        description = ''
          File with the address (ntfy or another webhook) that gets one POST for each thing that begins to wait for the
          operator. It is read anew for each.
        '';
      };

      command = orNull (types.nonEmptyListOf types.str) {
        example = literalExpression ''[ "''${pkgs.mailutils}/bin/mail" "-s" "hyperhive" "root" ]'';
        description = "Program and arguments that get one line on standard input for each such thing.";
      };
    };

    manager = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether there is a manager: the agent, called `manager`, that may ask the operator for new agents and for
          changes to an agent's system.
        '';
      };

      model = orNull hiveTypes.model {
        defaultText = literalExpression "config.services.hyperhive.defaults.model";
        example = "opus";
        description = "The manager's model.";
      };

      prompt = orNull types.lines {
        example = "Spawn an agent only where two would otherwise wait for each other.";
        description = "What the manager is told beside its role.";
      };

      budget = hiveTypes.budget "the manager, instead of what {option}`defaults.budget` says,";

      schedules = hiveTypes.schedules;
    };

    approvals.ttl = mkOption {
      type = hiveTypes.span;
      default = "14d";
      example = "7d";
      description = ''
        How long a request waits for the operator before it expires, between a minute and 52 weeks. A change holds for
        what is asked from then on.
      '';
    };

    builder = {
      memoryMax = mkOption {
        type = types.strMatching "[0-9]+[KMGT]?";
        default = "4G";
        example = "8G";
        description = ''
          Memory that the evaluation of a proposal may take. Builds are the nix daemon's, and take what that may.
        '';
      };

      timeout = mkOption {
        type = hiveTypes.span;
        default = "1h";
        example = "4h";
        description = "How long building a proposal may take.";
      };
    };
    budgets = hiveTypes.budget "the whole hive";

    defaults = {
      model = mkOption {
        type = hiveTypes.model;
        default = "haiku";
        example = "sonnet";
        description = "Model of the agents that name none.";
      };

      tools = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "WebFetch"
          "Bash(git *)"
        ];
        description = ''
          Tools for every agent beside Bash, Edit, Glob, Grep, Read, Write and the hive's own.
        '';
      };

      environment = hiveTypes.environment {
        example = {
          ANTHROPIC_BASE_URL = "http://localhost:8080";
        };
        description = "Environment of every agent's Claude. It is readable by everybody on the host.";
      };

      credentials = hiveTypes.credentials {
        description = ''
          Secrets of every agent: variable to file. The agent's Claude gets the file's content in that variable. With
          `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN` or `CLAUDE_CODE_OAUTH_TOKEN` an agent needs no login of its own.
        '';
      };

      keepWarmSeconds = mkOption {
        type = types.numbers.between 0 86400;
        default = 120;
        description = "Seconds that an agent's `claude` process is kept after a turn.";
      };

      maxTurnMinutes = mkOption {
        type = hiveTypes.minutes;
        default = 60;
        description = "Minutes after which a turn is interrupted. Its message counts as failed, and comes again.";
      };

      limits = hiveTypes.limits {
        memoryMax = "4G";
        cpuQuota = "200%";
        tasksMax = 512;
      };

      budget = hiveTypes.budget "every agent that does not say otherwise";
    };

    agents = mkOption {
      type = types.attrsOf (types.submodule (import ./agent-options.nix { inherit lib hiveTypes; }));
      default = { };
      example = literalExpression ''
        {
          alice = { model = "sonnet"; prompt = "You look after the build."; };
          bob = { };
        }
      '';
      description = ''
        The agents. A name has 1 to 9 characters, small letters, digits and hyphens, the first a letter; the port of an
        agent's page follows from it.
      '';
    };

    settings = mkOption {
      type = types.submodule { freeformType = json.type; };
      default = { };
      example = {
        operator.name = "Robin";
      };
      description = ''
        Anything of the settings file that has no option here, merged over what the options say. The file is checked
        when it is built, so a key that does not exist fails the rebuild.
      '';
    };

    systems = mkOption {
      type = types.unspecified;
      internal = true;
      readOnly = true;
      description = "Evaluated systems: the `default` one, and those of agents that have their `own`.";
    };

    renderedSettings = mkOption {
      type = types.unspecified;
      internal = true;
      readOnly = true;
      description = "What is in the settings file.";
    };

    settingsFile = mkOption {
      type = types.package;
      internal = true;
      readOnly = true;
      description = "The settings file, checked.";
    };
  };
}
