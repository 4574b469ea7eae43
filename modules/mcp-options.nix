# One MCP server of an agent: services.hyperhive.agents.<name>.mcpServers.<server>.
{ lib, hiveTypes }:
let
  inherit (lib) mkOption types;
  inherit (hiveTypes) orNull;
in
{
  _file = ./mcp-options.nix;
  options = {
    command = orNull types.str {
      example = "tracker-mcp";
      description = ''
        Program that is the server, on its standard input and output, in the agent's container. Either this or
        {option}`url`. In all that is said of a server, `''${NAME}` stands for a variable of the agent's Claude, so also
        for one of its {option}`credentials`.
      '';
    };

    args = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--read-only" ];
      description = "A program's arguments.";
    };

    env = hiveTypes.environment {
      description = "A program's environment, beside that of the agent's Claude.";
    };

    url = orNull types.str {
      example = "http://localhost:3000/mcp";
      description = "Address of a server that runs already. Either this or {option}`command`.";
    };

    headers = hiveTypes.environment {
      example = {
        Authorization = "Bearer \${TRACKER_TOKEN}";
      };
      description = "Headers of each request to {option}`url`.";
    };

    allowedTools = orNull (types.listOf types.str) {
      example = [ "list_issues" ];
      description = "Which of its tools the agent may use. Without a list, all.";
    };
  };
}
