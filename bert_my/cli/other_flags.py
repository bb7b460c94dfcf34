"""Flags of other projects, and what becomes of them here.

A flag with the same kind of value as one of ours is an alias of it, see
`common.options.option`; the others are here. The table in docs/flags.md is made of both
(`scripts/write_flag_table.py`). Needs no TensorFlow.
"""

from bert_my.cli.flag_sets import Converted, Others
from bert_my.common.errors import InputError
from bert_my.engine.options import EPOCH, TrainOptions

_ONE_PROCESS = (
    "each process would train a model of its own, because gradients are not added up "
    "over processes; leave the flag out, and use --n_gpus for several GPUs"
)


def _only(kind, value, instead):
    """Returns the `Converted` of a flag that may have one value."""
    shown = str(value).lower() if kind is bool else value

    def convert(given, _):
        if (given.lower() if kind is str else given) != value:
            raise InputError(f"it must be {shown} here; {instead}")
        return {}

    return Converted(kind, f"the only value here, {shown}", (), convert)


def _switch(**options):
    """Returns the `Converted` of a switch that stands for values of options."""
    shown = ", ".join(f"--{name}={str(x).lower()}" for name, x in options.items())
    return Converted(
        bool, shown, tuple(options), lambda given, _: dict(options) if given else {}
    )


def _choice(option, values):
    """Returns the `Converted` of a flag whose values have other names here.

    Args:
      option: name of the option.
      values: dict value in small letters -> value of the option, None: not set.
    """

    def convert(given, _):
        if given.lower() not in values:
            raise InputError(f"it must be one of {', '.join(values)} here")
        value = values[given.lower()]
        return {} if value is None else {option: value}

    return Converted(str, f"--{option}", (option,), convert)


def _reporting_steps(given):
    """Returns the value of `--evaluate_every` of scripts that evaluate with the log."""
    for name in ("eval_steps", "evaluate_every", "logging_steps"):
        if name in given:
            return str(given[name])
    return str(TrainOptions.logging_steps)


def _evaluate_during_training(value, given):
    return {"evaluate_every": _reporting_steps(given)} if value else {}


def _evaluation_strategy(value, given):
    value = value.lower()
    if value not in ("no", "steps", EPOCH):
        raise InputError(f"it must be no, steps or {EPOCH}")
    if value == "steps":
        return {"evaluate_every": _reporting_steps(given)}
    if value == "no" and "eval_steps" in given:
        raise InputError("it contradicts --eval_steps; leave one of them out")
    return {"evaluate_every": EPOCH} if value == EPOCH else {}


def _load_best_model(value, given):
    is_named = "metric_for_best_model" in given or not value
    return {} if is_named else {"keep_best": "auto"}


def _metric_for_best_model(value, given):
    if given.get("load_best_model_at_end") is False:
        return {}
    name = value[len("eval_") :] if value.startswith("eval_") else value
    return {"keep_best": f"eval_{name}" if name in ("accuracy", "loss") else name}


def _max_steps(value, _):
    return {} if value < 0 else {"num_train_steps": value}  # run_glue.py's default: -1


def _save_steps(value, _):
    return {"save_checkpoints_steps": value, "evaluate_when_saving": True}


def _save_strategy(value, _):
    if value.lower() != "steps":
        raise InputError("it must be steps here; give --save_checkpoints_steps")
    return {}


def _resume(value, _):
    if not value:
        raise InputError(
            "a run in --output_dir is resumed; give --overwrite_output_dir"
        )
    return {}


def _device(value, _):
    name = value.partition(":")[0].lower()
    if name not in ("gpu", "cuda", "cpu"):
        raise InputError("it must be gpu or cpu here")
    return {"use_gpu": name != "cpu"}


_ADAMW = ("adam", "adamw", "adamw_hf", "adamw_torch", "adamw_torch_fused")
_OPTIMIZER = _choice("optimizer", {**dict.fromkeys(_ADAMW, "adamw"), "lamb": "lamb"})
_STRATEGY = Converted(
    str, "--evaluate_every", ("evaluate_every",), _evaluation_strategy
)
_ON_CPU = _switch(use_gpu=False)
_DEVICE = Converted(str, "--use_gpu=true, or false", ("use_gpu",), _device)

