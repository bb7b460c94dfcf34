"""The command line of the benchmark: its settings and their checks; runs the mode."""

import contextlib
import dataclasses
import json
import logging
import os
import sys
import tempfile
import threading
import time
from typing import Dict, Optional

from bert_my.cli import compat, console, flags
from bert_my.cli.flag_sets import CommandLine
from bert_my.common import files
from bert_my.common.errors import InputError
from bert_my.common.options import Options, at_least, names, one_of, option, positive
from bert_my.tools.benchmark import (
    from_text,
    huggingface,
    measure,
    results,
    upstream,
    workload,
)
from bert_my.tools.benchmark.workload import (
    ENCODE,
    MODES,
    PREDICT,
    PRETRAIN,
    REAL,
    SYNTHETIC,
    TRAIN,
)

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
# Load of the machine above which other programs disturb the numbers.
_BUSY = 0.5
# Flags of the engine, which are flags here too, by the modes that use them.
_OF_COMPUTING = (
    "precision",
    "use_fp16",
    "use_gpu",
    "seed",
    "deterministic",
    "intra_op_threads",
    "inter_op_threads",
)
_OF_TRAINING = (
    "gradient_accumulation_steps",
    "length_buckets",
    "optimizer",
    "learning_rate",
    "adam_epsilon",
    "weight_decay",
    "freeze",
    "layer_lr_decay",
    "head_learning_rate",
    "ema_decay",
    "adversarial",
    "adversarial_epsilon",
    "use_xla",
    "recompute",
)
ENGINE_FLAGS = (*_OF_COMPUTING, *_OF_TRAINING, "head")
# Those that the other side of a comparison applies too, or that change no work.
_OF_BOTH_SIDES = (
    "precision",
    "gradient_accumulation_steps",
    "seed",
    "use_gpu",
    "use_xla",
)
_OF_UPSTREAM = ("seed", "use_gpu", "intra_op_threads", "inter_op_threads")


