# What can be said about one agent: services.hyperhive.agents.<name>.
{ lib, hiveTypes }:
let
  inherit (lib) literalExpression mkOption types;
  inherit (hiveTypes) orNull;
in
{
  _file = ./agent-options.nix;
  options = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether there is this agent. Setting it to `false` is taking the declaration away: the agent is stopped and kept
        as a tombstone with its login and its notes.
      '';
    };

    model = orNull hiveTypes.model {
      defaultText = literalExpression "config.services.hyperhive.defaults.model";
      example = "sonnet";
      description = "The agent's model. A change takes effect with its next turn and restarts nothing.";
    };

    prompt = orNull types.lines {
      example = "You look after the build.";
      description = ''
        What the agent is told beside its name and the rules of the hive. A change takes effect with its next turn and
        restarts nothing.
      '';
    };

    config = orNull types.deferredModule {
      example = literalExpression "{ pkgs, ... }: { environment.systemPackages = [ pkgs.nodejs ]; }";
      description = ''
        NixOS configuration of the agent's container, in addition to what every container has. All agents without one
        share one system; one with it has its own, which costs an evaluation and possibly a build.
      '';
    };

    configFile = orNull types.path {
      example = literalExpression "./alice.nix";
      description = ''
        The same as {option}`config`, from a file, or a directory with a `default.nix`; a file is copied alone, without
        those beside it. Both may be set. What the manager proposes is built on top of this one, but an agent with a
        {option}`config` takes no proposals.
      '';
    };

    mutable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the manager may propose changes to the agent's system, for the operator to approve.";
    };

    mcpServers = mkOption {
      type = types.attrsOf (types.submodule (import ./mcp-options.nix { inherit lib hiveTypes; }));
      default = { };
      example = literalExpression ''{ tracker = { command = "tracker-mcp"; args = [ "--read-only" ]; }; }'';
      description = "MCP servers of the agent's own, by name. `hyperhive` is the hive's.";
    };

    tools = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "WebFetch"
        "WebSearch"
      ];
      description = "Tools that the agent's Claude may use beside those of {option}`defaults.tools`.";
    };

    allowedRecipients = orNull (types.listOf types.str) {
      example = [
        "bob"
        "manager"
      ];
      description = ''
        Whom the agent may write to: names of agents, `manager`, or `*` for all at once. Without a list, everybody.
        The operator can always be written to. A name that is not declared is a warning: an agent of that name may be
        made at run time.
      '';
    };

    environment = hiveTypes.environment {
      example = {
        ANTHROPIC_BASE_URL = "http://localhost:8080";
      };
      description = ''
        Environment of the agent's Claude, over {option}`defaults.environment`. It is readable by everybody on the host:
        a secret belongs into {option}`credentials`.
      '';
    };

    credentials = hiveTypes.credentials {
      description = "Secrets of the agent, over {option}`defaults.credentials`: variable to file.";
    };

    maxTurnMinutes = orNull hiveTypes.minutes {
      defaultText = literalExpression "config.services.hyperhive.defaults.maxTurnMinutes";
      example = 15;
      description = "Minutes after which the agent's turn is interrupted. Its message counts as failed, and comes again.";
    };

    limits = hiveTypes.limits { };

    budget = hiveTypes.budget "the agent, instead of what {option}`defaults.budget` says,";

    schedules = hiveTypes.schedules;

    autoStart = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the agent is started when the hive sees it for the first time. Later the hive keeps to what the operator
        wanted last.
      '';
    };

    extraNspawnFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--capability=CAP_SYS_NICE" ];
      description = ''
        Further arguments for {manpage}`systemd-nspawn(1)`, without spaces in them. Each makes the container less of a
        wall than the hive builds it. For directories use {option}`bindMounts`, for secrets {option}`credentials`.
      '';
    };

    bindMounts = mkOption {
      type = types.attrsOf (types.submodule (import ./bind-options.nix { inherit lib hiveTypes; }));
      default = { };
      example = literalExpression ''{ "/src" = { hostPath = "/srv/src"; isReadOnly = true; }; }'';
      description = "Directories of the host that the agent sees, by the place where it sees them.";
    };
  };
}
