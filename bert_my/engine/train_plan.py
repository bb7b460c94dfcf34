"""What a training run is asked for, and what it is going to do."""

import logging
import math
from typing import NamedTuple, Optional, Tuple

from bert_my.common.errors import InputError
from bert_my.data import input_pipeline, length_buckets
from bert_my.engine.devices import Devices
from bert_my.model import checkpoints, fused

logger = logging.getLogger(__name__)


class TrainSettings(NamedTuple):
    """How a task is trained."""

    output_dir: str
    devices: Devices
    init_checkpoint: Optional[str]  # a checkpoint in `output_dir` wins over it
    train_batch_size: int  # rows that a tower computes at once
    gradient_accumulation_steps: int  # how often it does so in a step
    learning_rate: float  # the highest
    length_buckets: str  # one of `length_buckets.MODES`
    optimizer: str  # key of `train_graph.OPTIMIZERS`
    adam_epsilon: float
    num_train_epochs: float
    num_train_steps: Optional[int]  # wins over `num_train_epochs`
    warmup_proportion: float  # share of all steps in which the learning rate rises
    num_warmup_steps: Optional[int]  # wins over `warmup_proportion`
    weight_decay: float
    precision: str  # key of `devices.PRECISIONS`
    use_xla: Optional[bool]  # see `devices.choose_xla`
    recompute: int  # layers that are computed once more for their gradient
    seed: int  # of initial weights, data order and dropout
    save_checkpoints_steps: int  # steps from one to the next
    keep_checkpoint_max: int  # 0 for all
    logging_steps: int  # steps from one line to the next
    report_mfu: bool  # see `flops`
    freeze: Optional[str]  # see `train_graph.freeze`
    layer_lr_decay: float  # see `train_graph.rate_multiplier`
    head_learning_rate: Optional[float]  # None: `learning_rate`
    ema_decay: float  # see `averages.Averages`; 0 for none
    adversarial: Optional[str]  # one of `adversarial.METHODS`
    adversarial_epsilon: float  # see `adversarial.add_fgm`
    overwrite_output_dir: bool  # begin anew, whatever is in `output_dir`

    @property
    def global_batch_size(self):
        """Rows of one step, on all towers together."""
        rows_at_once = self.train_batch_size * len(self.devices.towers)
        return rows_at_once * self.gradient_accumulation_steps


class Plan(NamedTuple):
    """What a training run is going to do."""

    num_examples: int
    num_rows: int  # of the whole run
    num_train_steps: int
    num_warmup_steps: int
    checkpoint: Optional[str]  # to resume from
    first_step: int
    first_row: int  # position in the data; skipped steps have moved it on too
    padded_lengths: Optional[Tuple[int, ...]] = None  # see `length_buckets`
    share_of_padding: Optional[float] = None  # in the first epoch, with those lengths
    mean_length: Optional[float] = None  # of a row, in tokens

    def describe(self, settings, trained, encoder=None):
        """Returns the lines that are printed at the start.

        Args:
          settings: `TrainSettings`.
          trained: list of the variables that train.
          encoder: description of the encoder, see `encoders`; for `--freeze` only.
        """
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
            return length_buckets.OFF
        known = f"{len(lengths)} lengths from {lengths[0]} to {lengths[-1]}"
        if len(lengths) == 1:
            known = f"one length of {lengths[0]}"
        return f"{known}, {100 * self.share_of_padding:.1f} % padding"


def _describe_xla(settings):
    """Tells which parts of a step are compiled, see `train_graph`."""
    if not settings.use_xla:
        return "no"
    if settings.devices.has_gpus or not fused.supports_jit():
        return "what TensorFlow chooses"
    is_whole = settings.gradient_accumulation_steps == 1
    parts = ["element-wise operations"] * is_whole
    parts += ["update"] * (settings.optimizer == "adamw")
    return ", ".join(parts) or "nothing"


