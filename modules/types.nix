# Types and option shapes that the hive's and an agent's options share. What a value may look like is the same as in
# python/hyperhive/config.py.
{ lib }:
let
  inherit (lib) mkOption types;
  inherit (types) strMatching;
in
rec {
  model = strMatching "[A-Za-z0-9][][A-Za-z0-9._:/@-]{0,127}" // {
    description = "name of a model";
  };

  minutes = types.addCheck (types.numbers.between 0 10080) (minutes: minutes > 0) // {
    description = "minutes, more than 0 and at most 10080";
  };

  span = strMatching "[0-9]{1,7}[smhdw]" // {
    description = "span of time, such as 90m, 12h or 14d";
  };

  orNull =
    type: rest:
    mkOption (
      {
        type = types.nullOr type;
        default = null;
      }
      // rest
    );

  environment =
    rest:
    mkOption (
      {
        type = types.attrsOf types.str;
        default = { };
      }
      // rest
    );

  credentials =
    rest:
    mkOption (
      {
        type = types.attrsOf types.externalPath;
        default = { };
        example = {
          ANTHROPIC_API_KEY = "/run/keys/anthropic";
        };
      }
      // rest
    );

  # `whose` is what the sentence about it begins with.
  budget = whose: {
    usd = orNull types.numbers.nonnegative {
      example = 5;
      description = ''
        Dollars that ${whose} may use in a day, as Claude Code reckons them. A day begins at midnight in
        {option}`timeZone`. Over it, messages wait until the day has ended or the operator has raised it for today.
      '';
    };

    tokens = orNull types.ints.unsigned {
      example = 2000000;
      description = ''
        Tokens that ${whose} may use in a day: sent, received and written to the cache, but not those read again from
        the cache.
      '';
    };

    turns = orNull types.ints.unsigned {
      example = 200;
      description = "Turns that ${whose} may have in a day.";
    };
  };

  # The manager has the same.
  schedules = mkOption {
    type = types.attrsOf (
      types.submodule (
        import ./schedule-options.nix {
          inherit lib;
          hiveTypes = { inherit orNull span; };
        }
      )
    );
    default = { };
    example = lib.literalExpression ''{ morning = { cron = "0 8 * * MON-FRI"; message = "Good morning."; }; }'';
    description = ''
      Messages that the agent gets again and again, by name. One that came due while the hive was down, or while the
      agent was not done with the one before, comes once and says how many it stands for.
    '';
  };

  # `defaults` are values for some of the three; the others have none.
  limits = defaults: {
    memoryMax = mkOption {
      type = types.nullOr (strMatching "[0-9]+[KMGT]?|infinity");
      default = defaults.memoryMax or null;
      example = "8G";
      description = "Memory; over it the kernel ends processes of the agent.";
    };

    cpuQuota = mkOption {
      type = types.nullOr (strMatching "[0-9]+%");
      default = defaults.cpuQuota or null;
      example = "50%";
      description = "Processor time; `200%` is two cores.";
    };

    tasksMax = mkOption {
      type = types.nullOr (types.addCheck types.ints.positive (count: count >= 8));
      default = defaults.tasksMax or null;
      example = 1024;
      description = "Processes and threads, at least 8.";
    };
  };
}
