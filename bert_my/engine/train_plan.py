"""The settings of a training run, and the plan that follows from them."""

import dataclasses
import logging
from typing import Any, NamedTuple, Optional, Tuple

from bert_my.common.errors import InputError
from bert_my.data import row_order
from bert_my.engine import run_folder
from bert_my.engine.devices import Devices, choose_xla
from bert_my.engine.options import DeviceOptions, TrainOptions
from bert_my.engine.towers import Reduction
from bert_my.model import checkpoints, encoders, fused

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainSettings(TrainOptions, DeviceOptions):
    """The options of training, with the devices of the run.

    `precision` is a key of `devices.PRECISIONS`; `use_xla`: see `choose_xla`.
    """

    devices: Optional[Devices] = None
    reduction: Reduction = dataclasses.field(default_factory=Reduction)

    @property
    def global_batch_size(self):
        """Rows of one step on all towers together, all accumulated batches included."""
        rows_at_once = self.train_batch_size * len(self.devices.towers)
        return rows_at_once * self.gradient_accumulation_steps


class Plan(NamedTuple):
    """Settings, rows and steps of a training run, and its checkpoint to resume from."""

    settings: TrainSettings  # with `use_xla` chosen
    num_examples: int
    num_rows: int  # of the whole run
    num_train_steps: int
    num_warmup_steps: int
    checkpoint: Optional[str]  # to resume from
    first_step: int
    first_row: int  # position in the data, which skipped steps advance as well
    is_foreign: bool = False  # whether another program wrote the checkpoint
    order: Any = None  # of the rows, see `row_order.for_training`
    padded_lengths: Optional[Tuple[int, ...]] = None  # see `row_order.choose_lengths`
    share_of_padding: Optional[float] = None  # of the first epoch, 0 to 1

    @property
    def num_parts(self):
        """Batches that a step accumulates, none of which is padding alone."""
        settings = self.settings
        rows_at_once = settings.train_batch_size * len(settings.devices.towers)
        needed = -(-self.num_rows // rows_at_once)
        return min(settings.gradient_accumulation_steps, needed)

    @property
    def filled_size(self):
        """Rows that each step is filled up to.

        A run with fewer rows than the global batch size is one step of few rows more.
        """
        multiple = self.num_parts * len(self.settings.devices.towers)
        needed = -(-self.num_rows // multiple) * multiple
        return min(self.settings.global_batch_size, needed)

    def describe(self, trained, encoder=None):
        """Returns the lines to print at the start.

        Args:
          trained: list of the trained variables.
          encoder: description of the encoder, see `encoders`; for `--freeze` only.
        """
        settings = self.settings
        facts = [
            ("devices", settings.devices),
            ("towers", len(settings.devices.towers)),
            ("batch size per tower", settings.train_batch_size),
            ("accumulated batches", settings.gradient_accumulation_steps),
            ("global batch size", settings.global_batch_size),
            ("length buckets", self._describe_buckets()),
            ("examples", self.num_examples),
            ("epochs", f"{self.num_rows / self.num_examples:.4g}"),
            ("steps", self.num_train_steps),
            ("warm-up steps", self.num_warmup_steps),
            ("precision", settings.precision),
            ("compiled by XLA", _describe_xla(settings)),
            ("trained parameters", f"{checkpoints.num_parameters(trained):,}"),
        ]
        if settings.recompute:
            facts.append(("recomputed layers", settings.recompute))
        if settings.freeze:
            parts = dict.fromkeys(encoder.part_of(v.op.name) for v in trained)
            facts.append(("trained parts", ", ".join(parts)))
        if self.first_step:
            facts.append(("resumes after step", self.first_step))
        return [f"  {name:<21} {value}" for name, value in facts]

    def _describe_buckets(self):
        lengths = self.padded_lengths
        if lengths is None:
            return row_order.OFF
        known = f"{len(lengths)} lengths from {lengths[0]} to {lengths[-1]}"
        if len(lengths) == 1:
            known = f"one length of {lengths[0]}"
        return f"{known}, {100 * self.share_of_padding:.1f} % padding"


def _describe_xla(settings):
    """Returns the parts of a step that XLA compiles, see `train_graph`, as text."""
    if not settings.use_xla:
        return "no"
    if settings.devices.has_gpus or not fused.supports_jit():
        return "clusters chosen by TensorFlow"
    is_whole = settings.gradient_accumulation_steps == 1
    parts = ["element-wise operations"] * is_whole
    parts += ["update"] * (settings.optimizer == "adamw")
    return ", ".join(parts) or "nothing"


def make_plan(task, records, settings):
    """Returns the `Plan` of a run; it resumes from a checkpoint in `output_dir`.

    Args:
      task: `Task`.
      records: of the train split, see `batches`.
      settings: `TrainSettings`.

    Raises:
      InputError: if that checkpoint belongs to a run with other batches.
    """
    num_rows, num_train_steps = settings.rows_and_steps(
        records.num_examples, settings.global_batch_size
    )
    num_warmup_steps = settings.warmup_steps(num_train_steps)
    if num_warmup_steps >= num_train_steps > 1:
        logger.warning(
            "In %d steps the learning rate never gets to --learning_rate=%g: warm-up "
            "takes %d, see --num_warmup_steps",
            num_train_steps,
            settings.learning_rate,
            num_warmup_steps,
        )
    _warn_of_large_steps(settings, records.num_examples, num_rows)
    order = row_order.for_training(
        records, settings.global_batch_size, settings.seed, settings.length_buckets
    )
    padded_lengths = share_of_padding = None
    if isinstance(order, row_order.LengthOrder):
        padded_lengths = row_order.choose_lengths(
            records.lengths,
            step=row_order.step_on(settings.devices.has_gpus),
            max_length=records.seq_length,
        )
        first_epoch = records.lengths[order.rows(0, records.num_examples)]
        share_of_padding = row_order.share_of_padding(
            first_epoch, settings.global_batch_size, padded_lengths
        )
    has_lengths = records.lengths is not None
    num_tokens = records.lengths.mean() if has_lengths else task.max_seq_length
    flops = encoders.of(task.bert_config).flops(
        num_rows * float(num_tokens), 0, 0, encoders.TRAINING
    )
    use_xla = choose_xla(settings.use_xla, settings.devices, flops)
    checkpoint = None
    if not settings.overwrite_output_dir:
        checkpoint = settings.folder.checkpoint_to_resume()
    counters = run_folder.Counters(0, 0, 0)
    if checkpoint:
        counters = run_folder.read_counters(checkpoint)
    is_foreign = counters.data_position is None
    if is_foreign:
        counters = _count_rows(counters, checkpoint, settings.global_batch_size)
    elif checkpoint:
        _check_same_batches(counters, settings, order, num_train_steps)
    return Plan(
        settings=dataclasses.replace(settings, use_xla=use_xla),
        num_examples=records.num_examples,
        num_rows=num_rows,
        num_train_steps=num_train_steps,
        num_warmup_steps=num_warmup_steps,
        checkpoint=checkpoint,
        first_step=counters.global_step,
        first_row=counters.data_position,
        is_foreign=is_foreign,
        order=order,
        padded_lengths=padded_lengths,
        share_of_padding=share_of_padding,
    )


def _warn_of_large_steps(settings, num_examples, num_rows):
    """Warns of steps that are larger than the train file.

    Args:
      settings: `TrainSettings`.
      num_examples: rows of the train file.
      num_rows: of the whole run.
    """
    if settings.global_batch_size <= num_examples:
        return
    consequence = "a step reads them more than once"
    if num_rows <= settings.global_batch_size:
        consequence = f"all {num_rows} rows of the run are one step"
    logger.warning(
        "--train_batch_size=%d: a step has room for %d rows and the train file has %d, "
        "so %s; a smaller batch gives more steps",
        settings.train_batch_size,
        settings.global_batch_size,
        num_examples,
        consequence,
    )


def _count_rows(counters, checkpoint, global_batch_size):
    """Returns the counters of another program's checkpoint with a position."""
    first_row = counters.global_step * global_batch_size
    logger.warning(
        "%s was written by another program, as upstream's scripts are: its step %d and "
        "the global batch size %d make %d rows that were seen; training goes on from "
        "there, in the order of rows of this program",
        checkpoint,
        counters.global_step,
        global_batch_size,
        first_row,
    )
    return counters._replace(data_position=first_row)


def _check_same_batches(counters, settings, order, num_train_steps):
    """Raises an `InputError` if the run in `output_dir` has other batches.

    Args:
      counters: `run_folder.Counters` of its last checkpoint.
      settings: `TrainSettings`.
      order: of the rows, see `row_order.for_training`.
      num_train_steps: of the run.
    """
    if counters.global_batch_size not in (0, settings.global_batch_size):
        raise InputError(
            f"--output_dir={settings.output_dir}: its run has a global batch size "
            f"of {counters.global_batch_size}, and now it would be "
            f"{settings.global_batch_size}; to resume it, choose a "
            "--train_batch_size, --n_gpus and --gradient_accumulation_steps whose "
            "product is the same"
        )
    has_blocks = isinstance(order, row_order.BlockOrder)
    is_left = counters.global_step < num_train_steps
    if has_blocks and not counters.row_blocks and is_left:
        raise InputError(
            f"--output_dir={settings.output_dir}: its run was begun by an older "
            "version, which read the shards in another order, so it cannot be resumed; "
            "to go on from its weights, give its checkpoint as --init_checkpoint and "
            "choose another folder"
        )
    has_buckets = isinstance(order, row_order.LengthOrder)
    if counters.global_batch_size and counters.length_buckets != has_buckets:
        known, other = row_order.MODES if has_buckets else row_order.MODES[::-1]
        raise InputError(
            f"--length_buckets={known}: the run in --output_dir={settings.output_dir} "
            f"has its rows in another order; to resume it, give "
            f"--length_buckets={other}"
        )
