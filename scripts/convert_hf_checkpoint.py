"""Converts a Hugging Face BERT folder to a TensorFlow checkpoint, or back.

The folder that is written for transformers has the tokenizer's files; of a run's
checkpoint it has the names of the labels, the case and the maximum length, too.

python scripts/convert_hf_checkpoint.py --hf_dir=IN --output_dir=OUT
python scripts/convert_hf_checkpoint.py --tf_checkpoint=CKPT --bert_config_file=FILE \
    --vocab_file=FILE --hf_output_dir=OUT

Without the two files those beside the checkpoint, or of its run, are taken. CKPT may be
the folder of a run.
"""

import argparse

from bert_my.cli import compat, console, model_files
from bert_my.model import hf_checkpoints

TO_TF = ("hf_dir", "output_dir")
TO_HF = ("tf_checkpoint", "hf_output_dir")
OF_MODEL = ("bert_config_file", "vocab_file")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in (*TO_TF, *TO_HF, *OF_MODEL):
        parser.add_argument(f"--{name}")
    args = vars(parser.parse_args())
    given = {name for name, value in args.items() if value}
    compat.use_graph_mode()
    with console.command_line():
        if given == set(TO_TF):
            print(hf_checkpoints.from_hf(args["hf_dir"], args["output_dir"]))
        elif given - set(OF_MODEL) == set(TO_HF):
            files = model_files.find_to_convert(
                args["tf_checkpoint"], args["vocab_file"], args["bert_config_file"]
            )
            purpose = model_files.purpose_of(files[0])
            print(hf_checkpoints.to_hf(*files, args["hf_output_dir"], purpose))
        else:
            parser.error(f"give either {TO_TF} or {TO_HF}, besides {OF_MODEL}")


if __name__ == "__main__":
    main()
