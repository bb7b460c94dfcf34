r"""Runs a command for every seed and every value of some flags, and makes a table.

python scripts/sweep.py --seeds=5 --grid "weight_decay=0,0.1,0.01" -- \
    python run_classifier_mgpu.py --task_name=sst2 --do_train --do_eval \
    --data_dir=DATA --output_dir=OUT ...

Every run is the command with the flags of the grid, --seed and --output_dir (a folder
inside OUT: SETTING/seed-S) in place of its own; its output is in log.txt there. A sweep
started again repeats no finished run. OUT gets sweep.txt and sweep.csv (mean, best,
standard deviation over the seeds), sweep_runs.csv (every run) and report/index.html
(with plots).
"""

import argparse
import sys

from bert_my.common.errors import InputError
from bert_my.tools import sweep, sweep_plan


def make_parser():
    """Returns the parser of the flags before the `--`."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        usage="%(prog)s [flag ...] -- command ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--seeds",
        default="1",
        help="a number N: seeds 1 to N; a list such as 3,17,42: these seeds; a number "
        "and a comma, 17, : the seed 17 alone (default: 1)",
    )
    add(
        "--grid",
        action="append",
        default=[],
        metavar="FLAG=VALUE,VALUE...",
        help="values of a flag; may be given several times, for every combination. "
        'Values that hold commas are separated by ";": "class_weights=1,1;1,5"; a '
        'single one ends with it: "class_weights=1,5;"',
    )
    add("--output_dir", help="folder of the sweep (default: that of the command)")
    add(
        "--metric",
        action="append",
        default=[],
        metavar="NAME,NAME...",
        help="metrics to show; the first decides which setting is best (default: the "
        "task's main metric and eval_loss)",
    )
    _add_run_flags(add)
    return parser


def _add_run_flags(add):
    """Adds the flags that change no command."""
    add(
        "--max_parallel",
        type=int,
        default=1,
        help="runs at once; they share the machine and its GPUs (default: 1)",
    )
    add("--dry_run", action="store_true", help="show the commands and run nothing")
    add(
        "--restart",
        action="store_true",
        help="delete the folders of runs whose command has changed, and run them anew",
    )


def main():
    parser = make_parser()
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    args, unknown = parser.parse_known_args(words[:split])
    if unknown and split < len(words):
        parser.error(f"unknown: {' '.join(unknown)} (flags of the task go after --)")
    if split == len(words):
        parser.error("the task's command is missing: put it after --")
    if args.max_parallel < 1:
        parser.error(f"--max_parallel={args.max_parallel}: it must be 1 or more")
    metrics = [name for names in args.metric for name in names.split(",") if name]
    try:
        plan = sweep_plan.make_plan(
            words[split + 1 :], args.grid, args.seeds, args.output_dir
        )
        if args.dry_run:
            print(sweep.describe(plan))
            return
        status = sweep.run(plan, metrics, args.max_parallel, args.restart)
    except InputError as error:
        sys.exit(f"error: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
