"""PPO and SAC for one capital over any number of coins."""
