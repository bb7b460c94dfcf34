"""What a benchmark is asked for: flags of its own, and those of the engine.

The engine's are fields of `RunConfig`, with its defaults and checks: what is added
there is a flag here too, unless it is named below.
"""

import dataclasses
import os
from typing import Dict, NamedTuple, Optional

from bert_my.cli import flags
from bert_my.cli.flag_sets import CommandLine
from bert_my.common.errors import InputError
from bert_my.common.options import Options, at_least, names, one_of, option, positive
from bert_my.engine.evaluation import EvalSettings
from bert_my.engine.train_plan import TrainSettings
from bert_my.tasks.options import TaskOptions
from bert_my.tools.benchmark import workload

TRAIN, PREDICT, PRETRAIN, ENCODE = "train", "predict", "pretrain", "encode"
MODES = (TRAIN, PREDICT, PRETRAIN, ENCODE)
REAL, SYNTHETIC = "real", "synthetic"
HUGGINGFACE = "huggingface"

# Fields of `RunConfig` that stand here under a shorter name.
RENAMED = {
    "n_gpus": "towers",
    "max_seq_length": "seq_length",
    "train_batch_size": "batch_size",
    "eval_batch_size": "batch_size",
    "predict_batch_size": "batch_size",
}
# What a comparison may set: the other side does the same, or it changes no work.
_OF_BOTH_SIDES = {
    "precision",
    "gradient_accumulation_steps",
    "seed",
    "use_gpu",
    "use_xla",
}
# What upstream's modules may be measured with.
_OF_UPSTREAM = {"seed", "use_gpu", "intra_op_threads", "inter_op_threads"}
# Those that are settled here, or change nothing that is measured.
SETTLED = (
    "task_name",
    "do_train",
    "do_eval",
    "do_predict",
    "save_for_serving",
    "data_dir",
    "output_dir",
    "cache_dir",
    "bert_config_file",
    "vocab_file",
    "vocab_add",
    "init_checkpoint",
    "do_lower_case",
    "num_train_epochs",
    "num_train_steps",
    "warmup_proportion",
    "num_warmup_steps",
    "overwrite_output_dir",
    "evaluate_every",
    "keep_best",
    "early_stop_patience",
    "save_checkpoints_steps",
    "keep_checkpoint_max",
    "logging_steps",
    "report_mfu",
    "use_tpu",
    *(name for name in names(TaskOptions) if name != "head"),
)
# What training alone has a use for; made-up weights come of the seed too.
_OF_TRAINING = {*names(TrainSettings)} - {*EvalSettings._fields, "seed"}


@dataclasses.dataclass(frozen=True)
class Benchmark(Options):
    """The flags of the benchmark itself."""

    mode: str = option(
        TRAIN, f"What is measured: {', '.join(MODES)}.", check=one_of(*MODES)
    )
    model: str = option(
        "base", f"{', '.join(workload.MODELS)}, or the path of a bert_config.json."
    )
    seq_length: int = option(
        64, "Longest sequence in wordpieces.", check=at_least(workload.SHORTEST)
    )
    batch_size: int = option(32, "Rows that a tower computes at once.", check=positive)
    lengths: Optional[str] = option(
        None,
        "titles: about 20 tokens; full: seq_length tokens; default: titles, and full "
        "in pretraining.",
        check=one_of(*workload.LENGTHS),
    )
    towers: int = option(1, "Copies of the model that share a batch.", check=positive)
    steps: int = option(
        20,
        "Batches that are timed, of batch_size rows; in prediction their rows are.",
        check=positive,
    )
    warmup_steps: Optional[int] = option(
        None,
        "Batches before those; default: as many where lengths differ, so that each "
        "shape has been seen, else 5.",
        check=positive,
    )
    input: str = option(
        REAL,
        "real: from records; synthetic: the same batches, but held in memory.",
        check=one_of(REAL, SYNTHETIC),
    )
    end_to_end: bool = option(
        False, "Predict from a text file to the prediction files, as a user does."
    )
    vocab_file: Optional[str] = option(
        None, "Vocabulary for made-up titles; default: a made-up one."
    )
    json: Optional[str] = option(None, "File to write the numbers to.")
    compare: Optional[str] = option(
        None,
        "huggingface: the same work in transformers on PyTorch, in turns.",
        check=one_of(HUGGINGFACE),
    )
    upstream_dir: Optional[str] = option(
        None,
        "Folder with upstream's modeling.py and optimization.py, which are measured "
        "instead, with all rows padded to seq_length.",
    )
    rounds: int = option(3, "How often each side of a comparison runs.", check=positive)
    hf_python: Optional[str] = option(
        None, "Python that has torch and transformers; default: this one."
    )
    hf_compile: Optional[bool] = option(
        None, "Whether torch.compile is used; default: on a GPU."
    )


