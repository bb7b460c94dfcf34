"""The command line of the benchmark: its flags and their checks; runs the mode."""

import dataclasses
import json
import logging
import os
import sys
import tempfile
from typing import Optional

import tensorflow.compat.v1 as tf

from bert_my import tools
from bert_my.cli import compat, console
from bert_my.cli.flag_sets import CommandLine
from bert_my.cli.flags import RunConfig
from bert_my.common import files, progress
from bert_my.common.errors import InputError
from bert_my.common.options import (
    MOST_ROWS,
    MOST_TOKENS,
    between,
    count,
    names,
    one_of,
    option,
    seed,
)
from bert_my.engine import options as engine
from bert_my.tasks.options import HeadOptions
from bert_my.tools.benchmark import huggingface, measure, upstream, workload
from bert_my.tools.benchmark.workload import ENCODE, MODES, PREDICT, TRAIN

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
# Load of the machine above which other programs disturb the numbers.
_BUSY = 0.5
# Flags that transformers applies as well, or that do not change the work.
_OF_BOTH_SIDES = {
    "gradient_accumulation_steps",
    "n_gpus",
    "precision",
    "seed",
    "use_gpu",
    "use_xla",
}
_OF_UPSTREAM = {"seed", "use_gpu", "intra_op_threads", "inter_op_threads"}


@dataclasses.dataclass(frozen=True)
class TrainingFlags(
    engine.BatchOptions, engine.OptimizerOptions, engine.AdversarialOptions
):
    """The flags of a run that only a training step uses."""


