"""Peak FLOPs per second of devices, measured by matrix products.

The model FLOPs of a run (see `encoders`) per second, over the peak, are the model FLOPs
utilization (MFU). Source: Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with
Pathways", appendix B.
"""

import logging
import statistics
import time

import tensorflow.compat.v1 as tf

from bert_my.engine.devices import PRECISIONS

logger = logging.getLogger(__name__)

# Matrices of so many rows and columns keep a device busy, and do not take a CPU long.
_SIZES = {True: 8192, False: 1024}  # keys: is it a GPU?
_NUM_PRODUCTS = 8  # of a run, one after the other
_NUM_RUNS = 5


def measure_peak(devices, precision):
    """Returns the FLOPs per second of all devices together, in matrix products.

    Only the first tower's device is measured.

    Args:
      devices: `Devices`.
      precision: key of `PRECISIONS`.
    """
    size = _SIZES[devices.has_gpus]
    with tf.Graph().as_default(), tf.device(devices.towers[0]):
        # The products neither grow nor vanish.
        initial = tf.random.stateless_normal([size, size], seed=[0, 0]) * size**-0.5
        variable = tf.get_variable("matrix", initializer=initial)
        matrix = product = tf.cast(variable, PRECISIONS[precision])
        for _ in range(_NUM_PRODUCTS):
            product = tf.matmul(product, matrix)
        # Fetching a number makes the run wait for the products.
        result = tf.cast(product[0, 0], tf.float32)
        with tf.Session(config=devices.session_config()) as session:
            session.run(tf.global_variables_initializer())
            seconds = [_seconds(session, result) for _ in range(_NUM_RUNS + 1)][1:]
    per_device = _NUM_PRODUCTS * 2 * size**3 / statistics.median(seconds)
    # All logical CPU devices share one CPU.
    num_devices = len(set(devices.towers)) if devices.has_gpus else 1
    logger.info(
        "Peak: %.4g TFLOP/s in %s matrix products, on each of %d device(s)",
        per_device / 1e12,
        precision,
        num_devices,
    )
    return per_device * num_devices


def _seconds(session, tensor):
    began = time.time()
    session.run(tensor)
    return time.time() - began
