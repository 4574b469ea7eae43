# What is wrong in a configuration, said at evaluation: each with the option's path, the value and what to do.
#
# What the types of the options refuse is not here, and what check-config refuses only where the path says more.
{ config, lib, ... }:
let
  inherit (lib)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    filter
    filterAttrs
    flip
    mapAttrsToList
    optional
    ;
  hive = import ./lib { inherit lib; };

  cfg = config.services.hyperhive;
  agents = filterAttrs (_: agent: agent.enable) cfg.agents;
  fromSettings = cfg.settings.agents or { };
  names = attrNames (agents // fromSettings);
  wellNamed = filter (name: hive.isAgentName name && name != hive.manager) names;

  at = path: "`services.hyperhive.${path}`";
  quote = names: concatStringsSep " and " (map (name: "'${name}'") names);
  forAgents = f: concatLists (mapAttrsToList f agents);

  badNames = flip concatMap names (
    name:
    if name == hive.manager then
      [ "${at "agents.${name}"}: the hive makes 'manager' itself; set ${at "manager.model"} and ${at "manager.prompt"}." ]
    else if lib.elem name hive.reservedNames then
      [ "${at "agents.${name}"}: '${name}' is reserved (${toString hive.reservedNames}); choose another name." ]
    else if hive.isAgentName name then
      [ ]
    else if lib.stringLength name > 9 then
      [
        "${at "agents.${name}"}: '${name}' has ${toString (lib.stringLength name)} characters; 9 at most, because the container is 'h-${name}' and nixos-container allows 11."
      ]
    else
      [
        "${at "agents.${name}"}: '${name}' cannot be an agent's name: 1 to 9 characters, small letters, digits and hyphens, the first a letter."
      ]
  );

  dashboardPort = cfg.settings.dashboard.port or cfg.dashboard.port;

  collisions =
    mapAttrsToList (
      port: group:
      "${at "agents"}: ${quote group} get the same web port ${port}, which follows from the name; rename one of them."
    ) (hive.portCollisions wellNamed)
    ++
      map
        (
          name:
          "${at "dashboard.port"}: ${toString dashboardPort} is the port of the page of '${name}'; choose another, outside 8000 and 8100 to 8999."
        )
        (
          filter (name: hive.webPort name == dashboardPort) (
            wellNamed ++ optional cfg.manager.enable hive.manager
          )
        );

  recipientsOf = agent: if agent.allowedRecipients == null then [ ] else agent.allowedRecipients;

  badRecipients = forAgents (
    name: agent:
    concatMap (
      recipient:
      optional (
        !lib.elem recipient hive.otherRecipients
        && (!hive.isAgentName recipient || lib.elem recipient hive.reservedNames)
      ) "${at "agents.${name}.allowedRecipients"}: '${recipient}' cannot be an agent's name."
    ) (recipientsOf agent)
  );

  # An agent of that name may be made at run time.
  undeclaredRecipients = forAgents (
    name: agent:
    concatMap (
      recipient:
      optional (hive.isAgentName recipient && !lib.elem recipient (names ++ hive.otherRecipients)) (
        "${at "agents.${name}.allowedRecipients"}: no agent '${recipient}' is declared, so there is one only where it is "
        + "spawned; declared are ${quote names}, and 'manager', 'operator' and '*' always exist."
      )
    ) (recipientsOf agent)
  );

  # The options' own type refuses the store; `settings` has no types.
  secrets =
    let
      check =
        path: value:
        optional
          (
            builtins.isPath value
            || lib.isString value
            && (builtins.hasContext value || lib.hasPrefix builtins.storeDir value)
          )
          "${at "settings.${path}"}: '${toString value}' is or would be in the Nix store, which everybody can read; write the path of a file outside of it as a string.";
      all = path: found: concatLists (mapAttrsToList (name: check "${path}.${name}") found);
    in
    check "dashboard.operatorTokenFile" (cfg.settings.dashboard.operatorTokenFile or null)
    ++ check "metrics.tokenFile" (cfg.settings.metrics.tokenFile or null)
    ++ check "notifications.urlFile" (cfg.settings.notifications.urlFile or null)
    ++ all "defaults.credentials" (cfg.settings.defaults.credentials or { })
    ++ concatLists (
      mapAttrsToList (
        name: agent: all "agents.${name}.credentials" (agent.credentials or { })
      ) fromSettings
    );

  unquoted = "it goes on nspawn's command line without quotes, so it has no space and none of * ? [ ] \\ \" ' $ `";

  flags = forAgents (
    name: agent:
    concatMap (
      flag:
      let
        path = at "agents.${name}.extraNspawnFlags";
        owned = filter (own: flag == own || lib.hasPrefix "${own}=" flag) hive.ownFlags;
      in
      if hive.cannotBeWord flag || !lib.hasPrefix "-" flag then
        [ "${path}: '${flag}' cannot be an argument here: it begins with '-', and ${unquoted}." ]
      else
        optional (owned != [ ])
          "${path}: '${flag}' is what the hive sets itself; for directories use ${at "agents.${name}.bindMounts"}, for secrets ${at "agents.${name}.credentials"}."
    ) agent.extraNspawnFlags
  );

  # A path in a flag of the form --x=PATH:… .
  unbindable =
    path: hive.cannotBeWord path || lib.hasInfix ":" path || !lib.hasPrefix "/" path;

  bind =
    agent: place: mount:
    let
      path = at "agents.${agent}.bindMounts.\"${place}\"";
    in
    map (bad: "${path}: '${bad}' cannot be bound: it is absolute, has no ':', and ${unquoted}.") (
      filter unbindable (
        lib.unique [
          place
          (if mount.hostPath == null then place else mount.hostPath)
        ]
      )
    )
    ++ optional (lib.elem place hive.ownPlaces) "${path}: '${place}' is a place of the hive's own in every container; choose another.";

  # Of whoever is declared at `owner`.
  schedulesOf =
    owner: all:
    concatLists (
      mapAttrsToList (
        schedule: its:
        let
          path = at "${owner}.schedules.${schedule}";
        in
        optional (
          (its.cron == null) == (its.every == null)
        ) "${path}: a schedule has either `cron` or `every`; this has ${if its.cron == null then "neither" else "both"}."
        ++ optional (
          builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,31}" schedule == null
        ) "${path}: '${schedule}' cannot be a schedule's name: 1 to 32 letters, digits and . _ -, the first a letter or digit."
        ++ optional (
          its.every != null && hive.seconds its.every < 60
        ) "${at "${owner}.schedules.${schedule}.every"}: '${its.every}' is too often; once a minute at most."
      ) all
    );

  schedules =
    schedulesOf "manager" cfg.manager.schedules
    ++ forAgents (name: agent: schedulesOf "agents.${name}" agent.schedules);

  ttl =
    let
      seconds = hive.seconds cfg.approvals.ttl;
    in
    optional (
      seconds < 60 || seconds > hive.seconds "52w"
    ) "${at "approvals.ttl"}: '${cfg.approvals.ttl}' is too short or too long; a request waits between 1m and 52w.";

  binds = forAgents (name: agent: concatLists (mapAttrsToList (bind name) agent.bindMounts));

  servers = forAgents (
    name: agent:
    concatLists (
      mapAttrsToList (
        key: server:
        let
          path = at "agents.${name}.mcpServers.${key}";
        in
        optional (key == "hyperhive") "${path}: 'hyperhive' is the hive's own MCP server; choose another name."
        ++
          optional (builtins.match "[A-Za-z0-9](_?[A-Za-z0-9-]){0,31}" key == null)
            "${path}: '${key}' is no name of an MCP server: letters, digits, '-' and single '_', 32 at most."
        ++
          optional ((server.command == null) == (server.url == null))
            "${path}: '${key}' needs either `command`, a program, or `url`, the address of a server that runs already."
        ++
          optional (server.url != null && (server.args != [ ] || server.env != { }))
            "${path}: '${key}' has a `url`, but `args` and `env` are a program's; use `headers`."
        ++
          optional (server.command != null && server.headers != { })
            "${path}: '${key}' has a `command`, but `headers` are sent to a `url`; use `env`."
      ) agent.mcpServers
    )
  );

  credentialPaths =
    let
      check =
        path: found:
        concatLists (
          mapAttrsToList (
            variable: file:
            optional (hive.cannotBeWord file) "${at "${path}.credentials.${variable}"}: '${file}' cannot be handed to a container: ${unquoted}."
          ) found
        );
    in
    check "defaults" cfg.defaults.credentials
    ++ forAgents (name: agent: check "agents.${name}" agent.credentials);

  stateDir =
    optional (unbindable cfg.stateDir)
      "${at "stateDir"}: '${cfg.stateDir}' cannot be bound into containers: it is absolute, has no ':', and ${unquoted}.";

  # Their own messages say what is wrong, but not in which agent's system.
  ownSystems = concatLists (
    mapAttrsToList (
      name: system:
      concatMap (
        found: optional (!found.assertion) "${at "agents.${name}.config"}: ${found.message}"
      ) system.config.assertions
    ) cfg.systems.own
  );

  host =
    optional (lib.versionOlder lib.trivial.release "25.11")
      "${at "enable"}: hyperhive needs NixOS 25.11 or newer; this is ${lib.trivial.release}."
    ++
      optional (lib.versionOlder config.system.stateVersion "22.05")
        "${at "enable"}: with `system.stateVersion` '${config.system.stateVersion}' nixos-container keeps its files in /etc/containers; hyperhive needs 22.05 or newer."
    ++
      optional (!config.boot.enableContainers)
        "${at "enable"}: `boot.enableContainers` is false; without it there is no container@.service for the agents. Take that away."
    ++
      optional (!config.nix.enable)
        "${at "enable"}: `nix.enable` is false; the hive makes containers with nix-env, and their start needs the nix daemon's socket. Take that away.";

  # Proposals are the manager's, and built by somebody whom the nix daemon lets in, and no more than that.
  builder =
    let
      nix = config.nix.settings;
      names = [
        "*"
        "hyperhive-builder"
        "@hyperhive-builder"
      ];
      among = users: filter (name: lib.elem name users) names;
      path = at "manager.enable";
    in
    lib.optionals cfg.manager.enable (
      optional (among nix.allowed-users == [ ])
        "${path}: `nix.settings.allowed-users` leaves out 'hyperhive-builder', who builds what the manager proposes. Add it there."
      ++
        optional (among nix.trusted-users != [ ])
          "${path}: `nix.settings.trusted-users` has '${lib.head (among nix.trusted-users)}': the nix daemon would trust whoever builds what the manager proposes. Take that away."
      ++
        optional (nix.sandbox != true)
          "${path}: `nix.settings.sandbox` is not true: what the manager proposes would be built with the host in sight. Set it, or have no manager."
    );
  # Not wrong, but never reached.
  overHive =
    path: budget:
    concatMap (
      kind:
      optional
        (budget.${kind} != null && cfg.budgets.${kind} != null && budget.${kind} > cfg.budgets.${kind})
        "${at "${path}.${kind}"} is ${toString budget.${kind}}, more than the whole hive may use in a day: ${
          at "budgets.${kind}"
        } is ${toString cfg.budgets.${kind}}."
    ) (attrNames cfg.budgets);

  tokens = [
    "ANTHROPIC_API_KEY"
    "ANTHROPIC_AUTH_TOKEN"
    "CLAUDE_CODE_OAUTH_TOKEN"
  ];
  openSecrets =
    path: environment:
    map (
      name:
      "${at "${path}.environment.${name}"} stands in the Nix store, which everybody can read; put it into a file and name that in ${at "${path}.credentials.${name}"}."
    ) (filter (name: environment ? ${name}) tokens);
in
{
  config = lib.mkIf cfg.enable {
    assertions =
      map
        (message: {
          assertion = false;
          inherit message;
        })
        (concatLists [
          host
          builder
          badNames
          collisions
          badRecipients
          secrets
          flags
          schedules
          ttl
          binds
          servers
          credentialPaths
          stateDir
          ownSystems
        ]);

    warnings =
      undeclaredRecipients
      ++ openSecrets "defaults" cfg.defaults.environment
      ++ forAgents (name: agent: openSecrets "agents.${name}" agent.environment)
      ++ overHive "defaults.budget" cfg.defaults.budget
      ++ overHive "manager.budget" cfg.manager.budget
      ++ forAgents (name: agent: overHive "agents.${name}.budget" agent.budget)
      ++
        optional (cfg.database.url != null && builtins.match "[^:]+://[^/@]*:[^/@]+@.*" cfg.database.url != null)
          "${at "database.url"} has a password, and stands in the Nix store, which everybody can read; use a Unix socket with peer authentication.";
  };
}
