"""Compares with transformers on PyTorch: the same rows, in turns.

Each run is a process of its own, so that the two share no threads or memory.
"""

import json
import logging
import os
import statistics
import subprocess
import sys

from bert_my.common.errors import InputError
from bert_my.engine.options import AUTO
from bert_my.tools.benchmark import measure, results, workload

logger = logging.getLogger(__name__)

HUGGINGFACE = "huggingface"
_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hf_worker.py")
_NEEDED = "torch, transformers, numpy"
# Flags of the comparison, which are not passed on to our runs.
_OF_COMPARISON = ("compare", "rounds", "hf_python", "hf_compile", "json")
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


def check(python):
    """Raises an `InputError` if a Python lacks the packages that transformers needs."""
    name = f"{python} needs {_NEEDED}, --hf_python names another one"
    _run([python, "-c", f"import {_NEEDED}; print(0)"], name)


def compare(settings, folder, begin_phase):
    """Runs both sides in turns; returns a JSON-able dict.

    Args:
      see `measure.train`.

    Raises:
      InputError: if the engine or transformers cannot run.
    """
    python = settings.hf_python or sys.executable
    check(python)
    config_of(settings)
    ours, theirs, policies = [], [], WAIT_POLICIES
    for number in range(1, settings.rounds + 1):
        begin_phase(f"round {number}, our side")
        ours.append(_run_ours(settings))
        begin_phase(f"round {number}, transformers")
        found = [_run_theirs(settings, python, ours[-1], each) for each in policies]
        theirs.append(max(found, key=lambda result: result["examples_per_second"]))
        policies = [theirs[-1]["wait_policy"]]
        speeds = [side[-1]["examples_per_second"] for side in (ours, theirs)]
        logger.info(
            "Round %d: ours %.4g examples/s, transformers %.4g", number, *speeds
        )
    sides = _medians(ours), _medians(theirs)
    # The ratios differ if something else used the machine in some rounds.
    ratio, ratio_of_best = (
        sides[0][name] / sides[1][name]
        for name in ("examples_per_second", "best_examples_per_second")
    )
    return {
        "ours": sides[0],
        "huggingface": sides[1],
        "ratio": ratio,
        "ratio_of_best": ratio_of_best,
        "rounds": {"ours": ours, "huggingface": theirs},
        **results.machine_facts(),
    }


def _medians(rounds):
    """Returns the medians over the rounds of a side, and its best speed."""
    found = {"precision": rounds[0]["precision"]}
    for name in COMPARED:
        values = [each[name] for each in rounds]
        found[name] = None if None in values else statistics.median(values)
    best = max(each["examples_per_second"] for each in rounds)
    return {**found, "best_examples_per_second": best}


def _run(argv, name, work=None, **variables):
    """Runs a program; returns the JSON in the last line of its output.

    Args:
      argv: its command line.
      name: of the program, for the error.
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
        reason = lines[-1].replace("error: ", "", 1)
        raise InputError(f"--compare=huggingface: {name}: {reason}")
    return json.loads(found.stdout.splitlines()[-1])


def _run_ours(settings):
    """Runs this benchmark without the comparison; returns its numbers."""
    flags = [
        f"--{name}={value}"
        for name, value in settings.changed.items()
        if name not in _OF_COMPARISON
    ]
    program = [sys.executable, "-m", "bert_my.tools.benchmark.main"]
    return _run([*program, *flags], "our side")


def work_of(settings, precision):
    """Returns the work of transformers, see `hf_worker`.

    Args:
      settings: `main.Settings`.
      precision: fp32, fp16 or bf16.
    """
    num_parts = settings.gradient_accumulation_steps
    batch_size = settings.batch_size * settings.towers * num_parts
    num_rows, seq_length = settings.steps * batch_size, settings.seq_length
    lengths = workload.row_lengths(settings.lengths, num_rows, seq_length)
    is_full = settings.lengths == workload.FULL
    is_prediction = settings.mode == workload.PREDICT
    default_warmup = measure.WARMUP_STEPS if is_full else None
    return {
        "mode": settings.mode,
        "config": config_of(settings),
        "lengths": lengths.tolist(),
        "batch_size": batch_size,
        # Batches of short rows may have more rows, as ours have, if that is faster.
        "batch_tokens": batch_size * seq_length if is_prediction else 0,
        "num_parts": num_parts,
        "precision": precision,
        "num_warmup": settings.warmup_steps or default_warmup,
        "compile": settings.hf_compile,
        "seed": settings.seed,
        "use_gpu": settings.use_gpu,
    }


def config_of(settings):
    """Returns the fields of the model's config that transformers has, too.

    Raises:
      InputError: if the activation is not GELU, the only one that is compared.
    """
    config = workload.bert_config(settings.model, settings.seq_length).to_dict()
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
    # PyTorch computes in the precision asked for, even if TensorFlow cannot.
    is_asked = settings.precision not in (None, AUTO)
    work = work_of(settings, settings.precision if is_asked else ours["precision"])
    variables = {"OMP_WAIT_POLICY": wait_policy} if wait_policy else {}
    found = _run([python, _WORKER], python, work, **variables)
    return {**found, "wait_policy": wait_policy}
