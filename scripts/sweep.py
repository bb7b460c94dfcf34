r"""Runs a command for every seed and every value of some flags, and makes a table.

python scripts/sweep.py --seeds=5 --grid "weight_decay=0,0.1,0.01" -- \
    python run_classifier_mgpu.py --task_name=sst2 --do_train --do_eval \
    --data_dir=DATA --output_dir=OUT ...

Every run is the command with the flags of the grid, --seed and --output_dir (a folder
inside OUT: SETTING/seed-S) in place of its own; its output is in log.txt there. A sweep
started again repeats no finished run, unless the command or the data has changed since;
the run before is then kept as seed-S.old. OUT gets sweep.txt and sweep.csv (mean, best,
standard deviation over the seeds), sweep_runs.csv (every run) and report/index.html
(with plots).
"""

import argparse
import sys

from bert_my.cli import console
from bert_my.tools import sweep


def parse_args():
    """Returns the flags before the `--`, and the command after it."""
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
    add("--dry_run", action="store_true", help="show the commands and run nothing")
    add("command", nargs="+", help="the task's command, after -- with all its flags")
    args, unknown = parser.parse_known_args()
    if unknown:
        parser.error(f"{' '.join(unknown)}: put the task's command after --")
    return args


def main():
    args = parse_args()
    metrics = [name for names in args.metric for name in names.split(",") if name]
    with console.command_line():
        plan = sweep.make_plan(args.command, args.grid, args.seeds, args.output_dir)
        if args.dry_run:
            print(sweep.describe(plan))
        else:
            sys.exit(sweep.run(plan, metrics))


if __name__ == "__main__":
    main()
