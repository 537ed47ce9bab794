#!/usr/bin/env bash
# Runs the tests, offline and on the CPU. Needs Python 3.10 or 3.11. Passes its arguments on to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# Two processes with one thread each finish sooner than one process with two threads.
export OMP_NUM_THREADS=1
python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
