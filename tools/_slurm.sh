# shellcheck shell=bash
# What slurm_train.sh and slurm_test.sh share: runs a tool under srun, one task a GPU, with mmdet's variables.

# Words after $0: tool, partition, job name, arguments of the tool.
slurm_run() {
  local tool=$1 partition=$2 job=$3 root gpus=${GPUS:-8} per_node words=()
  shift 3
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
  # The port follows from job and step, so that jobs which share a node don't meet; below 32768, where systems begin to lend ports.
  words=("${PYTHON:-python}" -u "$root/tools/$tool" "$@" --launcher slurm)
  # shellcheck disable=SC2016,SC2086  # the task expands the port; SRUN_ARGS and PY_ARGS are words
  PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" \
    --ntasks="$gpus" --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c 'export MASTER_PORT=${MASTER_PORT:-$((10000 + (SLURM_JOB_ID + 1000 * SLURM_STEP_ID) % 20000))}; exec "$@"' task \
    "${words[@]}" ${PY_ARGS:-}
}

# The comment at the head of a script, as its help.
slurm_help() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$1"
}
