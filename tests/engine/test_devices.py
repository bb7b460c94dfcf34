"""Devices: round robin over GPUs, logical CPUs with a warning, errors that say why."""

import logging
import os
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from bert_my.common.errors import InputError
from bert_my.engine import devices
from bert_my.engine.options import DeviceOptions
from bert_my.model import fused
from tests import helpers

# Frees blocks, and tells the page faults of doing it again.
COUNT_FAULTS = """
import resource
from bert_my.engine import devices

def count():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        blocks = [b"x" * (1 << 26) for _ in range(2)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = count()
kept = devices.keep_freed_memory()
count()
print(kept, before, count())
"""


def see(monkeypatch, num_gpus):
    class Device:
        name = "/physical_device:CPU:0"

    monkeypatch.setattr(
        tf.config.experimental,
        "list_physical_devices",
        lambda kind=None: [Device()] * (num_gpus if kind == "GPU" else 1),
    )


def choose(num_towers, **options):
    return devices.choose_devices(DeviceOptions(n_gpus=num_towers, **options))


def test_towers_share_gpus_round_robin(monkeypatch):
    see(monkeypatch, num_gpus=2)
    chosen = choose(5)
    assert chosen.towers == ("/gpu:0", "/gpu:1", "/gpu:0", "/gpu:1", "/gpu:0")
    assert str(chosen) == "/gpu:0 x 3, /gpu:1 x 2"
    assert "GPU" not in chosen.session_config().device_count


def test_towers_without_a_gpu_have_a_bound(monkeypatch):
    see(monkeypatch, num_gpus=0)
    with pytest.raises(InputError, match=r"--n_gpus=17: no GPU .* at most 16"):
        choose(17)


def test_gpus_can_be_left_alone(monkeypatch):
    see(monkeypatch, num_gpus=2)
    chosen = choose(2, use_gpu=False)
    assert chosen.towers == ("/cpu:0", "/cpu:1")
    assert dict(chosen.session_config().device_count) == {"CPU": 2, "GPU": 0}


def test_logical_cpus_with_one_warning(monkeypatch, caplog):
    see(monkeypatch, num_gpus=0)
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        chosen = choose(3)
    assert chosen.towers == ("/cpu:0", "/cpu:1", "/cpu:2")
    assert len(caplog.records) == 1
    assert "CPU" in caplog.text


def test_a_gpu_that_is_needed_and_missing(monkeypatch):
    see(monkeypatch, num_gpus=0)
    with pytest.raises(InputError, match=r"--use_gpu=true.*/physical_device:CPU:0"):
        choose(1, use_gpu=True)


def test_precision_without_kernels_falls_back(monkeypatch, caplog):
    chosen = choose(1, use_gpu=False)
    assert devices.choose_precision("fp16", chosen) == "fp16"
    monkeypatch.setattr(devices, "supports", lambda *args: False)
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        assert devices.choose_precision("bf16", chosen) == "fp32"
    assert "bf16" in caplog.text and "/cpu:0" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(
    not tf.config.experimental.list_physical_devices("GPU"),
    reason="TensorFlow sees no GPU",
)
def test_gpus_are_found():
    assert choose(1).towers == ("/gpu:0",)


def choose_auto(monkeypatch, caplog, flags=(), has_gpus=False, capability=None):
    """Returns (precision, what was printed)."""
    monkeypatch.setattr(devices, "supports", lambda *args: True)
    monkeypatch.setattr(devices, "_cpu_flags", lambda: set(flags))
    monkeypatch.setattr(devices, "_compute_capability", lambda: capability)
    chosen = devices.Devices(("/cpu:0",), num_cpus=1, has_gpus=has_gpus)
    with caplog.at_level(logging.INFO, logger="bert_my"):
        return devices.choose_precision("auto", chosen), caplog.text


