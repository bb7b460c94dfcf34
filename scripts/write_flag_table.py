"""Writes the tables of flags of other projects in docs/flags.md from the code.

python scripts/write_flag_table.py
"""

import os

from bert_my.cli import flag_table
from bert_my.common import files

DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../docs/flags.md")


def main():
    with open(DOC, encoding="utf-8") as reader:
        text = reader.read()
    with files.replacing(DOC) as writer:
        writer.write(flag_table.with_tables(text))


if __name__ == "__main__":
    main()
