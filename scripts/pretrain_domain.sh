#!/usr/bin/env bash
# Continues the pretraining of a model on one's own text, and says what that brought:
# builds data, trains, and evaluates before and after on documents that are held back.
#
# Usage: scripts/pretrain_domain.sh TEXT... [--model=DIR] [--output_dir=DIR] [--FLAG=...]
# TEXT: files or globs; one sentence a line, a blank line between documents. In a file of
#   titles, where each line is a document, give --line_documents.
# --model: folder with vocab.txt, bert_config.json and bert_model.ckpt; default: MiniLM.
# --output_dir: default build/domain; a run in it is resumed.
# --tf1, --gpu: as in setup.sh. All other flags go to create_pretraining_data.py
#   (--masking, --dupe_factor, ...) or run_pretraining_mgpu.py (--num_train_steps,
#   --learning_rate, --n_gpus, ...), those that both know to both.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup=() folder=.venv texts=() model= output_dir=build/domain
data_flags=(--next_sentence=none)
train_flags=(--next_sentence=none --num_train_steps=1000 --learning_rate=1e-4)
warmup=
for argument in "$@"; do
  case "$argument" in
    --tf1) setup+=("$argument"); folder=.venv-tf1 ;;
    --gpu) setup+=("$argument") ;;
    --model=*) model=${argument#*=} ;;
    --output_dir=*) output_dir=${argument#*=} ;;
    --vocab_add=* | --max_seq_length=* | --max_predictions_per_seq=* | \
      --next_sentence=* | --do_lower_case=* | --nodo_lower_case)
      data_flags+=("$argument"); train_flags+=("$argument") ;;
    --line_documents* | --masking=* | --do_whole_word_mask* | --dupe_factor=* | \
      --masked_lm_prob=* | --short_seq_prob=* | --random_seed=* | --num_workers=* | \
      --dev_share=*)
      data_flags+=("$argument") ;;
    --num_warmup_steps=* | --warmup_steps=*) warmup=$argument ;;
    --*) train_flags+=("$argument") ;;
    *) texts+=("$argument") ;;
  esac
done
[ "${#texts[@]}" -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }

# Without a warm-up that was asked for it is a tenth of the steps.
for flag in "${train_flags[@]}"; do
  case "$flag" in
    --num_train_steps=* | --max_steps=*) steps=${flag#*=} ;;
  esac
done
train_flags+=("${warmup:---num_warmup_steps=$((steps / 10))}")

bash "$here/scripts/setup.sh" ${setup[@]+"${setup[@]}"}
python=$here/$folder/bin/python
if [ -z "$model" ]; then
  bash "$here/scripts/get_minilm.sh" "$python"
  model=$here/build/minilm
fi
mkdir -p "$output_dir"
input=$(IFS=, && echo "${texts[*]}")

echo "== Building data"
"$python" "$here/create_pretraining_data.py" "${data_flags[@]}" \
  --input_file="$input" \
  --vocab_file="$model/vocab.txt" \
  --output_file="$output_dir/data/train.tfrecord" \
  --dev_output_file="$output_dir/data/dev.tfrecord"

# Arguments: folder of the run, then more flags.
pretrain() {
  local run_dir=$1
  shift
  "$python" "$here/run_pretraining_mgpu.py" "${train_flags[@]}" \
    --input_file="$output_dir/data/train.tfrecord" \
    --dev_file="$output_dir/data/dev.tfrecord" \
    --vocab_file="$model/vocab.txt" \
    --bert_config_file="$model/bert_config.json" \
    --init_checkpoint="$model/bert_model.ckpt" \
    --max_eval_steps=0 --do_eval=true --output_dir="$run_dir" "$@"
}

if "$python" - "$model/bert_model.ckpt" <<'END'
import sys
import tensorflow.compat.v1 as tf
names = [name for name, _ in tf.train.list_variables(sys.argv[1])]
sys.exit("cls/predictions/output_bias" not in names)
END
then
  echo "== Evaluating the model as it is"
  pretrain "$output_dir/before"
else
  echo "== The model has no masked-LM head: training that alone, to have one to compare"
  # It has more to learn than the encoder. A flag that was given stands behind it.
  train_flags=(--head_learning_rate=3e-3 "${train_flags[@]}")
  pretrain "$output_dir/before" --do_train=true --freeze=bert
fi
echo "== Continuing the pretraining"
pretrain "$output_dir/model" --do_train=true

# Prints the held-back masked-LM loss of a run.
loss_of() {
  sed -n 's/^masked_lm_loss = //p' "$output_dir/$1/eval_results.txt"
}
awk -v before="$(loss_of before)" -v after="$(loss_of model)" 'BEGIN {
  printf "\nHeld-back masked-LM loss: %.3f -> %.3f\n", before, after
  printf "Perplexity: %.1f -> %.1f\n", exp(before), exp(after)
}'
cat <<END

The model is in $output_dir/model; fine-tune it with
  --init_checkpoint=$output_dir/model/model.ckpt-$steps
  --vocab_file=$output_dir/model/vocab.txt
  --bert_config_file=$output_dir/model/bert_config.json
Pictures of the training: $output_dir/model/report/index.html
END
