#!/usr/bin/env bash
# Makes or reuses the environment, then trains DCME on synthetic images, tests it and draws what it found: three minutes on two
# CPU cores once the environment is there. Nothing else is needed: no compiler, GPU, data set or weights.
#
#   bash tools/quickstart.sh              # in .venv; results under work_dirs/quickstart
#   bash tools/quickstart.sh --current    # in the Python that is active now
#
# MMEXT_ITERATIONS (default 320) sets the length of the training.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
esac
iterations=${MMEXT_ITERATIONS:-320}
if ! [[ $iterations =~ ^[1-9][0-9]{1,6}$ ]] || ((iterations < 20)); then
  echo "quickstart: MMEXT_ITERATIONS=$iterations must be a number from 20 up" >&2
  exit 2
fi

# shellcheck source=tools/setup_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh" "$@"
cd "$MMEXT_ROOT"
export OMP_WAIT_POLICY=passive PYTHONWARNINGS=ignore

config=configs/dcme/dcme_tiny_shapes.py out=work_dirs/quickstart
began=$SECONDS
echo "Training $config for $iterations iterations ..."
"$PYTHON" tools/train.py "$config" --work-dir "$out" --cfg-options \
  train_cfg.max_iters="$iterations" train_cfg.val_interval="$iterations" \
  param_scheduler.0.end="$((iterations / 20))" param_scheduler.1.T_max="$iterations" param_scheduler.1.end="$iterations" \
  default_hooks.checkpoint.interval="$iterations" |
  sed -u -nE -e '/Error/p' -e 's/.*Iter\(train\) +\[ *([0-9]+)\/([0-9]+)\].*eta: ([0-9:]+).* loss: ([0-9.]+).*/  iteration \1 of \2, loss \4, \3 to go/p'
checkpoint=$out/iter_$iterations.pth

echo "Testing, with the truth in place of one head or both ..."
"$PYTHON" tools/oracle_table.py "$config" "$checkpoint" --out "$out"
echo "Drawing ..."
"$PYTHON" tools/draw_results.py "$config" "$checkpoint" --out "$out/pictures" --num 8
echo "Trained, tested and drawn in $((SECONDS - began)) s."
