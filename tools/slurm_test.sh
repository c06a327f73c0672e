#!/usr/bin/env bash
# Evaluates a checkpoint under slurm, one task a GPU:
#
#   bash tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [flags of test.py]
#
# example: GPUS=8 bash tools/slurm_test.sh gpu dcme configs/dcme/dcme_vgg16_80k_coco.py work_dirs/dcme/iter_80000.pth
#
# The variables are those of slurm_train.sh.
set -euo pipefail
tools=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tools/_slurm.sh
source "$tools/_slurm.sh"

case ${1:-} in -h | --help) slurm_help "${BASH_SOURCE[0]}"; exit ;; esac
usage="usage: bash tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [flags of test.py]"
slurm_run test.py "${1:?$usage}" "${2:?$usage}" "${3:?$usage}" "${4:?$usage}" "${@:5}"
