#!/usr/bin/env bash
# Makes the environment that quickstart.sh and run_tests.sh run in, or reuses it. Nothing is compiled.
#
#   bash tools/setup_env.sh              # virtual environment .venv beside this folder
#   bash tools/setup_env.sh --current    # install into the Python that is active now
#   MMEXT_STACK=onedl bash tools/setup_env.sh    # the onedl forks of OpenMMLab, in .venv-onedl
#
# Sourced with the same arguments, it leaves PYTHON pointing at the interpreter. MMEXT_VENV names another folder
# for the environment, MMEXT_PYTHON the interpreter that makes it (3.10 to 3.13).
set -euo pipefail

MMEXT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MMEXT_STACK=${MMEXT_STACK:-openmmlab}

mmext_find_python() {
  local candidate
  for candidate in ${MMEXT_PYTHON:-} python3.12 python3.11 python3.13 python3.10 python3 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "setup_env: no Python 3.10 to 3.13 with venv found; set MMEXT_PYTHON=/path/to/python" >&2
  return 1
}

mmext_install() {
  local python=$1 requirements=$MMEXT_ROOT/requirements
  local pip=("$python" -m pip install -qq --disable-pip-version-check --only-binary=:all:)
  echo "[1/5] setuptools with pkg_resources (mmengine 0.10.7 imports it)"
  "${pip[@]}" -r "$requirements/build.txt"
  echo "[2/5] torch and torchvision (the largest download)"
  "${pip[@]}" -r "$requirements/torch.txt"
  echo "[3/5] array, imaging and model libraries"
  "${pip[@]}" -r "$requirements/runtime.txt" -r "$requirements/export.txt" -r "$requirements/tests.txt"
  echo "[4/5] OpenMMLab ($MMEXT_STACK), pure Python"
  "${pip[@]}" --no-deps --no-build-isolation --no-binary=onedl-mmdetection,onedl-mmsegmentation,onedl-mmpretrain \
    -r "$requirements/$MMEXT_STACK.txt" -r "$requirements/metrics.txt" -r "$requirements/mim.txt"
  echo "[5/5] mmext_instseg, editable, with the start-up hook for missing compiled ops"
  "$python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e "$MMEXT_ROOT"
  (cd "$MMEXT_ROOT" && "$python" setup.py -q egg_info)  # by it `PYTHONPATH=. mim` finds this folder
  (cd / && "$python" "$MMEXT_ROOT/mmext_instseg/compat/startup.py" --install)
}

# Both stacks write to the same folders.
mmext_refuse_other_stack() {
  local other=onedl-mmengine
  [ "$MMEXT_STACK" = openmmlab ] || other=mmengine
  if "$1" -m pip --disable-pip-version-check show -qq "$other" 2>/dev/null; then
    echo "setup_env: $1 holds the other stack ($other); name another folder by MMEXT_VENV" >&2
    return 2
  fi
}

mmext_setup() {
  local venv stamp want
  case $MMEXT_STACK in
    openmmlab) venv=${MMEXT_VENV:-$MMEXT_ROOT/.venv} ;;
    onedl) venv=${MMEXT_VENV:-$MMEXT_ROOT/.venv-onedl} ;;
    *) echo "setup_env: MMEXT_STACK=$MMEXT_STACK must be openmmlab or onedl" >&2; return 2 ;;
  esac
  [[ $venv = /* ]] || venv=$PWD/$venv  # what follows changes the folder
  if [ "${1:-}" = --current ]; then
    PYTHON=$(command -v "${MMEXT_PYTHON:-python3}")
    stamp=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mmext_instseg_env.stamp
  elif [ -n "${1:-}" ]; then
    echo "setup_env: unknown argument $1 (only --current is known)" >&2
    return 2
  else
    PYTHON=$venv/bin/python stamp=$venv/mmext_instseg_env.stamp
  fi
  # One changed line in what an environment is made from makes it anew; otherwise it is reused in a second.
  want=$(cd "$MMEXT_ROOT" && { pwd; cat requirements/{build,torch,runtime,$MMEXT_STACK,metrics,mim,export,tests}.txt setup.py mmext_instseg/compat/startup.py; } | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && "$PYTHON" -c '' 2>/dev/null; then
    echo "Environment: $PYTHON (reused)"
    return
  fi
  if [ "${1:-}" != --current ]; then
    local base
    base=$(mmext_find_python)
    echo "Environment: $venv, made with $base"
    "$base" -m venv "$venv"
  fi
  mmext_refuse_other_stack "$PYTHON"
  local began=$SECONDS
  mmext_install "$PYTHON"
  echo "$want" > "$stamp"
  echo "Environment ready in $((SECONDS - began)) s: $PYTHON"
}

mmext_setup "$@"
