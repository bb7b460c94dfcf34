"""Compares with transformers on PyTorch: the same rows, in turns.

Each run is a process of its own, so that the two share no threads or memory.
"""

import concurrent.futures
import dataclasses
import json
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys

from bert_my.common.errors import InputError
from bert_my.engine.options import AUTO
from bert_my.tools.benchmark import measure, workload

logger = logging.getLogger(__name__)

_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hf_worker.py")
_NEEDED = "torch, transformers, numpy"
# OMP_WAIT_POLICY: by default, PyTorch's threads spin while they wait for one another;
# with PASSIVE they release their cores. The load of the machine decides which is
# faster, so the first round tries both.
WAIT_POLICIES = (None, "PASSIVE")
COMPARED = (
    "examples_per_second",
    "tokens_per_second",
    "padding_share",
    "peak_memory_bytes",
    "peak_gpu_memory_bytes",
)


def compare(settings, run_ours):
    """Runs both sides in turns; returns a JSON-able dict.

    Args:
      settings: `main.Settings`.
      run_ours: function of a module, from `main.Settings` to the numbers of our side.

    Raises:
      InputError: if the engine or transformers cannot run, or was killed.
    """
    python = settings.hf_python or sys.executable
    _run([python, "-c", f"import {_NEEDED}; print(0)"])
    config_of(settings)
    ours, theirs, policies = [], [], WAIT_POLICIES
    for number in range(1, settings.rounds + 1):
        logger.info("Benchmark: round %d, our side", number)
        ours.append(_in_new_process(run_ours, settings))
        logger.info("Benchmark: round %d, transformers", number)
        found = [_run_theirs(settings, python, ours[-1], each) for each in policies]
        theirs.append(max(found, key=lambda result: result["examples_per_second"]))
        policies = [theirs[-1]["wait_policy"]]
        speeds = [side[-1]["examples_per_second"] for side in (ours, theirs)]
        logger.info(
            "Round %d: ours %.4g examples/s, transformers %.4g", number, *speeds
        )
    sides = {"ours": _medians(ours), "huggingface": _medians(theirs)}
    return {
        **sides,
        # The ratios differ if something else used the machine in some rounds.
        "ratio": _ratio(sides, "examples_per_second"),
        "ratio_of_best": _ratio(sides, "best_examples_per_second"),
        "rounds": {"ours": ours, "huggingface": theirs},
        **measure.machine_facts(),
    }


def _ratio(sides, name):
    return sides["ours"][name] / sides["huggingface"][name]


def _in_new_process(run_ours, settings):
    """Returns the numbers of our side, measured without the comparison."""
    alone = dataclasses.replace(settings, compare=None)
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            return pool.submit(run_ours, alone).result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise InputError(
            f"--compare: our side was killed, perhaps for its memory: {error}"
        ) from error


def _medians(rounds):
    """Returns the medians over the rounds of a side, and its best speed."""
    found = {"precision": rounds[0]["precision"]}
    for name in COMPARED:
        values = [each[name] for each in rounds]
        found[name] = None if None in values else statistics.median(values)
    best = max(each["examples_per_second"] for each in rounds)
    return {**found, "best_examples_per_second": best}


def _run(argv, work=None, **variables):
    """Runs a Python program; returns the JSON in the last line of its output.

    Args:
      argv: its command line, the Python first.
      work: (optional) JSON-able, for its standard input.
      **variables: of its environment.

    Raises:
      InputError: with the last line of its error output, if it fails.
    """
    try:
        found = subprocess.run(
            argv,
            input=json.dumps(work),
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
        )
    except OSError as error:
        raise InputError(f"--hf_python={argv[0]}: {error.strerror}") from error
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(
            f"--compare=huggingface: {argv[0]}, which needs {_NEEDED} (--hf_python "
            f"names another one): {lines[-1]}"
        )
    return json.loads(found.stdout.splitlines()[-1])


def config_of(settings):
    """Returns the fields of the model's config that transformers has, too.

    Raises:
      InputError: if the activation is not GELU, the only one that is compared.
    """
    config = workload.bert_config(settings).to_dict()
    activation = config.pop("hidden_act")
    if activation not in ("gelu", "gelu_erf"):
        raise InputError(
            f"--compare=huggingface: --model={settings.model} has the activation "
            f"{activation}, and transformers is measured with GELU"
        )
    return config


def _run_theirs(settings, python, ours, wait_policy):
    """Runs transformers; returns its numbers.

    Args:
      settings: `main.Settings`.
      python: path of the Python that has transformers.
      ours: numbers of the engine.
      wait_policy: one of `WAIT_POLICIES`.
    """
    num_parts = settings.gradient_accumulation_steps
    batch_size = settings.train_batch_size * settings.n_gpus * num_parts
    is_full = settings.lengths == workload.FULL
    is_prediction = settings.mode == workload.PREDICT
    # PyTorch computes in the precision asked for, even if TensorFlow cannot.
    is_asked = settings.precision not in (None, AUTO)
    work = {
        "mode": settings.mode,
        "config": config_of(settings),
        "lengths": workload.row_lengths(settings).tolist(),
        "batch_size": batch_size,
        # Batches of short rows may have more rows, as ours have, if that is faster.
        "batch_tokens": batch_size * settings.max_seq_length if is_prediction else 0,
        "num_parts": num_parts,
        "precision": settings.precision if is_asked else ours["precision"],
        "num_warmup": settings.warmup_steps
        or (measure.WARMUP_STEPS if is_full else None),
        "compile": settings.hf_compile,
        "seed": settings.seed,
        "use_gpu": settings.use_gpu,
    }
    variables = {"OMP_WAIT_POLICY": wait_policy} if wait_policy else {}
    return {**_run([python, _WORKER], work, **variables), "wait_policy": wait_policy}