CONVERTED = {
    "max_steps": Converted(
        int, "--num_train_steps; -1: not set", ("num_train_steps",), _max_steps
    ),
    "save_steps": Converted(
        int,
        "--save_checkpoints_steps, and --evaluate_when_saving",
        ("save_checkpoints_steps", "evaluate_when_saving"),
        _save_steps,
    ),
    "evaluate_during_training": Converted(
        bool,
        "--evaluate_every with the value of --logging_steps",
        ("evaluate_every",),
        _evaluate_during_training,
    ),
    "evaluation_strategy": _STRATEGY,
    "eval_strategy": _STRATEGY,
    "save_strategy": Converted(str, "the only value here, steps", (), _save_strategy),
    "load_best_model_at_end": Converted(
        bool, "--keep_best=auto", ("keep_best",), _load_best_model
    ),
    "metric_for_best_model": Converted(
        str, "--keep_best", ("keep_best",), _metric_for_best_model
    ),
    "resume_from_checkpoint": Converted(
        bool, "the only value here, true: runs are resumed always", (), _resume
    ),
    "bf16": _switch(precision="bf16"),
    "amp": _switch(use_fp16=True),
    "full_determinism": _switch(deterministic=True),
    "no_cuda": _ON_CPU,
    "use_cpu": _ON_CPU,
    "device": _DEVICE,
    "select_device": _DEVICE,
    "optim": _OPTIMIZER,
    "optimizer_type": _OPTIMIZER,
    "model_type": _only(str, "bert", "only BERT models are trained"),
    "max_grad_norm": _only(float, 1.0, "gradients are clipped at this norm"),
    "adam_beta1": _only(float, 0.9, "it is not an option"),
    "adam_beta2": _only(float, 0.999, "it is not an option"),
    "lr_scheduler_type": _only(str, "linear", "there is no other schedule"),
    "local_rank": _only(int, -1, _ONE_PROCESS),
    "horovod": _only(bool, False, "use --n_gpus for several GPUs"),
    "use_trt": _only(bool, False, "export with --save_for_serving"),
}

_TPU = "there is no TPU support"
_CACHE = "the name of encoded records is a hash of their content"
_LOSS_SCALE = "the loss scale of fp16 is found by itself"
_LOGS = "the log goes to stderr, --output_dir/training.csv and TensorBoard events"
_ONE_TOKENIZER = "there is one tokenizer"
_DOWNLOADS = "nothing is downloaded"
_SUMS = "gradients are added up once a step"
_LAST_ROWS = "every row is used, those of the last batch too"
WITHOUT_EFFECT = {
    "iterations_per_loop": _TPU,
    "tpu_name": _TPU,
    "tpu_zone": _TPU,
    "gcp_project": _TPU,
    "master": _TPU,
    "num_tpu_cores": _TPU,
    "overwrite_cache": _CACHE,
    "fp16_opt_level": "fp16 has one form",
    "fp16_backend": "fp16 has one form",
    "fp16_full_eval": "see --precision",
    "tf32": "see --precision",
    "half_precision_backend": "fp16 has one form",
    "loss_scale": _LOSS_SCALE,
    "init_loss_scale": _LOSS_SCALE,
    "allreduce_post_accumulation": _SUMS,
    "allreduce_post_accumulation_fp16": _SUMS,
    "server_ip": "there is no debugger",
    "server_port": "there is no debugger",
    "verbose_logging": "see --verbosity",
    "report_loss": "the loss is always reported",
    "logging_first_step": "see --logging_steps",
    "logging_strategy": "see --logging_steps",
    "logging_dir": _LOGS,
    "log_level": "see --verbosity",
    "dllog_path": _LOGS,
    "json_summary": _LOGS,
    "report_to": _LOGS,
    "run_name": _LOGS,
    "disable_tqdm": "a bar is shown on terminals only",
    "disable_progress_bar": "a bar is shown on terminals only",
    "greater_is_better": "it is known of every metric",
    "group_by_length": "see --length_buckets",
    "pad_to_max_length": "batches are padded to their longest text",
    "dataloader_drop_last": _LAST_ROWS,
    "dataloader_num_workers": "rows are read by one process",
    "dataloader_pin_memory": "rows are read by one process",
    "num_workers": "rows are read by one process",
    "preprocessing_num_workers": "texts are encoded on all cores",
    "remove_unused_columns": "columns are chosen by --text_column and its like",
    "use_fast_tokenizer": _ONE_TOKENIZER,
    "use_slow_tokenizer": _ONE_TOKENIZER,
    "ignore_mismatched_sizes": "a head for other labels starts at random",
    "save_safetensors": "see scripts/convert_hf_checkpoint.py",
    "data_seed": "--seed is of the data's order, too",
    "use_auth_token": _DOWNLOADS,
    "token": _DOWNLOADS,
    "hub_token": _DOWNLOADS,
    "trust_remote_code": _DOWNLOADS,
    "model_revision": _DOWNLOADS,
}

