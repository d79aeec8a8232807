#!/usr/bin/env bash
# The GPU check: parity of 65 environments x 4,096 decisions with the CPU in all modes, steps per
# second, a training in CUDA graphs against its functions, PPO and SAC end to end, a known optimum.
# On a machine with an NVIDIA GPU and `pip install '.[train,cuda]'`. The first minute compiles the
# kernel. What counts most comes first; --sections chooses.
set -euo pipefail
python -m experiments.gpu --out runs/gpu.json "$@"
