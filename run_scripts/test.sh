#!/usr/bin/env bash
# Runs the tests, offline and on the CPU. Needs Python 3.10 or 3.11. Arguments are handed on to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# Two processes of one thread finish sooner than one process of two.
export OMP_NUM_THREADS=1
python -m pytest --numprocesses 2 --dist loadfile "$@"
