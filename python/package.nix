{
  lib,
  buildPythonApplication,
  hatchling,

  alembic,
  claude-agent-sdk,
  cronsim,
  fastapi,
  httptools,
  httpx,
  prometheus-client,
  pydantic,
  pydantic-settings,
  rich,
  sqlalchemy,
  sqlmodel,
  starlette,
  typer,
  uvicorn,

  claude-code,
  gitMinimal,
}:
let
  project = (lib.importTOML ./pyproject.toml).project;
in
buildPythonApplication {
  pname = "hyperhive";
  inherit (project) version;
  pyproject = true;

  # Only what is built, so that a change of the tests or the lock files changes no system.
  src = lib.fileset.toSource {
    root = ./.;
    fileset = lib.fileset.unions [
      ./pyproject.toml
      (lib.fileset.fileFilter (file: !file.hasExt "pyc") ./hyperhive)
    ];
  };

  build-system = [ hatchling ];

  dependencies = [
    alembic
    claude-agent-sdk
    cronsim
    fastapi
    httptools
    httpx
    prometheus-client
    pydantic
    pydantic-settings
    rich
    sqlalchemy
    sqlmodel
    starlette
    typer
    uvicorn
  ];

  # nixpkgs' claude-agent-sdk comes without the claude program that its wheel has. At the end of PATH, so that another
  # one that an agent's own system installs wins.
  makeWrapperArgs = [
    "--suffix"
    "PATH"
    ":"
    (lib.makeBinPath [
      claude-code
      gitMinimal
    ])
  ];

  # The tests need a network, a systemd or a browser; `make test` runs them.
  doCheck = false;
  pythonImportsCheck = [ "hyperhive.cli" ];

  meta = {
    inherit (project) description;
    license = lib.licenses.mit;
    mainProgram = "hyperhive";
    platforms = lib.platforms.linux;
  };
}
