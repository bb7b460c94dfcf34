#!/usr/bin/env bash
# Makes the environments and runs every test on TensorFlow 2.21 and, if there is a
# Python 3.7, on TensorFlow 1.15. Arguments go to pytest.
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

# Takes the place of the shell that it runs in.
run_suite() {
  local folder=$1
  shift
  echo "Testing in $folder: $("$folder/bin/python" --version)," \
    "$("$folder/bin/python" -m pip list 2>/dev/null | grep -E '^tensorflow[_-]?(cpu|gpu)? ')"
  exec "$folder/bin/python" -m pytest -o cache_dir="$folder/.pytest_cache" "$@"
}

# Both at once: a suite keeps little more than one core busy. What the second prints
# comes after the first.
log=$(mktemp)
second=
trap '[ -z "$second" ] || kill "$second" 2>/dev/null || true; rm -f "$log"' EXIT
if [ "${#folders[@]}" = 2 ]; then
  run_suite "${folders[1]}" "$@" >"$log" 2>&1 &
  second=$!
fi
status=0
(run_suite "${folders[0]}" "$@") || status=$?
if [ -n "$second" ]; then
  wait "$second" || status=$?
  cat "$log"
fi
exit "$status"
