"""Helpers of several tests: a tiny model, a data set, runs and comparisons."""

import csv
import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

import modeling
import tokenization
from bert_my.cli import flags, runner
from bert_my.engine import devices, train_plan
from bert_my.serving import predictor
from bert_my.tasks import base
from bert_my.tasks.options import TaskOptions

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.exists(), reason="the folder of real data is not there"
)
MINILM = ROOT / "build" / "minilm"

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "how",
    "why",
    "the",
    "a",
    "cat",
    "dog",
    "tree",
    "house",
    "runs",
    "sleeps",
    "wins",
    "today",
    "again",
    "never",
    "你",
    "好",
]
PIECES = ["##s", "##ing", "##ed", ",", ".", "?", "!", '"']
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "initializer_range": 0.2,  # so that so small a model learns something
}


def reset_graph():
    tf.reset_default_graph()


def start_python(program, **pipes):
    """Returns the `subprocess.Popen` of a program that is given as text.

    **pipes: arguments of `Popen`, for example `stdout=subprocess.PIPE`.
    """
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, text=True, cwd=str(ROOT), **pipes)


def variable(name):
    """Returns the variable of that name."""
    return next(v for v in tf.global_variables() if v.op.name == name)


def write_tiny_model(path, **changes):
    """Writes vocab.txt and bert_config.json; returns the folder."""
    path.mkdir(parents=True, exist_ok=True)
    vocab = SPECIAL + WORDS + PIECES
    (path / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    config = modeling.BertConfig(vocab_size=len(vocab), **{**CONFIG, **changes})
    (path / "bert_config.json").write_text(config.to_json_string())
    return path


def write_titles(path, train=26, dev=13, test=11):
    """Writes train.csv, eval.csv and test.csv; cats are clicked. Returns the folder."""
    path.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    for name, num_rows in (("train", train), ("eval", dev), ("test", test)):
        with open(path / f"{name}.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for index in range(num_rows):
                words = rng.choices(WORDS, k=rng.randint(1, 9))
                writer.writerow(
                    [f"{name}{index}", " ".join(words), int("cat" in words)]
                )
    return path


def make_texts(num_texts, seed=7):
    """Returns that many texts of 1 to 9 of the tiny model's words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(num_texts)]


def write_rows(path, rows, delimiter="\t"):
    """Writes rows of cells as they are; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(map(str, row)) + "\n" for row in rows]
    path.write_bytes("".join(lines).encode("utf-8"))
    return path


def make_task(
    model_dir,
    data_dir=None,
    name="info",
    max_seq_length=12,
    options=None,
    saved=None,
    has_dropout=True,
):
    """Returns a `Task` with the tiny model that will be trained; see `TaskInputs`."""
    config = modeling.BertConfig.from_json_file(str(model_dir / "bert_config.json"))
    if not has_dropout:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    inputs = base.TaskInputs(
        options or TaskOptions(),
        config,
        max_seq_length,
        tokenization.FullTokenizer(str(model_dir / "vocab.txt")),
        data_dir and str(data_dir),
        saved or {},
    )
    return base.get_task_class(name).load(inputs)


def make_records(task, split, cache_dir):
    """Returns the `Records` of a split."""
    return task.load_records(split, str(cache_dir))


def train_settings(output_dir, num_towers, **changes):
    """Returns `TrainSettings` with the defaults of the flags."""
    config = flags.RunConfig(output_dir=str(output_dir), precision="fp32")
    settings = config.select(train_plan.TrainSettings, devices=cpu_devices(num_towers))
    return dataclasses.replace(settings, **changes)


def cpu_devices(num_towers):
    """Returns `Devices` on logical CPUs, where an op in the wrong place is an error."""

    class StrictDevices(devices.Devices):
        def session_config(self, use_xla=False):
            config = super().session_config(use_xla)
            config.allow_soft_placement = False
            return config

    towers = tuple(f"/cpu:{index}" for index in range(num_towers))
    return StrictDevices(towers, num_cpus=num_towers, has_gpus=False)


def command(model_dir, data_dir, output_dir, *jobs, more=None, **settings):
    """Returns the flags of a run as a list, with the program's name first."""
    values = {
        "task_name": "info",
        "data_dir": data_dir,
        "vocab_file": model_dir / "vocab.txt",
        "bert_config_file": model_dir / "bert_config.json",
        "output_dir": output_dir,
        "max_seq_length": 12,
        "train_batch_size": 4,
        "num_train_epochs": 1,
        **dict.fromkeys(jobs, "true"),
        **settings,
        **(more or {}),
    }
    return ["program", *[f"--{name}={value}" for name, value in values.items()]]


def run(argv):
    """Runs a command line in this process; errors are raised."""
    config = runner.parse(argv)
    runner.run(config)
    return config


def check_task(
    name, model_dir, data_dir, output_dir, num_rows, num_towers=1, **options
):
    """Trains, evaluates, predicts and exports a task, and checks all files.

    Args:
      name: of the task.
      model_dir, data_dir: folders of a tiny model and of a small data set.
      output_dir: folder to make.
      num_rows: of the file that is predicted: the lines of predict.txt.
      num_towers: int; most of the time of a run builds them.
      **options: fields of `TaskOptions`, given as flags.
    """
    jobs = ("do_train", "do_eval", "do_predict", "save_for_serving")
    settings = {"task_name": name, "n_gpus": num_towers, "predict_batch_size": 3}
    run(command(model_dir, data_dir, output_dir, *jobs, **settings, **options))
    task = make_task(model_dir, data_dir, name, options=TaskOptions(**options))
    scores = read_json(output_dir / "eval_results.json")
    assert np.isfinite(scores["eval_loss"])
    assert set(task.metric_names) <= set(scores)
    assert task.main_metric in scores
    assert read_json(output_dir / "task.json")["labels"] == list(task.labels)
    columns = read_table(output_dir / "dev_predictions.tsv")[0]
    assert columns == task.writers["predictions.tsv"].header
    assert len(read_lines(output_dir / "predict.txt")) == num_rows
    for folder in (output_dir, version_folder(output_dir) + "/assets.extra"):
        settings = read_json(f"{folder}/preprocessor.json")
        assert settings == task.preprocessor.settings
    check_export(task, output_dir)


def check_export(task, output_dir):
    """Compares the results of an exported model with the prediction file of a run.

    The exported model is given the texts alone.
    """
    split = base.TEST if task.find_files(base.TEST) else base.DEV
    examples = list(task.read_examples(split))
    with predictor.Predictor(version_folder(output_dir)) as model:
        results = model.predict_texts(list(map(text_of, examples)))
    signatures = read_signatures(version_folder(output_dir))
    assert set(signatures[base.WITH_LABEL_IDS].inputs) == {*model.inputs, "label_ids"}
    rows = list(result_rows(results))
    predicted = read_dicts(output_dir / "predictions.tsv")
    assert len(rows) == len(predicted) > 0
    for found, expected in zip(rows, predicted):
        for name, value in found.items():
            if isinstance(value, float):
                # Rows are padded to other lengths; over it float32 rounds to 1e-6.
                assert value == pytest.approx(float(expected[name]), abs=2e-6)
            else:
                assert value == expected[name]


def read_signatures(folder):
    """Returns dict name -> signature of an exported model, without loading it."""
    saved_model = saved_model_pb2.SavedModel()
    with open(os.path.join(folder, "saved_model.pb"), "rb") as reader:
        saved_model.ParseFromString(reader.read())
    return saved_model.meta_graphs[0].signature_def


def text_of(example):
    """Returns the text of an example as a user of a predictor gives it."""
    if hasattr(example, "tokens"):
        return list(example.tokens)
    return (example.text_a, example.text_b) if example.text_b else example.text_a


def result_rows(results):
    """Yields the cells of predictions.tsv that a predictor's results hold, as dicts."""
    for result in results:
        if "tags" in result:
            for token, tag in zip(result["tokens"], result["tags"]):
                yield {"token": token, "predicted_label": tag}
        elif "prediction" in result:
            yield {"prediction": result["prediction"]}
        else:
            label = result["label"] if "label" in result else ",".join(result["labels"])
            shares = result["probabilities"].items()
            yield {
                "predicted_label": label,
                **{f"probability_{name}": share for name, share in shares},
            }


def version_folder(output_dir):
    """Returns the folder of the only exported model of a run."""
    (folder,) = (output_dir / "serving").iterdir()
    return str(folder)


def read_dicts(path):
    """Returns the rows of a prediction file as dicts column -> cell."""
    header, *rows = read_table(path)
    return [dict(zip(header, row)) for row in rows]


def read_table(path):
    """Returns the rows of a prediction file with a header, which comes first."""
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream, delimiter="\t"))


