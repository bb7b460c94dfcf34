"""Devices: round robin over GPUs, logical CPUs with a warning, errors that say why."""

import logging

import pytest
import tensorflow.compat.v1 as tf

from bert_my.data.errors import InputError
from bert_my.engine import devices


def see(monkeypatch, num_gpus):
    class Device:
        name = "/physical_device:CPU:0"

    monkeypatch.setattr(
        tf.config.experimental,
        "list_physical_devices",
        lambda kind=None: [Device()] * (num_gpus if kind == "GPU" else 1),
    )


def test_towers_share_gpus_round_robin(monkeypatch):
    see(monkeypatch, num_gpus=2)
    chosen = devices.choose_devices(5)
    assert chosen.towers == ("/gpu:0", "/gpu:1", "/gpu:0", "/gpu:1", "/gpu:0")
    assert str(chosen) == "/gpu:0 x 3, /gpu:1 x 2"
    assert "GPU" not in chosen.session_config().device_count


def test_gpus_can_be_left_alone(monkeypatch):
    see(monkeypatch, num_gpus=2)
    chosen = devices.choose_devices(2, use_gpu=False)
    assert chosen.towers == ("/cpu:0", "/cpu:1")
    assert dict(chosen.session_config().device_count) == {"CPU": 2, "GPU": 0}


def test_logical_cpus_with_one_warning(monkeypatch, caplog):
    see(monkeypatch, num_gpus=0)
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        chosen = devices.choose_devices(3)
    assert chosen.towers == ("/cpu:0", "/cpu:1", "/cpu:2")
    assert len(caplog.records) == 1
    assert "3 towers run on logical CPU devices" in caplog.text


def test_a_gpu_that_is_needed_and_missing(monkeypatch):
    see(monkeypatch, num_gpus=0)
    with pytest.raises(InputError, match=r"--use_gpu=true.*/physical_device:CPU:0"):
        devices.choose_devices(1, use_gpu=True)


def test_precision_without_kernels_falls_back(monkeypatch, caplog):
    chosen = devices.choose_devices(1, use_gpu=False)
    assert devices.choose_precision("fp16", chosen) == "fp16"
    monkeypatch.setattr(devices, "supports", lambda *args: False)
    with caplog.at_level(logging.WARNING, logger="bert_my"):
        assert devices.choose_precision("bf16", chosen) == "fp32"
    assert "no bf16 kernels for /cpu:0" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(
    not tf.config.experimental.list_physical_devices("GPU"),
    reason="TensorFlow sees no GPU",
)
def test_gpus_are_found():
    assert devices.choose_devices(1).towers == ("/gpu:0",)
