"""PPO and SAC with rollout and replay in torch tensors on the device of the environments."""
