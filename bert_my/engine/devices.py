"""Which devices the towers run on."""

import logging
from typing import NamedTuple, Tuple

import tensorflow.compat.v1 as tf

import modeling
from bert_my.data.errors import InputError

logger = logging.getLogger(__name__)

# dtypes of the activations; variables are float32 always.
PRECISIONS = {"fp32": tf.float32, "fp16": tf.float16, "bf16": tf.bfloat16}


class Devices(NamedTuple):
    """Where towers run. `towers`: a device for each tower, which may repeat."""

    towers: Tuple[str, ...]
    num_cpus: int  # logical CPU devices that the session needs
    has_gpus: bool

    def session_config(self):
        """Returns the `tf.ConfigProto` of a session with these devices."""
        config = tf.ConfigProto(allow_soft_placement=True)
        config.gpu_options.allow_growth = True
        config.device_count["CPU"] = self.num_cpus
        if not self.has_gpus:
            config.device_count["GPU"] = 0
        return config

    def __str__(self):
        counts = {name: self.towers.count(name) for name in self.towers}
        return ", ".join(
            name if count == 1 else f"{name} x {count}"
            for name, count in counts.items()
        )


def supports(dtype, devices):
    """Whether the first tower's device has kernels for an encoder in that dtype."""
    if dtype == tf.float32:
        return True
    config = devices.session_config()
    config.allow_soft_placement = False
    with tf.Graph().as_default(), tf.device(devices.towers[0]):
        tf.set_random_seed(0)  # without one a deterministic run is refused
        layer = modeling.transformer_model(
            tf.zeros([2, 3, 8], dtype),
            attention_mask=tf.ones([2, 1, 3]),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=4,
        )
        gradients = tf.gradients(tf.cast(layer, tf.float32), tf.trainable_variables())
        with tf.Session(config=config) as session:
            try:
                session.run(tf.global_variables_initializer())
                session.run(gradients)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                return False
    return True


def choose_precision(name, devices):
    """Returns a precision that the devices can compute: that one, or else fp32.

    Args:
      name: key of `PRECISIONS`.
      devices: `Devices`.
    """
    if supports(PRECISIONS[name], devices):
        return name
    logger.warning(
        "TensorFlow %s has no %s kernels for %s: computing in fp32",
        tf.__version__,
        name,
        devices.towers[0],
    )
    return "fp32"


def choose_devices(num_towers, use_gpu=None):
    """Chooses a device for each tower: the GPUs in turn, else logical CPU devices.

    Args:
      num_towers: int, > 0; more towers than GPUs share them, round robin.
      use_gpu: True needs a GPU, False uses none, None uses those that are there.

    Raises:
      InputError: if a GPU is needed and TensorFlow sees none.
    """
    gpus = tf.config.experimental.list_physical_devices("GPU")
    if use_gpu and not gpus:
        seen = tf.config.experimental.list_physical_devices()
        raise InputError(
            f"--use_gpu=true, but TensorFlow {tf.__version__} sees no GPU, only "
            f"{', '.join(device.name for device in seen)} (built with CUDA: "
            f"{tf.test.is_built_with_cuda()}; CUDA_VISIBLE_DEVICES hides GPUs)"
        )
    if gpus and use_gpu is not False:
        towers = tuple(f"/gpu:{index % len(gpus)}" for index in range(num_towers))
        return Devices(towers, num_cpus=1, has_gpus=True)
    if num_towers > 1:
        logger.warning(
            "No GPU in use: %d towers run on logical CPU devices, which gives right "
            "numbers but no speed",
            num_towers,
        )
    towers = tuple(f"/cpu:{index}" for index in range(num_towers))
    return Devices(towers, num_cpus=num_towers, has_gpus=False)
