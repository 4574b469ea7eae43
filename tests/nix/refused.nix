# What the types of the options refuse, with the option that the error has to name.
{
  tokenInStore = {
    module.services.hyperhive.dashboard.operatorTokenFile = "${builtins.storeDir}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-token";
    path = "dashboard.operatorTokenFile";
    words = "absolute path not in the Nix store";
  };
  keyAsPath = {
    module.services.hyperhive.agents.alice.credentials.KEY = ./refused.nix;
    path = "agents.alice.credentials.KEY";
    words = "absolute path not in the Nix store";
  };
  keyAsValue = {
    module.services.hyperhive.defaults.credentials.ANTHROPIC_API_KEY = "sk-made-up";
    path = "defaults.credentials.ANTHROPIC_API_KEY";
    words = "absolute path not in the Nix store";
  };
  model = {
    module.services.hyperhive.agents.alice.model = "so nnet";
    path = "agents.alice.model";
    words = "name of a model";
  };
  limit = {
    module.services.hyperhive.agents.alice.limits.memoryMax = "lots";
    path = "agents.alice.limits.memoryMax";
    words = "lots";
  };
  span = {
    module.services.hyperhive.agents.alice.schedules.daily = {
      every = "daily";
      message = "x";
    };
    path = "agents.alice.schedules.daily.every";
    words = "daily";
  };
  ttl = {
    module.services.hyperhive.approvals.ttl = "a fortnight";
    path = "approvals.ttl";
    words = "span of time";
  };
  typo = {
    module.services.hyperhive.agents.alice.promt = "x";
    path = "agents.alice.promt";
    words = "does not exist";
  };
}
