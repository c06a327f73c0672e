#!/usr/bin/env bash
# Trains on several GPUs, or several machines:
#
#   bash tools/dist_train.sh CONFIG GPUS [flags of train.py]
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 bash tools/dist_train.sh CONFIG 8 --amp
#
# GPUS are those of one machine. Set PORT when two jobs share a machine, PYTHON to name an interpreter.
set -euo pipefail
usage="usage: bash tools/dist_train.sh CONFIG GPUS [flags of train.py]"
config=${1:?$usage} gpus=${2:?$usage}
tools=$(dirname "${BASH_SOURCE[0]}")

PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$tools/train.py" "$config" --launcher pytorch "${@:3}"
