#!/usr/bin/env bash
# Makes or reuses the environment, then runs the whole test suite.
#
#   bash tools/run_tests.sh                      # everything, in .venv
#   bash tools/run_tests.sh --current            # in the Python that is active now
#   bash tools/run_tests.sh -- tests/codecs -x   # what follows -- goes to pytest
#   MMEXT_STACK=onedl bash tools/run_tests.sh    # with the onedl forks of OpenMMLab, in .venv-onedl
#
# MMEXT_REAL_DATA names the folder of real images that some tests use (default ../shared/data); without it they are skipped.
set -euo pipefail

environment=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
    --) shift; break ;;
    *) environment+=("$1"); shift ;;
  esac
done

# shellcheck source=tools/setup_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh" "${environment[@]:-}"  # an empty argument: else it would see ours
cd "$MMEXT_ROOT"
# A process a core, each with one thread; spinning threads of one would slow down another's.
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
exec "$PYTHON" -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal "$@"
