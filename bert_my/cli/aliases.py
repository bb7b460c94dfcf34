"""Which flags are the same setting under several names.

By itself, so that a sweep knows them without importing TensorFlow.
"""

# Flag -> its other names, which older command lines have.
ALIASES = {
    "n_gpus": ("num_gpu_cores", "n_gpu"),
    "save_checkpoints_steps": ("save_steps",),
    "num_train_steps": ("max_steps",),
    "num_warmup_steps": ("warmup_steps",),
}
# Flag that is gone -> the reason, for the error.
REMOVED = dict.fromkeys(
    ("num_processes", "process_index"),
    "each process would train a model of its own, because gradients are not added up "
    "over processes; leave the flag out, and use --n_gpus for several GPUs",
)
# Flag -> flags with another kind of value that set the same.
OLDER_FORMS = {"precision": ("use_fp16",)}


def same_setting(flag):
    """Returns all flags that set what a flag sets, the flag of `RunConfig` first."""
    for table in (ALIASES, OLDER_FORMS):
        for name, others in table.items():
            if flag in (name, *others):
                return (name, *others)
    return (flag,)
