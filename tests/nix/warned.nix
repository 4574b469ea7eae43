# Configurations in one that work, but not as safely as they could, or not as they may be meant.
{
  services.hyperhive = {
    defaults.environment.ANTHROPIC_API_KEY = "made-up";
    budgets.usd = 5;
    agents.alice = {
      budget.usd = 7.5;
      environment.CLAUDE_CODE_OAUTH_TOKEN = "made-up";
      allowedRecipients = [
        "bop"
        "bob"
        "carol"
        "manager"
      ];
    };
    agents.bob = { };
    agents.carol.enable = false;
    database.url = "postgresql+psycopg://hive:made-up@db/hive";
  };
}
