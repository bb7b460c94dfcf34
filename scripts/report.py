"""Writes the evaluation report of a run again, or a page that compares runs.

python scripts/report.py OUTPUT_DIR [--png]
python scripts/report.py OUTPUT_DIR OUTPUT_DIR ... [--output=FOLDER] [--png]
"""

import argparse

from bert_my.cli import console
from bert_my.report import report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("output_dirs", nargs="+", metavar="OUTPUT_DIR")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="for the page of several runs (default: report_comparison)",
    )
    parser.add_argument(
        "--png", action="store_true", help="write each picture as a PNG file, too"
    )
    args = parser.parse_args()
    is_one = len(args.output_dirs) == 1
    if is_one and args.output:
        parser.error("--output is for several folders; one has its page in report/")
    with console.command_line():
        if is_one:
            path = report.write(args.output_dirs[0], args.png)
        else:
            folder = args.output or "report_comparison"
            path = report.compare(args.output_dirs, folder, args.png)
        print(path)


if __name__ == "__main__":
    main()
