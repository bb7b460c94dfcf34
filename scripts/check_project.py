"""Says of somebody's BERT project what moving over to this one takes.

python scripts/check_project.py FOLDER

Reads the folder, changes nothing in it and runs none of its scripts. docs/migrating.md
says the same by hand.
"""

import argparse

from bert_my.cli import console
from bert_my.tools.project import check


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder of the project")
    args = parser.parse_args()
    with console.command_line():
        for line in check.report(args.folder.rstrip("/")):
            print(line)


if __name__ == "__main__":
    main()