@dataclasses.dataclass(frozen=True)
class Flags(Options):
    """The flags of the benchmark itself."""

    mode: str = option(TRAIN, f"Work to measure: {', '.join(MODES)}.", one_of(*MODES))
    model: str = option(
        "base", f"{', '.join(workload.MODELS)}, or the path of a bert_config.json."
    )
    seq_length: int = option(
        64, "Maximum sequence length in wordpieces.", at_least(workload.SHORTEST)
    )
    batch_size: int = option(32, "Rows in a batch of one tower.", positive)
    lengths: Optional[str] = option(
        None,
        "Lengths of the rows: titles, about 20 tokens; full, seq_length tokens; "
        "default: titles, and full in pretraining.",
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
    input: str = option(
        REAL,
        "real: batches from records; synthetic: the same batches, held in memory.",
        one_of(REAL, SYNTHETIC),
    )
    end_to_end: bool = option(
        False, "Predict from a text file to the prediction files, as a user does."
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
        None, "Use torch.compile on the other side; default: on a GPU only."
    )


@dataclasses.dataclass(frozen=True)
class Settings(Flags):
    """A checked command line.

    given: dict name -> value of the flags that are given, of the engine too.
    """

    given: Dict[str, object] = dataclasses.field(default_factory=dict)

    @property
    def engine(self):
        """The flags of the engine that are given, a dict name -> value."""
        return {name: self.given[name] for name in ENGINE_FLAGS if name in self.given}

    def run_argv(self, folder, **values):
        """Returns the command line of the run that is measured.

        Args:
          folder: output folder of the run.
          **values: flags that follow from the mode.
        """
        values = {
            "n_gpus": self.towers,
            "max_seq_length": self.seq_length,
            "train_batch_size": self.batch_size,
            "eval_batch_size": self.batch_size,
            "predict_batch_size": self.batch_size,
            "output_dir": folder,
            **values,
            **self.engine,
        }
        return ["benchmark", *[f"--{name}={value}" for name, value in values.items()]]


def parse(argv):
    """Returns the `Settings` of a command line, or None if it asks for help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    of_run = {field.name: field for field in dataclasses.fields(flags.RunConfig)}
    fields = [*dataclasses.fields(Flags), *(of_run[name] for name in ENGINE_FLAGS)]
    all_flags = dataclasses.make_dataclass(
        "AllFlags",
        [
            (f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
            for f in fields
        ],
    )
    line = CommandLine(argv, all_flags)
    if line.shows_help():
        return None
    given = line.given()
    own = {name: value for name, value in given.items() if name not in ENGINE_FLAGS}
    settings = Settings(**own, given=given)
    _check(settings)
    if settings.lengths is None:
        is_full = settings.mode == PRETRAIN
        kind = workload.FULL if is_full else workload.TITLES
        settings = dataclasses.replace(settings, lengths=kind)
    return settings


def _check(settings):
    """Raises an `InputError` naming a flag that contradicts others or has no effect."""
    mode, engine = settings.mode, settings.engine
    changed = {
        name
        for name, value in settings.given.items()
        if name in engine or value != getattr(Flags, name)
    }
    if settings.model not in workload.MODELS and not os.path.isfile(settings.model):
        raise InputError(
            f"--model={settings.model}: it must be one of "
            f"{', '.join(workload.MODELS)}, or the path of a bert_config.json"
        )
    is_on_text = mode == ENCODE or settings.end_to_end
    is_compared = mode in (TRAIN, PREDICT) and not settings.end_to_end
    has_effect = {
        "end_to_end": mode == PREDICT,
        "compare": is_compared,
        "upstream_dir": is_compared,
        "input": mode in (TRAIN, PRETRAIN),
        "warmup_steps": not is_on_text,
        "vocab_file": is_on_text,
        "head": mode in (TRAIN, PREDICT),
        **dict.fromkeys(_OF_COMPUTING, mode != ENCODE),
        **dict.fromkeys(_OF_TRAINING, mode in (TRAIN, PRETRAIN)),
    }
    for name, is_used in has_effect.items():
        if name in changed and not is_used:
            way = " --end_to_end" * (settings.end_to_end and name != "end_to_end")
            raise InputError(f"--{name}: --mode={mode}{way} has no use for it")
    if settings.lengths == workload.TITLES and mode == PRETRAIN:
        raise InputError("--lengths=titles: pretraining is on rows of full length")
    if settings.compare:
        for name in sorted(set(engine) - set(_OF_BOTH_SIDES)):
            raise InputError(f"--{name}: the other side of --compare does not know it")
        if settings.towers > 1 and engine.get("use_gpu") is not False:
            raise InputError("--towers: the other side of --compare has one GPU")
    if settings.upstream_dir:
        unknown = {"compare", "input", "towers", *engine} - set(_OF_UPSTREAM)
        for name in sorted(unknown & changed):
            raise InputError(f"--{name}: upstream does not know it")


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
    with tempfile.TemporaryDirectory(
        prefix="benchmark-"
    ) as folder, heartbeat() as begin_phase:
        found = _choose_work(settings)(settings, folder, begin_phase)
    own = {name: getattr(settings, name) for name in names(Flags)}
    found.update(command=argv, settings={**own, **settings.engine})
    if settings.json:
        files.write_json(settings.json, found)
    print("\n".join(results.table(found)))
    print(json.dumps(found, sort_keys=True))
    return found


def _choose_work(settings):
    """Returns the function that does the work of some settings.

    Its arguments are the settings, a folder for files, and a function to call with the
    name of each phase that begins; it returns a JSON-able dict.
    """
    if settings.compare:
        return huggingface.compare
    if settings.upstream_dir:
        return upstream.run
    if settings.mode == ENCODE:
        return from_text.encode
    if settings.end_to_end:
        return from_text.end_to_end
    return measure.predict if settings.mode == PREDICT else measure.train


if __name__ == "__main__":
    main()