@pytest.mark.parametrize(
    ("machine", "precision", "why"),
    [
        ({"flags": ["fma", "avx512_bf16"]}, "bf16", "avx512_bf16"),
        ({"flags": ["amx_bf16"]}, "bf16", "amx_bf16"),
        ({"flags": ["avx512f"]}, "fp32", "amx_bf16, avx512_bf16"),
        ({"has_gpus": True, "capability": (9, 0)}, "bf16", "9.0"),
        ({"has_gpus": True, "capability": (7, 5)}, "fp16", "7.5"),
        ({"has_gpus": True, "capability": (6, 1)}, "fp32", "6.1"),
        ({"has_gpus": True, "flags": ["amx_bf16"]}, "fp32", tf.__version__),
    ],
)
def test_auto_precision_is_what_the_device_is_made_for(
    monkeypatch, caplog, machine, precision, why
):
    chosen, text = choose_auto(monkeypatch, caplog, **machine)
    assert chosen == precision
    assert f"--precision=auto: {precision}" in text
    assert why in text


def test_auto_precision_needs_kernels(monkeypatch, caplog):
    monkeypatch.setattr(devices, "_cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(devices, "supports", lambda dtype, _: dtype == tf.float32)
    chosen = choose(1, use_gpu=False)
    with caplog.at_level(logging.INFO, logger="bert_my"):
        assert devices.choose_precision("auto", chosen) == "fp32"
    assert re.search(r"\bbf16\b", caplog.text)


@pytest.mark.parametrize(
    ("asked", "compiles", "has_gpus", "num_flops", "expected"),
    [
        (None, True, False, 1e15, True),
        (None, True, False, 1e12, False),  # would be over before it pays
        (None, False, False, 1e15, False),
        (None, True, True, 1e15, False),
        (True, True, False, 1.0, True),
        (True, True, True, 1.0, True),
        (False, True, False, 1e15, False),
    ],
)
def test_when_to_compile(monkeypatch, asked, compiles, has_gpus, num_flops, expected):
    monkeypatch.setattr(fused, "supports_jit", lambda: compiles)
    chosen = devices.Devices(("/cpu:0",), num_cpus=1, has_gpus=has_gpus)
    assert devices.choose_xla(asked, chosen, num_flops) is expected


def test_what_cannot_be_compiled_is_said(monkeypatch, caplog):
    monkeypatch.setattr(fused, "supports_jit", lambda: False)
    chosen = devices.Devices(("/cpu:0",), num_cpus=1, has_gpus=False)
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        assert devices.choose_xla(True, chosen, 1e15) is False
    assert "--use_xla=true" in caplog.text


def test_jit_is_supported_where_functions_are_not_inlined():
    """The names of TensorFlow's ops tell which TensorFlow it is."""
    with tf.Graph().as_default(), tf.Session() as session:
        double = tf.function(
            lambda x: x + x, autograph=False, experimental_compile=True
        )
        metadata = tf.RunMetadata()
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        # A graph of less than four nodes is left as it is.
        total = tf.add_n([double(tf.random.uniform([3])) for _ in range(5)])
        session.run(tf.reduce_sum(total), options=options, run_metadata=metadata)
    labels = [
        node.timeline_label
        for each in metadata.step_stats.dev_stats
        for node in each.node_stats
    ]
    is_kept_whole = any("PartitionedCall(" in label for label in labels)
    assert is_kept_whole == fused.supports_jit()


def test_a_gpu_compiles_clusters_only_if_asked():
    chosen = devices.Devices(("/gpu:0",), num_cpus=1, has_gpus=True)
    levels = [
        chosen.session_config(use_xla).graph_options.optimizer_options.global_jit_level
        for use_xla in (False, True)
    ]
    assert levels == [tf.OptimizerOptions.DEFAULT, tf.OptimizerOptions.ON_1]


def test_threads_hold_for_sessions_that_come_first(monkeypatch):
    """As those that check the data do: TensorFlow makes its threads but once."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    for name in names:
        monkeypatch.setenv(name, "7")
    devices.limit_threads(DeviceOptions(inter_op_threads=3))
    assert [os.environ[name] for name in names] == ["7", "3"]


@pytest.mark.once
def test_freed_memory_is_kept():
    """In a process of its own, for it cannot be taken back."""
    found = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS],
        cwd=str(helpers.ROOT),
        stdout=subprocess.PIPE,
        check=True,
    )
    kept, before, after = found.stdout.decode().split()
    assert kept == str(not fused.supports_jit())
    if kept == "False":
        pytest.skip("this TensorFlow keeps its memory by itself")
    # 64 MiB are 16,384 pages.
    assert int(before) > 10 * 10000
    assert int(after) < 1000