_SMALLER_FILE = "give a smaller file as --dev_file or --test_file"
_LAYERS = "use --recompute=N, with the number of layers to compute twice"
_SQUAD = "there is no task of that kind; see --task_name"
_PHASE = (
    "leave it out, and train each phase in an --output_dir of its own, the second with "
    "the checkpoint of the first as --init_checkpoint"
)
_EPOCHS = "use --num_train_epochs"
_ONE_GPU = "set CUDA_VISIBLE_DEVICES to the numbers of the GPUs, and --n_gpus"
_TRAIN_FILE = "use --train_file"
_DEV_FILE = "use --dev_file"
_TEST_FILE = "use --test_file, and --do_predict"
_EXPORT = "use --save_for_serving; the model is in --output_dir/serving"
_VOCAB = "use --vocab_file, or --model with the path of a folder"
_MODEL = "use --model, with the path of a folder"
_PRECISION = "use --precision=fp16 or --precision=bf16"
_CRF = "use --objective=crf, or --objective=token for none"
_DROPOUT = "change hidden_dropout_prob in bert_config.json"
_ACCUMULATION = "use --gradient_accumulation_steps"
REFUSED = {
    "num_processes": _ONE_PROCESS,
    "process_index": _ONE_PROCESS,
    "eval_all_checkpoints": "use --evaluate_every, which evaluates while it trains",
    "config_name": "use --bert_config_file, with the path of a file",
    "tokenizer_name": "use --vocab_file, with the path of a file",
    "dataset_name": "nothing is downloaded; use --data_dir, or --train_file",
    "dataset_config_name": "nothing is downloaded; use --data_dir, or --train_file",
    "max_eval_samples": _SMALLER_FILE,
    "max_val_samples": _SMALLER_FILE,
    "max_predict_samples": _SMALLER_FILE,
    "max_test_samples": _SMALLER_FILE,
    "gradient_checkpointing": _LAYERS,
    "checkpoint_activations": _LAYERS,
    "phase2": _PHASE,
    "phase1_end_step": _PHASE,
    "resume_step": "a run in --output_dir is resumed from its last checkpoint",
    "skip_checkpoint": "use a large --save_checkpoints_steps",
    "push_to_hub": "nothing is uploaded; see scripts/convert_hf_checkpoint.py",
    "deepspeed": _ONE_PROCESS,
    "fsdp": _ONE_PROCESS,
    "torch_compile": "use --use_xla",
    "adafactor": "use --optimizer=adamw or --optimizer=lamb",
    "lr": "use --learning_rate",
    "epoch": _EPOCHS,
    "epochs": _EPOCHS,
    "num_epoch": _EPOCHS,
    "num_epochs": _EPOCHS,
    "gpus": "use --n_gpus",
    "gpu": _ONE_GPU,
    "gpu_id": _ONE_GPU,
    "gpu_ids": _ONE_GPU,
    "random_seed": "use --seed",
    "data": "use --data_dir, the path of a folder",
    "train": "use --do_train, or --train_file=PATH",
    "train_data": _TRAIN_FILE,
    "train_path": _TRAIN_FILE,
    "dev": _DEV_FILE,
    "dev_path": _DEV_FILE,
    "valid_file": _DEV_FILE,
    "eval_data": _DEV_FILE,
    "test": _TEST_FILE,
    "test_path": _TEST_FILE,
    "do_test": "use --do_predict",
    "do_export": _EXPORT,
    "export_dir": _EXPORT,
    "save_dir": "use --output_dir",
    "vocab": _VOCAB,
    "vocab_path": _VOCAB,
    "config": "use --bert_config_file, with the path of a file",
    "bert_dir": _MODEL,
    "bert_path": _MODEL,
    "model_dir": _MODEL,
    "model_path": _MODEL,
    "ckpt": "use --init_checkpoint",
    "dtype": _PRECISION,
    "mixed_precision": _PRECISION,
    "crf": _CRF,
    "use_crf": _CRF,
    "dropout": _DROPOUT,
    "dropout_rate": _DROPOUT,
    "hidden_dropout_prob": _DROPOUT,
    "accum_steps": _ACCUMULATION,
    "grad_accum": _ACCUMULATION,
    "accumulation_steps": _ACCUMULATION,
    "predict_file": _SQUAD,
    "doc_stride": _SQUAD,
    "max_query_length": _SQUAD,
    "hub_module": "nothing is downloaded; use --model, with the path of a folder",
    "bert_hub_module_handle": "use --model, with the path of a folder",
}

OTHERS = Others(CONVERTED, WITHOUT_EFFECT, REFUSED)