@dataclasses.dataclass(frozen=True)
class Settings(TrainingFlags, HeadOptions, engine.DeviceOptions):
    """The flags of the benchmark; those of the engine have the names of `RunConfig`."""

    mode: str = option(TRAIN, f"Work to measure: {', '.join(MODES)}.", one_of(*MODES))
    model: str = option(
        "base", f"{', '.join(workload.MODELS)}, or the path of a bert_config.json."
    )
    max_seq_length: int = option(
        64,
        "Maximum sequence length in wordpieces.",
        between(workload.SHORTEST, MOST_TOKENS),
        aliases=("seq_length",),
    )
    train_batch_size: int = option(
        32,
        "Rows in a batch of one tower.",
        between(1, MOST_ROWS),
        aliases=("batch_size",),
    )
    lengths: str = option(
        workload.TITLES,
        "Lengths of the rows: titles, about 20 tokens; full, seq_length tokens.",
        one_of(*workload.LENGTHS),
    )
    n_gpus: int = option(
        1,
        "Replicas of the model that share a batch.",
        between(1, engine.MOST_TOWERS),
        aliases=("towers",),
    )
    seed: int = option(
        RunConfig.seed, "Seed of initial weights, order and dropout.", seed
    )
    steps: int = option(
        20, "Timed batches of batch_size rows; prediction times their rows.", count
    )
    warmup_steps: Optional[int] = option(
        None,
        "Batches before the timed ones; default: 5, and with rows of different "
        "lengths as many as are timed, so that every shape has been seen.",
        count,
    )
    vocab_file: Optional[str] = option(
        None, "Vocabulary of the titles; default: a vocabulary of random words."
    )
    json: Optional[str] = option(None, "File to write the numbers to.")
    compare: Optional[str] = option(
        None,
        "huggingface: the same work in transformers on PyTorch, in turns.",
        one_of("huggingface"),
    )
    upstream_dir: Optional[str] = option(
        None,
        "Folder with upstream's modeling.py and optimization.py, which are measured "
        "instead, with all rows padded to seq_length.",
    )
    rounds: int = option(3, "Runs of each side of a comparison.", count)
    hf_python: Optional[str] = option(
        None, "Python that has torch and transformers; default: this one."
    )
    hf_compile: Optional[bool] = option(
        None, "Use torch.compile with transformers; default: on a GPU only."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.model not in workload.MODELS and not os.path.isfile(self.model):
            raise InputError(
                f"--model={self.model}: it must be one of "
                f"{', '.join(workload.MODELS)}, or the path of a bert_config.json"
            )
        for refused, reason in self._contradictions():
            for field in dataclasses.fields(self):
                is_changed = getattr(self, field.name) != field.default
                if field.name in refused and is_changed:
                    raise InputError(f"--{field.name}: {reason}")

    def _contradictions(self):
        """Yields (names of flags that must not be changed, reason)."""
        of_training = {*names(TrainingFlags), "use_xla"} - {"train_batch_size"}
        of_engine = {*names(HeadOptions), *names(engine.DeviceOptions), "seed"}
        of_engine |= of_training
        unused = {"vocab_file"}
        if self.mode == PREDICT:
            unused |= of_training
        if self.mode == ENCODE:
            unused = {"compare", "upstream_dir", "warmup_steps", *of_engine}
            unused -= {"n_gpus"}
        yield unused, f"--mode={self.mode} does not use it"
        if self.compare:
            unknown = of_engine - _OF_BOTH_SIDES
            yield unknown, "transformers has no such option, see --compare"
            if self.use_gpu is not False:
                yield {"n_gpus"}, "transformers uses one GPU, see --compare"
        if self.upstream_dir:
            unknown = {"compare", *of_engine} - _OF_UPSTREAM
            yield unknown, "upstream has no such option, see --upstream_dir"

    @property
    def num_rows(self):
        """Rows of all timed batches, which are one epoch."""
        num_batches = self.steps * self.n_gpus * self.gradient_accumulation_steps
        return num_batches * self.train_batch_size


def parse(argv):
    """Returns the `Settings` of a command line, or None if it asks for help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    return CommandLine(argv, Settings).options()


def heartbeat(seconds=HEARTBEAT_SECONDS):
    """Returns the `progress.heartbeat` of a benchmark, which measures in silence."""
    return progress.heartbeat(seconds)


def main(argv=None):
    """Measures the work of a command line, and prints it as a table and as JSON.

    Args:
      argv: arguments with the program's name first; default: `sys.argv`.
    """
    argv = argv or sys.argv
    with console.command_line():
        settings = parse(argv)
        if settings is not None:
            run(settings, argv)


def run(settings, argv):
    """Does the work of `Settings`; prints and returns its numbers.

    argv: the command line, for the JSON.
    """
    load = os.getloadavg()[0]
    if load > _BUSY:
        logger.warning(
            "Something else uses this machine (load %.2f in the last minute): the "
            "numbers will be too low, and a comparison will favour one side",
            load,
        )
    with heartbeat():
        if settings.compare:
            found = huggingface.compare(settings, run_here)
        else:
            found = run_here(settings)
    print("\n".join(table(found)))
    found.update(command=argv, settings=dataclasses.asdict(settings))
    if settings.json:
        files.write_json(settings.json, found)
    print(json.dumps(found, sort_keys=True))
    return found


def run_here(settings):
    """Does the work of `Settings`, of one side, in this process.

    Returns:
      JSON-able dict of its numbers, see `measure`.
    """
    compat.use_graph_mode()
    modes = {TRAIN: measure.train, PREDICT: measure.predict, ENCODE: measure.encode}
    work = upstream.run if settings.upstream_dir else modes[settings.mode]
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default():
        tf.set_random_seed(settings.seed)
        return {
            **work(settings, folder),
            "peak_memory_bytes": measure.peak_memory_bytes(),
            **measure.machine_facts(),
        }


def table(found):
    """Returns the lines of the table of numbers, or of a comparison with a ratio."""
    if "ratio" not in found:
        known = {name: value for name, value in found.items() if value is not None}
        return tools.align([(name, _cell(value)) for name, value in known.items()])
    rows = [("medians over rounds", "ours", "transformers", "ratio")]
    for name, ours in found["ours"].items():
        theirs = found["huggingface"][name]
        if isinstance(ours, str):
            rows.append((name, ours, theirs))
        elif None not in (ours, theirs):
            ratio = f"{ours / theirs:.3f}" if theirs else "-"
            rows.append((name, _cell(ours), _cell(theirs), ratio))
    return tools.align(rows)


def _cell(value):
    """Returns a number of a result as text, or the numbers of a dict."""
    if isinstance(value, dict):
        return " ".join(map(_cell, value.values()))
    if isinstance(value, float) and value < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if type(value) in (int, float) else str(value)
