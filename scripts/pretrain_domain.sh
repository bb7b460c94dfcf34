#!/usr/bin/env bash
# Continues the pretraining of a model on one's own text, and says what that brought:
# builds data, trains, and evaluates before and after on documents that are held back.
#
# Usage: scripts/pretrain_domain.sh TEXT... [--model=DIR] [--output_dir=DIR] [--FLAG=...]
# TEXT: files; one sentence a line, a blank line between documents. In a file of titles,
#   where each line is a document, give --line_documents.
# --model: folder with vocab.txt, bert_config.json and bert_model.ckpt; default: MiniLM.
#   --init_checkpoint chooses another checkpoint.
# --output_dir: default build/domain; a run in it is resumed.
# --tf1, --gpu: as in setup.sh. All other flags go to create_pretraining_data.py
#   (--masking, --dupe_factor, ...) or run_pretraining_mgpu.py (--num_train_steps,
#   --learning_rate, --n_gpus, ...), those that both know to both.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { echo "error: $*" >&2; exit 1; }

setup=() folder=.venv texts=() model= checkpoint= output_dir=build/domain
data_flags=(--next_sentence=none)
train_flags=(--next_sentence=none --learning_rate=1e-4 --max_eval_steps=0)
steps=1000 warmup=
for argument in "$@"; do
  case "$argument" in
    --tf1) setup+=("$argument"); folder=.venv-tf1 ;;
    --gpu) setup+=("$argument") ;;
    --model=*) model=${argument#*=} ;;
    --init_checkpoint=*) checkpoint=${argument#*=} ;;
    --output_dir=*) output_dir=${argument#*=} ;;
    --num_train_steps=* | --max_steps=*) steps=${argument#*=} ;;
    --num_warmup_steps=* | --warmup_steps=*) warmup=${argument#*=} ;;
    --do_train* | --do_eval* | --input_file* | --input_dir* | --dev_file* | \
      --output_file* | --dev_output_file* | --vocab_file* | --bert_config_file* | \
      --num_train_epochs* | --warmup_proportion* | --format* | --freeze*)
      fail "${argument%%=*} is set by this script; see its first lines" ;;
    --vocab_add=* | --max_seq_length=* | --max_predictions_per_seq=* | \
      --next_sentence=* | --do_lower_case* | --nodo_lower_case)
      data_flags+=("$argument"); train_flags+=("$argument") ;;
    --line_documents* | --masking=* | --do_whole_word_mask* | --dupe_factor=* | \
      --masked_lm_prob=* | --short_seq_prob=* | --random_seed=* | --dev_share=*)
      data_flags+=("$argument") ;;
    --num_workers=*) workers=$argument ;;
    --*) train_flags+=("$argument") ;;
    *) texts+=("$argument") ;;
  esac
done
if [ "${#texts[@]}" = 0 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
  exit 2
fi
for text in "${texts[@]}"; do
  [ -f "$text" ] || fail "there is no file $text (a flag's value follows its name and =)"
  case "$text" in *,*) fail "$text: a comma in the name separates two files" ;; esac
done
[[ $steps =~ ^[1-9][0-9]*$ ]] || fail "--num_train_steps=$steps: it must be a number"

bash "$here/scripts/setup.sh" ${setup[@]+"${setup[@]}"}
python=$here/$folder/bin/python
if [ -z "$model" ]; then
  bash "$here/scripts/get_minilm.sh" "$python"
  model=$here/build/minilm
fi
checkpoint=${checkpoint:-$model/bert_model.ckpt}
for file in "$model/vocab.txt" "$model/bert_config.json" "$checkpoint.index"; do
  [ -f "$file" ] || fail "there is no file $file"
done

# What the data and the runs in the folder were made of.
made_of=$(
  printf '%s\n' "$model" "$checkpoint" "${data_flags[@]}"
  cksum "$model/vocab.txt" "$checkpoint.index"
  "$python" -c 'import os, sys
for path in sys.argv[1:]:
    print(os.path.abspath(path), os.path.getsize(path), os.stat(path).st_mtime_ns)' \
    "${texts[@]}"
)
mkdir -p "$output_dir"
if [ ! -f "$output_dir/made_of.txt" ]; then
  echo "== Building data"
  "$python" "$here/create_pretraining_data.py" "${data_flags[@]}" ${workers:+"$workers"} \
    --input_file="$(IFS=, && echo "${texts[*]}")" \
    --vocab_file="$model/vocab.txt" \
    --output_file="$output_dir/data/train.tfrecord" \
    --dev_output_file="$output_dir/data/dev.tfrecord"
  echo "$made_of" >"$output_dir/made_of.txt"
elif [ "$(cat "$output_dir/made_of.txt")" != "$made_of" ]; then
  fail "$output_dir was made of another text, model or flags ($output_dir/made_of.txt);" \
    "choose another --output_dir"
fi

# Arguments: folder of the run, then more flags.
pretrain() {
  local run_dir=$1
  shift
  "$python" "$here/run_pretraining_mgpu.py" "${train_flags[@]}" \
    --num_train_steps="$steps" \
    --num_warmup_steps="${warmup:-$((steps / 10))}" \
    --input_file="$output_dir/data/train.tfrecord" \
    --dev_file="$output_dir/data/dev.tfrecord" \
    --vocab_file="$model/vocab.txt" \
    --bert_config_file="$model/bert_config.json" \
    --init_checkpoint="$checkpoint" \
    --do_eval=true --output_dir="$run_dir" "$@"
}

has_head=$("$python" - "$checkpoint" <<'END'
import sys

import tensorflow.compat.v1 as tf

names = [name for name, _ in tf.train.list_variables(sys.argv[1])]
print("cls/predictions/output_bias" in names)
END
)
if [ "$has_head" = True ]; then
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
last=$(sed -n 's/^model_checkpoint_path: "\(.*\)"$/\1/p' "$output_dir/model/checkpoint")
cat <<END

The model is in $output_dir/model; fine-tune it with
  --init_checkpoint=$output_dir/model/$last
  --vocab_file=$output_dir/model/vocab.txt
  --bert_config_file=$output_dir/model/bert_config.json
Pictures of the training: $output_dir/model/report/index.html
END
