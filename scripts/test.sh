#!/usr/bin/env bash
# Makes the environments and runs every test on TensorFlow 2.21, then on TensorFlow 1.15
# if there is a Python 3.7. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
folders=(.venv)
status=0
bash scripts/setup.sh --tf1 || status=$?
case $status in
  0) folders+=(.venv-tf1) ;;
  3) echo "NOT TESTED on TensorFlow 1.15: see the error above." >&2 ;;
  *) exit "$status" ;;
esac
bash scripts/get_minilm.sh .venv/bin/python

for folder in "${folders[@]}"; do
  echo "Testing in $folder: $("$folder/bin/python" --version)," \
    "$("$folder/bin/python" -m pip list 2>/dev/null | grep -E '^tensorflow[_-]?(cpu|gpu)? ')"
  "$folder/bin/python" -m pytest "$@"
done
