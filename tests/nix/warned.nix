# Three configurations in one that work, but not as safely as they could.
{
  services.hyperhive = {
    defaults.environment.ANTHROPIC_API_KEY = "made-up";
    agents.alice.environment.CLAUDE_CODE_OAUTH_TOKEN = "made-up";
    database.url = "postgresql+psycopg://hive:made-up@db/hive";
  };
}
