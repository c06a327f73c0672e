#!/usr/bin/env bash
# Trains under slurm, one task a GPU:
#
#   bash tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [flags of train.py]
#
# example: GPUS=16 GPUS_PER_NODE=8 bash tools/slurm_train.sh gpu dcme configs/dcme/dcme_vgg16_80k_coco.py work_dirs/dcme --amp
#
# GPUS (default 8) are those of all nodes; GPUS_PER_NODE (default: GPUS, at most 8), CPUS_PER_TASK (default 5), SRUN_ARGS
# (more flags of srun), PY_ARGS (more flags of train.py), PYTHON (the interpreter, default python), MASTER_PORT (default: by the
# job's number). Without GPUs: SRUN_ARGS=--gres=none.
set -euo pipefail
tools=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tools/_slurm.sh
source "$tools/_slurm.sh"

case ${1:-} in -h | --help) slurm_help "${BASH_SOURCE[0]}"; exit ;; esac
usage="usage: bash tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR [flags of train.py]"
slurm_run train.py "${1:?$usage}" "${2:?$usage}" "${3:?$usage}" --work-dir "${4:?$usage}" "${@:5}"
