# One message that comes again and again: services.hyperhive.agents.<name>.schedules.<schedule>.
{ lib, hiveTypes }:
let
  inherit (lib) mkOption types;
  inherit (hiveTypes) orNull;
in
{
  _file = ./schedule-options.nix;
  options = {
    cron = orNull types.str {
      example = "0 8 * * MON-FRI";
      description = ''
        When it comes: the five fields of {manpage}`crontab(5)`, in {option}`services.hyperhive.timeZone`. Either this
        or {option}`every`. That it is right is checked when the settings file is built.
      '';
    };

    every = orNull hiveTypes.span {
      example = "4h";
      description = ''
        How often it comes: a whole number and one of `s`, `m`, `h`, `d`, `w`; one minute at least. Counted from when
        the hive first saw it, whatever clocks say. Either this or {option}`cron`.
      '';
    };

    message = mkOption {
      type = types.lines;
      example = "Read the mailing list, and tell the operator what matters.";
      description = "What the agent is told. A change takes effect with the next time.";
    };
  };
}
