#!/usr/bin/env bash
# Pre-trains FashionFAE on FashionGen-Mini and evaluates it. Needs Python 3.10 or 3.11.
# Passes its arguments on, e.g. --options run.max_iters=100
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
python -m lavis.train --cfg-path projects/fashionfae/pretrain.yaml "$@"
