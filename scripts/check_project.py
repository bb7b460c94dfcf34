"""Says of somebody's BERT project what moving over to this one takes.

python scripts/check_project.py FOLDER [--run]

Reads the folder, changes nothing in it and runs none of its scripts; with --run its
modeling.py is imported. docs/migrating.md says the same by hand.
"""

import argparse

from bert_my.cli import compat, console
from bert_my.tools.project import check


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder of the project")
    parser.add_argument(
        "--run",
        action="store_true",
        help="compare the hidden states of 8 lines by the project's modeling.py and by "
        "ours, each in a process of its own",
    )
    parser.add_argument(
        "--python",
        help="Python whose TensorFlow imports the project's modeling.py (default: this "
        "one, .venv-tf1 and .venv here)",
    )
    args = parser.parse_args()
    compat.use_graph_mode()
    with console.command_line():
        console.set_verbosity("error")
        for line in check.report(args.folder, args.run, args.python):
            print(line)


if __name__ == "__main__":
    main()
