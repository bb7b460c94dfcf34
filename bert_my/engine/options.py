"""The options of the engine: devices, forward passes, training and its evaluations.

Needs no TensorFlow, so that a command line can be checked without loading it.
"""

import dataclasses
import math
from typing import Optional

from bert_my.common import options
from bert_my.common.errors import InputError
from bert_my.common.options import APPLIED, FREE, Options, option
from bert_my.data import row_order
from bert_my.engine.run_folder import RunFolder

PRECISIONS = ("fp32", "fp16", "bf16")  # keys of `devices.PRECISIONS`
AUTO = "auto"  # of `precision` and `keep_best`
EPOCH = "epoch"
# A graph of more replicas takes minutes to build, and no machine has so many devices.
MOST_TOWERS = 64


@dataclasses.dataclass(frozen=True)
class DeviceOptions(Options):
    """Devices, precision and threads."""

    use_gpu: Optional[bool] = option(
        None,
        "true: fail without a GPU; false: use none; default: use the GPUs there are.",
        on_resume=FREE,
    )
    n_gpus: int = option(
        1,
        "Number of towers (replicas of the model). More towers than GPUs share them; "
        "without a GPU they run on the CPU.",
        # The forks' default of 0 is one tower, see `with_older_forms`.
        check=options.between(0, MOST_TOWERS),
        aliases=("num_gpu_cores", "n_gpu"),
        on_resume=FREE,
    )
    precision: Optional[str] = option(
        None,
        "Precision of the activations: fp32, bf16, fp16 (with loss scaling), or auto: "
        "bf16 or fp16 if the device has hardware for it; default: fp32.",
        check=options.one_of(AUTO, *PRECISIONS),
        older_forms=("use_fp16",),
    )
    use_fp16: Optional[bool] = option(
        None,
        "Same as --precision=fp16.",
        aliases=("fp16", "manual_fp16"),
        on_resume=FREE,
    )
    use_xla: Optional[bool] = option(
        None,
        "Compile parts of the training step with XLA; default: in long runs on a CPU.",
        on_resume=FREE,
    )
    intra_op_threads: int = option(
        0,
        "CPU threads that share one operation; 0: one per core.",
        check=options.between(0, options.MOST_THREADS),
        on_resume=FREE,
    )
    inter_op_threads: int = option(
        0,
        "CPU operations that run at the same time; 0: one per core.",
        check=options.between(0, options.MOST_THREADS),
        on_resume=FREE,
    )
    deterministic: bool = option(
        False,
        "Use deterministic kernels: bit-identical results every time; slower.",
        on_resume=FREE,
    )

    def with_older_forms(self):
        """Returns these options with values that older command lines give otherwise.

        `precision` may be given as `use_fp16`; 0 towers, the default of the forks that
        name them `num_gpu_cores`, are one.

        Raises:
          InputError: if both are given and contradict one another.
        """
        if self.use_fp16 and self.precision not in (None, "fp16"):
            raise InputError(
                f"--use_fp16=true and --precision={self.precision} contradict one "
                "another"
            )
        from_older_form = "fp16" if self.use_fp16 else "fp32"
        return dataclasses.replace(
            self, precision=self.precision or from_older_form, n_gpus=self.n_gpus or 1
        )


@dataclasses.dataclass(frozen=True)
class EvalOptions(Options):
    """Batches of evaluation and prediction."""

    eval_batch_size: int = option(
        8,
        "Full-length rows per tower and step in evaluation; more rows if they are "
        "short.",
        check=options.between(1, options.MOST_ROWS),
        aliases=("per_gpu_eval_batch_size", "per_device_eval_batch_size"),
        on_resume=FREE,
    )
    predict_batch_size: int = option(
        8,
        "Full-length rows per tower and step in prediction; more rows if they are "
        "short.",
        check=options.between(1, options.MOST_ROWS),
        on_resume=FREE,
    )


