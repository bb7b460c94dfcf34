"""Converts a Hugging Face BERT folder to a TensorFlow checkpoint, or back.

python scripts/convert_hf_checkpoint.py --hf_dir=IN --output_dir=OUT
python scripts/convert_hf_checkpoint.py --tf_checkpoint=CKPT --bert_config_file=FILE \
    --vocab_file=FILE --hf_output_dir=OUT
"""

import argparse

from bert_my.cli import compat, console
from bert_my.model import hf_checkpoints

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
            print(hf_checkpoints.to_hf(*[args[name] for name in TO_HF]))
        else:
            parser.error(f"give either {TO_TF} or {TO_HF}")


if __name__ == "__main__":
    main()
