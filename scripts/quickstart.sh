#!/usr/bin/env bash
# From nothing to a trained, evaluated and exported classifier of titles: makes the
# environment, gets pretrained weights, and runs the main job on two towers.
#
# Usage: scripts/quickstart.sh [--tf1] [--gpu] [--data_dir=FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

setup=() folder=.venv data_dir=examples/ctr_titles
for argument in "$@"; do
  case "$argument" in
    --tf1) setup+=("$argument"); folder=.venv-tf1 ;;
    --data_dir=*) data_dir=${argument#*=} ;;
    *) setup+=("$argument") ;;
  esac
done

bash scripts/setup.sh ${setup[@]+"${setup[@]}"}
python=$folder/bin/python
bash scripts/get_minilm.sh "$python"
[ "$data_dir" != examples/ctr_titles ] || "$python" examples/ctr_titles/make_titles.py

# A quickstart starts anew; a run in a folder that has a checkpoint would be resumed.
rm -rf build/quickstart
"$python" ./bert_my/run_classifier_lr.py \
  --task_name=info \
  --do_lower_case=true \
  --do_train=true \
  --do_eval=true \
  --do_predict=true \
  --save_for_serving=true \
  --data_dir="$data_dir" \
  --vocab_file=build/minilm/vocab.txt \
  --bert_config_file=build/minilm/bert_config.json \
  --init_checkpoint=build/minilm/bert_model.ckpt \
  --max_seq_length=64 \
  --train_batch_size=32 \
  --learning_rate=2e-5 \
  --num_train_epochs=1.0 \
  --num_gpu_cores=2 \
  --logging_steps=10 \
  --output_dir=build/quickstart

cat <<END

Results in build/quickstart:
  report/index.html  the run in pictures: open it in a browser
  eval_results.txt   $(grep -E '^(auc|eval_accuracy)' build/quickstart/eval_results.txt | tr '\n' ' ')
  predictions.tsv    one row for each title: text, label, probabilities
  predict.txt        one class for each title
  serving/           SavedModel for TensorFlow Serving
  events.*           training curves: tensorboard --logdir=build/quickstart
END