@dataclasses.dataclass(frozen=True)
class BatchOptions(Options):
    """Batches of a training step and the memory they take."""

    train_batch_size: int = option(
        32,
        "Rows per tower in one forward and backward pass.",
        check=options.between(1, options.MOST_ROWS),
        aliases=(
            "per_gpu_train_batch_size",
            "per_device_train_batch_size",
            "batch_size",
        ),
        on_resume=FREE,
    )
    gradient_accumulation_steps: int = option(
        1,
        "Batches per tower whose gradients are accumulated in one step: the update of "
        "a larger batch in the memory of one.",
        check=options.between(1, options.MOST_ROWS),
        aliases=("num_accumulation_steps",),
        on_resume=FREE,
    )
    length_buckets: str = option(
        row_order.AUTO,
        "auto: batches of rows of similar length, which need less padding; off: rows "
        "of any length.",
        check=options.one_of(*row_order.MODES),
        on_resume=FREE,
    )
    recompute: int = option(
        0,
        "Number of layers whose activations are recomputed in the backward pass: less "
        "memory, more time.",
        check=options.count_or_zero,
        on_resume=FREE,
    )


@dataclasses.dataclass(frozen=True)
class ScheduleOptions(Options):
    """Length of the run and learning rate schedule."""

    learning_rate: float = option(
        5e-5,
        "Peak learning rate, reached after warm-up.",
        check=options.rate,
        on_resume=APPLIED,
    )
    num_train_epochs: float = option(
        3.0,
        "Passes over the train file.",
        check=options.between(1e-6, 10**6),
        on_resume=APPLIED,
    )
    num_train_steps: Optional[int] = option(
        None,
        "Number of training steps, instead of num_train_epochs.",
        check=options.count,
        instead_of="num_train_epochs",
        on_resume=APPLIED,
    )
    warmup_proportion: float = option(
        0.1,
        "Share of the steps that are warm-up: the learning rate rises from 0.",
        check=options.share,
        aliases=("warmup_ratio",),
        on_resume=APPLIED,
    )
    num_warmup_steps: Optional[int] = option(
        None,
        "Number of warm-up steps, instead of warmup_proportion.",
        check=options.count_or_zero,
        aliases=("warmup_steps",),
        instead_of="warmup_proportion",
        on_resume=APPLIED,
    )

    def rows_and_steps(self, num_examples, global_batch_size):
        """Returns the rows and the steps of the whole run, two ints.

        Only a run of epochs may end with a step that is not full.

        Args:
          num_examples: rows of an epoch.
          global_batch_size: rows of a step.
        """
        if self.num_train_steps is not None:
            return self.num_train_steps * global_batch_size, self.num_train_steps
        # Rounded first: 30 examples times 0.1 epochs are 3 rows, not
        # 3.0000000000000004.
        exact = round(num_examples * self.num_train_epochs, 6)
        num_rows = max(math.ceil(exact), 1)
        return num_rows, math.ceil(num_rows / global_batch_size)

    def warmup_steps(self, num_train_steps):
        """Returns the number of warm-up steps of a run."""
        if self.num_warmup_steps is not None:
            return self.num_warmup_steps
        return int(num_train_steps * self.warmup_proportion)


@dataclasses.dataclass(frozen=True)
class OptimizerOptions(Options):
    """Optimizer, learning rates of parts of the model, averages of the weights."""

    optimizer: str = option(
        "adamw",
        "adamw, or lamb for very large batches.",
        check=options.one_of("adamw", "lamb"),
    )
    adam_epsilon: float = option(
        1e-6,
        "Epsilon of AdamW and LAMB, added to the root of the second moment.",
        check=options.rate,
    )
    weight_decay: float = option(
        0.01,
        "Decoupled weight decay; none for biases and LayerNorm.",
        check=options.between(0, 1000),
    )
    freeze: Optional[str] = option(
        None,
        "Parts that do not train: embeddings, pooler, bert, layers and ranges of "
        "layers, for example embeddings,0-5.",
    )
    layer_lr_decay: float = option(
        1.0,
        "Layer-wise learning rate decay: factor from each layer to the one below.",
        check=options.positive_share,
        on_resume=APPLIED,
    )
    head_learning_rate: Optional[float] = option(
        None,
        "Learning rate of everything above the encoder; default: learning_rate.",
        check=options.rate,
        on_resume=APPLIED,
    )
    ema_decay: float = option(
        0.0,
        "Decay of an exponential moving average of the weights, which is used instead "
        "of them; 0: no average.",
        check=options.below_one,
    )


