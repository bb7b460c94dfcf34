#!/usr/bin/env bash
# Makes the environments and tests on TensorFlow 2.21 and, if there is a Python 3.7, on
# TensorFlow 1.15: of each matrix of variants the most telling cases, and what does not
# depend on TensorFlow on the first only. --all leaves out nothing.
#
# Usage: scripts/test.sh [--all] [PATH...] [ARGUMENTS OF PYTEST]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
folders=.venv
status=0
bash scripts/setup.sh --tf1 || status=$?
case $status in
  0) folders+=,.venv-tf1 ;;
  3) echo "NOT TESTED on TensorFlow 1.15: see the error above." >&2 ;;
  *) exit "$status" ;;
esac
bash scripts/get_minilm.sh .venv/bin/python

for folder in ${folders/,/ }; do
  echo "$folder: $("$folder/bin/python" --version)," \
    "$("$folder/bin/python" -m pip list 2>/dev/null | grep -E '^tensorflow[_-]?(cpu|gpu)? ')"
done
exec .venv/bin/python scripts/run_tests.py "$folders" "$@"
