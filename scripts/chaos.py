r"""Disturbs a run in every way that a machine knows, and compares what comes of it.

python scripts/chaos.py --kills=20 --damage=50 --full_disk --fork -- \
    python run_classifier_mgpu.py --task_name=sst2 --do_train --do_eval \
    --data_dir=DATA --output_dir=OUT --save_checkpoints_steps=5 ...

The command is run undisturbed first, with --deterministic. Then it is killed and
resumed, stopped by signals, run out of disk space, started twice in one folder, and its
files are damaged. Each case must end with the results of the undisturbed run to the
bit, or, but for kills and signals, with one line `error: ...` and an exit code that is
not 0. Nothing is written to OUT; all is in OUT-chaos, where failed cases keep their
folders and logs. Exit code 1: a case has failed. Without flags of kinds a few cases of
each kind are run. Choose a run of seconds.
"""

import argparse
import signal
import sys

from bert_my.common.errors import InputError
from bert_my.tools.chaos import campaign, command, plan
from bert_my.tools.chaos.process import Launcher

_KINDS = {
    "kills": ("5", "SIGKILLs at random moments; the run is resumed to its end"),
    "damage": (
        "all",
        "files damaged in nine ways, in a half-finished folder that is "
        "resumed, and in a finished one that is evaluated and predicts",
    ),
    "full_disk": ("5", "disks that fill up, become read-only or vanish"),
    "signals": ("5", "SIGTERM, SIGINT and SIGHUP, once or twice"),
    "second_run": (
        "2",
        "another training or an evaluation in the folder of a live run",
    ),
    "nan": ("all", "NaN in a variable of each kind of the checkpoint"),
}


def parse_args(words):
    """Returns the flags, and the command; flags of kinds may stand behind it, too."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [flag ...] -- command ...",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    for name, (number, text) in _KINDS.items():
        add(
            f"--{name}",
            nargs="?",
            const=number,
            metavar="N",
            help=f"{text} (N: number of cases, or all; without N: {number})",
        )
    add("--case", action="append", default=[], help="a case to repeat, as in the table")
    add("--seed", default="1", help="of all random choices (default: 1)")
    add("--output_dir", help="folder of the campaign (default: OUT-chaos)")
    add(
        "--fork",
        action="store_true",
        help="fork every start from a process that has loaded TensorFlow, which saves "
        "seconds; for scripts of the Python that runs this one",
    )
    add(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="after which a start counts as hanging (default: a minute and 5 times the "
        "undisturbed run)",
    )
    if "--" not in words:
        words = _with_command_last(words)
    add("command", nargs="+", help="the run's command, after -- with all its flags")
    args, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"{' '.join(unknown)}: put the run's command after --")
    return args


def _with_command_last(words):
    """Returns words where flags of kinds, also those behind the command, come first."""
    start = next((i for i, word in enumerate(words) if word[:1] != "-"), len(words))
    command = words[start:]
    behind = [word for word in command if word[2:].partition("=")[0] in _KINDS]
    return [*words[:start], *behind, "--", *(x for x in command if x not in behind)]


def main():
    args = parse_args(sys.argv[1:])
    # As Ctrl-C, so that no run and no disk is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_command = command.Command(args.command)
        script = run_command.script() if args.fork else None
        given = {name: getattr(args, name) for name in _KINDS}
        if not args.case and not any(given.values()):
            given = plan.DEFAULTS
        numbers = {
            name: plan.parse_number(name, text or "0") for name, text in given.items()
        }
        this = campaign.Campaign(
            run_command,
            Launcher(args.timeout, script),
            args.output_dir or f"{run_command.output.rstrip('/')}-chaos",
        )
        planned = [*args.case, *plan.make(this, numbers, args.seed)]
        own = ["python", "scripts/chaos.py", *(["--fork"] if args.fork else [])]
        status = plan.run(this, planned, own)
    # Not `console.command_line`, whose threads and handlers forked runs would inherit.
    except InputError as error:
        sys.exit(f"error: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
