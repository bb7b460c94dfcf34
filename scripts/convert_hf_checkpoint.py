"""Converts a Hugging Face BERT folder to a TensorFlow checkpoint, or back.

The folder that is written for transformers has the tokenizer's files; of a run's
checkpoint it has the names of the labels, the case and the maximum length, too.

python scripts/convert_hf_checkpoint.py --hf_dir=IN --output_dir=OUT
python scripts/convert_hf_checkpoint.py --tf_checkpoint=CKPT --bert_config_file=FILE \
    --vocab_file=FILE --hf_output_dir=OUT
"""

import argparse

from bert_my.cli import compat, console, model_files
from bert_my.model import checkpoints, hf_checkpoints

TO_TF = ("hf_dir", "output_dir")
TO_HF = ("tf_checkpoint", "bert_config_file", "vocab_file", "hf_output_dir")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in (*TO_TF, *TO_HF):
        parser.add_argument(f"--{name}")
    args = vars(parser.parse_args())
    given = {name for name, value in args.items() if value}
    compat.use_graph_mode()
    with console.command_line():
        if given == set(TO_TF):
            print(hf_checkpoints.from_hf(args["hf_dir"], args["output_dir"]))
        elif given == set(TO_HF):
            path = checkpoints.resolve(args.pop("tf_checkpoint"), "tf_checkpoint")
            others = [args[name] for name in TO_HF[1:]]
            purpose = model_files.purpose_of(path)
            print(hf_checkpoints.to_hf(path, *others, purpose))
        else:
            parser.error(f"give either {TO_TF} or {TO_HF}")


if __name__ == "__main__":
    main()
