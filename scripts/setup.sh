#!/usr/bin/env bash
# Makes the environment: .venv with TensorFlow 2.21, or with --tf1 .venv-tf1 with
# TensorFlow 1.15; --gpu takes the CUDA builds. Running it again is quick and harmless.
#
# Usage: scripts/setup.sh [--tf1] [--gpu]
# $PYTHON (3.10 to 3.13) or, with --tf1, $PYTHON37 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tf1=false build=cpu
for argument in "$@"; do
  case "$argument" in
    --tf1) tf1=true ;;
    --gpu) build=gpu ;;
    *) echo "error: unknown argument $argument (known: --tf1 --gpu)" >&2; exit 2 ;;
  esac
done

# Prints the first of the commands that is one of the wanted Python versions.
find_python() {
  local wanted=$1 candidate
  shift
  for candidate in "$@"; do
    [ -n "$candidate" ] || continue
    if [[ " $wanted " == *" $("$candidate" -c \
      'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) "* ]]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

pyenv_root=${PYENV_ROOT:-$HOME/.pyenv}
if $tf1; then
  folder=.venv-tf1 extra=tf1
  [ "$build" = gpu ] && extra=tf1-gpu
  python=$(find_python 3.7 "${PYTHON37:-}" python3.7 \
    "$pyenv_root"/versions/3.7*/bin/python) || {
    echo "error: TensorFlow 1.15 needs Python 3.7, and none was found: neither" \
      "\$PYTHON37 nor python3.7 nor a pyenv version" >&2
    exit 3
  }
else
  folder=.venv extra=$build
  python=$(find_python "3.10 3.11 3.12 3.13" "${PYTHON:-}" python3 python3.{13,12,11,10} \
    "$pyenv_root"/versions/3.1[0-3]*/bin/python) || {
    echo "error: TensorFlow 2.21 needs Python 3.10 to 3.13; \$PYTHON can name one" >&2
    exit 3
  }
fi

# What was installed last, so that a second run has nothing to do.
stamp="$folder/.installed"
installed=$(cat "$stamp" 2>/dev/null || true)
# Without --gpu a CUDA build that is there is kept.
case "$installed" in gpu\ * | tf1-gpu\ *) extra=${installed%% *} ;; esac
wanted="$extra $(cksum <pyproject.toml)"
if [ "$installed" != "$wanted" ]; then
  echo "Installing into $folder ($("$python" --version), $extra) ..."
  [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
  # The builds have the same files: one must go before another comes.
  if [ -n "$installed" ] && [ "${installed%% *}" != "$extra" ]; then
    "$folder/bin/python" -m pip uninstall --quiet --yes \
      tensorflow tensorflow-cpu tensorflow-gpu
  fi
  "$folder/bin/python" -m pip install --quiet --prefer-binary --editable ".[$extra,test]"
  echo "$wanted" >"$stamp"
fi
echo "$folder is ready: . $folder/bin/activate"