def run_script(script, argv, cwd=ROOT, python=sys.executable, check=True):
    """Runs a command line as users do; returns the completed process."""
    return subprocess.run(
        [python, str(ROOT / script), *map(str, argv[1:])],
        cwd=str(cwd),
        check=check,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_checkpoint(output_dir, step=None):
    """Returns all tensors of a checkpoint as a dict name -> array."""
    path = tf.train.latest_checkpoint(str(output_dir))
    if step is not None:
        path = os.path.join(str(output_dir), f"model.ckpt-{step}")
    reader = tf.train.load_checkpoint(path)
    return {name: reader.get_tensor(name) for name, _ in tf.train.list_variables(path)}


def assert_all_close(actual, expected, atol):
    """Compares two dicts of arrays; names the one that differs most."""
    assert set(actual) == set(expected)
    differences = {
        name: float(np.max(np.abs(np.asarray(actual[name], float) - expected[name])))
        if np.size(expected[name])
        else 0.0
        for name in expected
    }
    worst = max(differences, key=differences.get)
    assert differences[worst] <= atol, f"{worst} differs by {differences[worst]}"


def read_lines(path):
    """Returns the lines of a text file, which end at "\\n" only."""
    with open(str(path), encoding="utf-8", newline="\n") as reader:
        return reader.read().split("\n")[:-1]


def read_json(path):
    with open(str(path), encoding="utf-8") as reader:
        return json.load(reader)
