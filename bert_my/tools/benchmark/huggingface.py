"""Compares with transformers on PyTorch: the same rows, in turns.

Each run is a process of its own: no side shares threads or memory with the other.
"""

import json
import os
import statistics
import subprocess
import sys

from bert_my.common.errors import InputError
from bert_my.engine import devices
from bert_my.tools.benchmark import settings, steps, workload

_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hf_worker.py")
_NEEDED = "torch, transformers, numpy"
# Flags that are not for the runs on our side.
_OF_COMPARISON = ("compare", "rounds", "hf_python", "hf_compile", "json")
# How PyTorch's threads wait for one another: None: as they do, or leaving their cores.
# What is faster depends on what else runs; the first round tries both.
WAIT_POLICIES = (None, "PASSIVE")
COMPARED = (
    "examples_per_second",
    "tokens_per_second",
    "ceiling_gflops_per_second",
    "padding_share",
    "peak_memory_bytes",
    "peak_gpu_memory_bytes",
)


def check(python):
    """Raises an `InputError` if a Python cannot do the other side's work."""
    try:
        found = _run([python, "-c", f"import {_NEEDED}"])
    except OSError as error:
        raise InputError(f"--hf_python={python}: {error.strerror}") from error
    if found.returncode:
        raise InputError(
            f"--compare=huggingface: {python} cannot import {_NEEDED}: "
            f"{_reason(found)}; --hf_python names a Python that can"
        )


def compare(request, folder, announce=print):
    """Runs both sides in turns; returns a JSON-able dict.

    Args:
      request: `settings.Request`.
      folder: for files.
      announce: function that is called with a line after each run.

    Raises:
      InputError: if one side cannot run.
    """
    own = request.own
    python = own.hf_python or sys.executable
    check(python)
    _config_of(own)
    ours, theirs, policies = [], [], WAIT_POLICIES
    for number in range(1, own.rounds + 1):
        ours.append(_run_ours(request, folder))
        found = [_run_theirs(request, python, ours[-1], each) for each in policies]
        theirs.append(max(found, key=lambda result: result["examples_per_second"]))
        policies = [theirs[-1]["wait_policy"]]
        speeds = [side[-1]["examples_per_second"] for side in (ours, theirs)]
        announce(
            "round {}: ours {:.4g} examples/s, transformers {:.4g}".format(
                number, *speeds
            )
        )
    sides = {"ours": _medians(ours), "huggingface": _medians(theirs)}
    return {
        **sides,
        **_ratios(*sides.values()),
        "rounds": {"ours": ours, "huggingface": theirs},
    }


def _ratios(ours, theirs):
    """Returns how many times as fast we are: in the median, and in the best rounds.

    The two differ where something else used the machine.
    """
    name = "examples_per_second"
    best = [side[f"{name}_spread"]["max"] for side in (ours, theirs)]
    return {"ratio": ours[name] / theirs[name], "ratio_of_best": best[0] / best[1]}


def _medians(results):
    """Returns the medians over rounds, and how far the speed varies."""
    found = {}
    for name in COMPARED:
        values = [result[name] for result in results]
        found[name] = None if None in values else statistics.median(values)
    speeds = [result["examples_per_second"] for result in results]
    found["precision"] = results[0]["precision"]
    return {**found, "examples_per_second_spread": steps.spread(speeds)}


def _run(argv, text=None, **variables):
    return subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def _run_ours(request, folder):
    """Runs this benchmark without the comparison."""
    path = os.path.join(folder, "ours.json")
    given = {n: x for n, x in request.given.items() if n not in _OF_COMPARISON}
    flags = [f"--{name}={value}" for name, value in given.items()]
    argv = [
        sys.executable,
        "-m",
        "bert_my.tools.benchmark.main",
        *flags,
        f"--json={path}",
    ]
    found = _run(argv)
    if found.returncode:
        raise InputError(f"--compare=huggingface: our side: {_reason(found)}")
    with open(path, encoding="utf-8") as reader:
        return json.load(reader)


def work_of(request, precision):
    """Returns the work of the other side, see `hf_worker`.

    Args:
      request: `settings.Request`.
      precision: fp32, fp16 or bf16.
    """
    own, engine = request.own, request.engine
    num_parts = engine.get("gradient_accumulation_steps", 1)
    batch_size = own.batch_size * own.towers * num_parts
    lengths = workload.row_lengths(own.lengths, own.steps * batch_size, own.seq_length)
    is_full = own.lengths == workload.FULL
    is_prediction = own.mode == settings.PREDICT
    return {
        "mode": own.mode,
        "config": _config_of(own),
        "lengths": lengths.tolist(),
        "batch_size": batch_size,
        # Their batches may grow as ours do, if that is faster.
        "batch_tokens": batch_size * own.seq_length if is_prediction else 0,
        "num_parts": num_parts,
        "precision": precision,
        "num_warmup": own.warmup_steps or (steps.WARMUP_STEPS if is_full else None),
        "compile": own.hf_compile,
        "seed": engine.get("seed", 0),
        "use_gpu": engine.get("use_gpu"),
    }


def _config_of(own):
    """Returns the fields of the model's config that both sides know.

    Raises:
      InputError: if its activation is not GELU, which theirs is, in its fastest form.
    """
    config = workload.bert_config(own.model, own.seq_length).to_dict()
    activation = config.pop("hidden_act")
    if activation not in ("gelu", "gelu_erf"):
        raise InputError(
            f"--compare=huggingface: --model={own.model} has the activation "
            f"{activation}, and the other side has GELU"
        )
    return config


def _run_theirs(request, python, ours, wait_policy):
    """Runs the other side.

    Args:
      request: `settings.Request`.
      python: path.
      ours: result of our side.
      wait_policy: one of `WAIT_POLICIES`.
    """
    # A TensorFlow that lacks a precision does not take it from the other side.
    asked = request.engine.get("precision", ours["precision"])
    work = work_of(request, ours["precision"] if asked == devices.AUTO else asked)
    variables = {"OMP_WAIT_POLICY": wait_policy} if wait_policy else {}
    found = _run([python, _WORKER], json.dumps(work), **variables)
    if found.returncode:
        raise InputError(f"--compare=huggingface: {python}: {_reason(found)}")
    return {**json.loads(found.stdout), "wait_policy": wait_policy}


def _reason(found):
    """Returns the last line of what a process said that failed."""
    lines = found.stderr.strip().splitlines() or ["no reason given"]
    return lines[-1].replace("error: ", "", 1)