@dataclasses.dataclass(frozen=True)
class AdversarialOptions(Options):
    """Adversarial training."""

    adversarial: Optional[str] = option(
        None,
        "fgm: train on perturbed word embeddings too, in twice the time.",
        check=options.one_of("fgm"),
    )
    adversarial_epsilon: float = option(
        1.0, "Euclidean norm of the perturbation.", check=options.rate
    )


def _is_interval(text):
    is_number = text.isdecimal() and len(text) < 20
    return text == EPOCH or (is_number and options.count.holds(int(text)))


@dataclasses.dataclass(frozen=True)
class DevOptions(Options):
    """Evaluation of the dev set during training."""

    evaluate_every: Optional[str] = option(
        None,
        "Evaluate on the dev file during training: every this many steps, or epoch.",
        check=options.Check(_is_interval, f"{options.count.must} steps, or {EPOCH}"),
        aliases=("eval_steps",),
        on_resume=APPLIED,
    )
    keep_best: Optional[str] = option(
        None,
        "Keep the weights with the best value of this metric, for evaluation, "
        "prediction and export; auto: the task's main metric.",
        on_resume=APPLIED,
    )
    early_stop_patience: int = option(
        0,
        "Stop after this many evaluations without a better value; 0: never.",
        check=options.count_or_zero,
        aliases=("early_stopping_patience",),
        on_resume=APPLIED,
    )
    evaluate_when_saving: bool = option(
        False,
        "Evaluate on the dev file, if there is one, whenever a checkpoint is saved, "
        "unless another flag asks for evaluations.",
        on_resume=FREE,
    )

    @property
    def dev_flags(self):
        """The flags that ask for an evaluation during training, and for a dev file."""
        return [
            f"--{name}"
            for name in ("evaluate_every", "keep_best", "early_stop_patience")
            if getattr(self, name)
        ]

    def metric_of(self, task):
        """Returns the name of the metric that decides which weights are the best.

        Raises:
          InputError: if the task does not have it.
        """
        if self.keep_best in (None, "", AUTO):
            return task.main_metric
        known = {*task.metric_names, "eval_loss", "loss"}
        if self.keep_best not in known:
            raise InputError(
                f"--keep_best={self.keep_best}: task {task.name} has no such metric; "
                f"it has {', '.join(sorted(known))}"
            )
        return self.keep_best


@dataclasses.dataclass(frozen=True)
class TrainOptions(
    BatchOptions, ScheduleOptions, OptimizerOptions, AdversarialOptions, DevOptions
):
    """All options of training; here its folder, weights, seed and checkpoints."""

    output_dir: Optional[str] = option(
        None,
        "Folder for checkpoints and results; a run in it is resumed.",
        on_resume=FREE,
    )
    overwrite_output_dir: bool = option(
        False,
        "Delete the run in output_dir and train anew, instead of resuming it.",
        on_resume=FREE,
    )
    # A checkpoint in `output_dir` wins over it.
    init_checkpoint: Optional[str] = option(
        None, "Initial weights, for example .../bert_model.ckpt.", on_resume=FREE
    )
    strict_init: bool = option(
        False,
        "Refuse an initial checkpoint that lacks variables of the encoder, which would "
        "start at random.",
        on_resume=FREE,
    )
    seed: int = option(
        12345, "Seed of initial weights, data order and dropout.", check=options.seed
    )
    save_checkpoints_steps: int = option(
        1000,
        "Steps between checkpoints.",
        check=options.count,
        aliases=("num_steps_per_checkpoint",),
        on_resume=FREE,
    )
    keep_checkpoint_max: int = option(
        5,
        "Number of checkpoints to keep; 0: all.",
        check=options.count_or_zero,
        aliases=("save_total_limit",),
        on_resume=FREE,
    )
    logging_steps: int = option(
        100,
        "Steps between progress reports; one comes after 10 seconds at the latest.",
        check=options.count,
        aliases=("display_loss_steps", "log_freq"),
        on_resume=FREE,
    )
    report_mfu: bool = option(
        False,
        "Report the model FLOPs utilization (MFU): the share of the devices' peak.",
        on_resume=FREE,
    )

    @property
    def folder(self):
        """The `RunFolder` of the run."""
        return RunFolder(self.output_dir)
