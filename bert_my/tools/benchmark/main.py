"""The command line of the benchmark: its flags and their checks; runs the mode."""

import contextlib
import dataclasses
import json
import logging
import os
import sys
import tempfile
import threading
import time
from typing import Optional

from bert_my.cli import compat, console
from bert_my.cli.flag_sets import CommandLine
from bert_my.cli.flags import RunConfig
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.common.options import Options, at_least, names, one_of, option, positive
from bert_my.engine.options import (
    AdversarialOptions,
    BatchOptions,
    DeviceOptions,
    OptimizerOptions,
)
from bert_my.tools.benchmark import huggingface, measure, results, upstream, workload
from bert_my.tools.benchmark.workload import ENCODE, MODES, PREDICT, TRAIN

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
# Load of the machine above which other programs disturb the numbers.
_BUSY = 0.5
# Flags of a run that are passed on to the engine, by the modes that use them.
# --towers and --batch_size of the benchmark set n_gpus and train_batch_size.
_OF_DEVICES = {*names(DeviceOptions), "seed"} - {"n_gpus", "use_xla"}
_OF_TRAINING = {
    *names(BatchOptions),
    *names(OptimizerOptions),
    *names(AdversarialOptions),
    *("learning_rate", "recompute", "use_xla"),
} - {"train_batch_size"}
ENGINE_FLAGS = {*_OF_DEVICES, *_OF_TRAINING, "head"}
# Flags that transformers applies as well, or that do not change the work.
_OF_BOTH_SIDES = {
    "precision",
    "gradient_accumulation_steps",
    "seed",
    "use_gpu",
    "use_xla",
}
_OF_UPSTREAM = {"seed", "use_gpu", "intra_op_threads", "inter_op_threads"}
_UNUSED = {
    TRAIN: {"vocab_file"},
    PREDICT: {"vocab_file", *_OF_TRAINING},
    ENCODE: {"compare", "upstream_dir", "warmup_steps", *ENGINE_FLAGS},
}

EngineFlags = dataclasses.make_dataclass(
    "EngineFlags",
    [
        (f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(RunConfig)
        if f.name in ENGINE_FLAGS
    ],
    bases=(Options,),
    frozen=True,
)


@dataclasses.dataclass(frozen=True)
class Settings(EngineFlags):
    """The flags of the benchmark, with those that are passed on to the engine."""

    mode: str = option(TRAIN, f"Work to measure: {', '.join(MODES)}.", one_of(*MODES))
    model: str = option(
        "base", f"{', '.join(workload.MODELS)}, or the path of a bert_config.json."
    )
    seq_length: int = option(
        64, "Maximum sequence length in wordpieces.", at_least(workload.SHORTEST)
    )
    batch_size: int = option(32, "Rows in a batch of one tower.", positive)
    lengths: str = option(
        workload.TITLES,
        "Lengths of the rows: titles, about 20 tokens; full, seq_length tokens.",
        one_of(*workload.LENGTHS),
    )
    towers: int = option(1, "Replicas of the model that share a batch.", positive)
    steps: int = option(
        20, "Timed batches of batch_size rows; prediction times their rows.", positive
    )
    warmup_steps: Optional[int] = option(
        None,
        "Batches before the timed ones; default: 5, and with rows of different "
        "lengths as many as are timed, so that every shape has been seen.",
        positive,
    )
    vocab_file: Optional[str] = option(
        None, "Vocabulary of the titles; default: a vocabulary of random words."
    )
    json: Optional[str] = option(None, "File to write the numbers to.")
    compare: Optional[str] = option(
        None,
        "huggingface: the same work in transformers on PyTorch, in turns.",
        one_of(huggingface.HUGGINGFACE),
    )
    upstream_dir: Optional[str] = option(
        None,
        "Folder with upstream's modeling.py and optimization.py, which are measured "
        "instead, with all rows padded to seq_length.",
    )
    rounds: int = option(3, "Runs of each side of a comparison.", positive)
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
            for name in sorted(refused & set(self.changed)):
                raise InputError(f"--{name}: {reason}")

    def _contradictions(self):
        """Yields (names of flags that must not be changed, reason)."""
        yield _UNUSED[self.mode], f"--mode={self.mode} does not use it"
        if self.compare:
            unknown = ENGINE_FLAGS - _OF_BOTH_SIDES
            yield unknown, "transformers has no such option, see --compare"
            if self.use_gpu is not False:
                yield {"towers"}, "transformers uses one GPU, see --compare"
        if self.upstream_dir:
            unknown = {"compare", "towers", *ENGINE_FLAGS} - _OF_UPSTREAM
            yield unknown, "upstream has no such option, see --upstream_dir"

    @property
    def changed(self):
        """Dict name -> value of the flags that differ from their defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }

    def run_argv(self, folder, **values):
        """Returns the command line of the run that is measured.

        Args:
          folder: output folder of the run.
          **values: flags that follow from the mode.
        """
        of_engine = {n: x for n, x in self.changed.items() if n in ENGINE_FLAGS}
        values = {
            "task_name": "info",
            "n_gpus": self.towers,
            "max_seq_length": self.seq_length,
            "train_batch_size": self.batch_size,
            "predict_batch_size": self.batch_size,
            "output_dir": folder,
            **values,
            **of_engine,
        }
        return ["benchmark", *[f"--{name}={value}" for name, value in values.items()]]


def parse(argv):
    """Returns the `Settings` of a command line, or None if it asks for help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    line = CommandLine(argv, Settings)
    return None if line.shows_help() else line.options()


@contextlib.contextmanager
def heartbeat(seconds=HEARTBEAT_SECONDS):
    """Logs the present phase of the benchmark every few seconds, with its duration.

    The lines come from a thread, which sleeps in between and does not disturb timings.

    Gives a function that begins a phase; its argument names the phase in a few words.
    """
    phases, ended = [], threading.Event()

    def begin_phase(phase):
        logger.info("Benchmark: %s", phase)
        phases.append((phase, time.monotonic()))

    def repeat():
        while not ended.wait(seconds):
            phase, began = phases[-1]
            logger.info("Benchmark: %s, %.0f s", phase, time.monotonic() - began)

    begin_phase("set-up")
    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield begin_phase
    finally:
        ended.set()
        thread.join()


def main(argv=None):
    """Measures the work of a command line, and prints it as a table and as JSON.

    Args:
      argv: arguments with the program's name first; default: `sys.argv`.
    """
    compat.use_graph_mode()
    console.log_to_stderr()
    argv = argv or sys.argv
    with console.one_line_for():
        settings = parse(argv)
        if settings is not None:
            run(settings, argv)


def run(settings, argv):
    """Does the work of `Settings`; prints and returns its numbers.

    argv: the command line, for the JSON.
    """
    load = results.load_average()
    if load > _BUSY:
        logger.warning(
            "Something else uses this machine (load %.2f in the last minute): the "
            "numbers will be too low, and a comparison will favour one side",
            load,
        )
    if settings.compare:
        work = huggingface.compare
    elif settings.upstream_dir:
        work = upstream.run
    else:
        modes = {TRAIN: measure.train, PREDICT: measure.predict, ENCODE: measure.encode}
        work = modes[settings.mode]
    with tempfile.TemporaryDirectory(
        prefix="benchmark-"
    ) as folder, heartbeat() as begin_phase:
        found = work(settings, folder, begin_phase)
    found.update(command=argv, settings=dataclasses.asdict(settings))
    if settings.json:
        files.write_json(settings.json, found)
    print("\n".join(results.table(found)))
    print(json.dumps(found, sort_keys=True))
    return found


if __name__ == "__main__":
    main()