def _num_rows_and_steps(num_examples, settings):
    """Returns how many rows and steps a run has.

    Only a run of epochs may end with a step that is not full.
    """
    batch_size, num_steps = settings.global_batch_size, settings.num_train_steps
    if num_steps is not None:
        return num_steps * batch_size, num_steps
    num_rows = input_pipeline.rows_of_epochs(num_examples, settings.num_train_epochs)
    return num_rows, math.ceil(num_rows / batch_size)


def make_plan(records, settings):
    """Returns the `Plan` of a run; it resumes from a checkpoint in `output_dir`.

    Args:
      records: those of the train split, see `input_pipeline`.
      settings: `TrainSettings`.

    Raises:
      InputError: if that checkpoint belongs to a run with other batches.
    """
    num_rows, num_train_steps = _num_rows_and_steps(records.num_examples, settings)
    num_warmup_steps = settings.num_warmup_steps
    if num_warmup_steps is None:
        num_warmup_steps = int(num_train_steps * settings.warmup_proportion)
    if num_warmup_steps >= num_train_steps > 1:
        logger.warning(
            "In %d steps the learning rate never gets to --learning_rate=%g: warm-up "
            "takes %d, see --num_warmup_steps",
            num_train_steps,
            settings.learning_rate,
            num_warmup_steps,
        )
    lengths = length_buckets.lengths_of(records)
    padded_lengths, share_of_padding = _choose_buckets(records, settings)
    checkpoint = None
    if not settings.overwrite_output_dir:
        checkpoint = checkpoints.latest(settings.output_dir)
    counters = checkpoints.Counters(0, 0, 0)
    if checkpoint:
        counters = checkpoints.read_counters(checkpoint)
        _check_same_batches(counters, settings, padded_lengths is not None)
    return Plan(
        num_examples=records.num_examples,
        num_rows=num_rows,
        num_train_steps=num_train_steps,
        num_warmup_steps=num_warmup_steps,
        checkpoint=checkpoint,
        first_step=counters.global_step,
        first_row=counters.data_position,
        padded_lengths=padded_lengths,
        share_of_padding=share_of_padding,
        mean_length=None if lengths is None else float(lengths.mean()),
    )


def _choose_buckets(records, settings):
    """Returns (padded lengths, share of padding), or two times None without buckets."""
    lengths = length_buckets.lengths_of(records)
    if lengths is None or settings.length_buckets == length_buckets.OFF:
        return None, None
    padded_lengths = length_buckets.choose(
        lengths,
        step=length_buckets.step_on(settings.devices.has_gpus),
        max_length=records.seq_length,
    )
    batch_size = settings.global_batch_size
    order = length_buckets.TrainOrder(lengths, batch_size, settings.seed)
    return padded_lengths, length_buckets.share_of_padding(
        lengths[order.epoch(0)], batch_size, padded_lengths
    )


def _check_same_batches(counters, settings, has_buckets):
    """Raises an `InputError` if the run in `output_dir` has other batches.

    Args:
      counters: `checkpoints.Counters` of its last checkpoint.
      settings: `TrainSettings`.
      has_buckets: whether rows of like length will be in a batch.
    """
    if counters.global_batch_size not in (0, settings.global_batch_size):
        raise InputError(
            f"--output_dir={settings.output_dir}: its run has a global batch size "
            f"of {counters.global_batch_size}, and now it would be "
            f"{settings.global_batch_size}; to resume it, choose a "
            "--train_batch_size, --n_gpus and --gradient_accumulation_steps whose "
            "product is the same"
        )
    if counters.global_batch_size and counters.has_length_buckets != has_buckets:
        known = length_buckets.AUTO if has_buckets else length_buckets.OFF
        other = length_buckets.OFF if has_buckets else length_buckets.AUTO
        raise InputError(
            f"--length_buckets={known}: the run in --output_dir={settings.output_dir} "
            f"has its rows in another order; to resume it, give "
            f"--length_buckets={other}"
        )