class Request(NamedTuple):
    """A command line."""

    own: Benchmark
    engine: Dict[str, object]  # flags of `RunConfig` that were given
    given: Dict[str, object]  # all flags that were given


def engine_fields():
    """Returns the fields of `RunConfig` that are flags of the benchmark."""
    skipped = {*RENAMED, *SETTLED}
    return [f for f in dataclasses.fields(flags.RunConfig) if f.name not in skipped]


def parse(argv):
    """Returns the `Request` of a command line, or None if it asks for help.

    Raises:
      InputError: naming the flag that is unknown, wrong or contradicts another.
    """
    fields = [*dataclasses.fields(Benchmark), *engine_fields()]
    all_flags = dataclasses.make_dataclass(
        "AllFlags",
        [(f.name, f.type, option(f.default, f.metadata["help"])) for f in fields],
    )
    line = CommandLine(argv, all_flags)
    if line.shows_help():
        return None
    given, own_names = line.given(), names(Benchmark)
    own = Benchmark(**{name: x for name, x in given.items() if name in own_names})
    engine = {name: value for name, value in given.items() if name not in own_names}
    _check(own, engine)
    if own.lengths is None:
        kind = workload.FULL if own.mode == PRETRAIN else workload.TITLES
        own = dataclasses.replace(own, lengths=kind)
    return Request(own, engine, given)


def _check(own, engine):
    """Raises an `InputError` naming a flag that is wrong or without effect."""
    if own.model not in workload.MODELS and not os.path.isfile(own.model):
        raise InputError(
            f"--model={own.model}: it must be one of {', '.join(workload.MODELS)}, or "
            "the path of a bert_config.json"
        )
    _check_use(own, engine)


def _check_use(own, engine):
    """Raises an `InputError` for a flag that the mode has no use for."""
    is_computed = own.mode in (TRAIN, PREDICT) and not own.end_to_end
    uses_texts = own.mode == ENCODE or own.end_to_end
    for name, is_used in (
        ("end_to_end", own.mode == PREDICT),
        ("compare", is_computed),
        ("upstream_dir", is_computed),
        ("input", own.mode in (TRAIN, PRETRAIN)),
        ("warmup_steps", not uses_texts),
        ("vocab_file", uses_texts),
    ):
        is_default = getattr(own, name) == getattr(Benchmark, name)
        if not is_default and not is_used:
            more = "" if is_computed or name == "end_to_end" else " on text"
            raise InputError(f"--{name}: --mode={own.mode}{more} has no use for it")
    if own.compare:
        for name in sorted(set(engine) - _OF_BOTH_SIDES):
            raise InputError(f"--{name}: the other side of --compare does not know it")
        if own.towers > 1 and engine.get("use_gpu") is not False:
            raise InputError("--towers: the other side of --compare has one GPU")
    if own.upstream_dir:
        others = {
            name
            for name in ("compare", "input", "towers")
            if getattr(own, name) != getattr(Benchmark, name)
        }
        for name in sorted(others | (set(engine) - _OF_UPSTREAM)):
            raise InputError(f"--{name}: upstream does not know it")
    if own.mode == PRETRAIN and own.lengths == workload.TITLES:
        raise InputError("--lengths=titles: pretraining is on rows of full length")
    unused = {TRAIN: (), PRETRAIN: ("head",), PREDICT: _OF_TRAINING}
    for name in engine:
        if name in unused.get(own.mode, engine):
            raise InputError(f"--{name}: --mode={own.mode} has no use for it")


def engine_settings(request, folder, **changes):
    """Returns the settings that differ from those of `RunConfig`, as a dict.

    Args:
      request: `Request`.
      folder: for all that a run writes.
      **changes: fields that follow from the mode.
    """
    renamed = {name: getattr(request.own, own) for name, own in RENAMED.items()}
    return {**renamed, "output_dir": folder, **changes, **request.engine}


def as_argv(values):
    """Returns settings as a command line, with the program's name first."""
    return ["benchmark", *[f"--{name}={value}" for name, value in values.items()]]
