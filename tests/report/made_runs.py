"""Makes the files of runs, as they could be, for the tests of the report."""

import csv
import json

import numpy as np

CHINESE = (
    "体育",
    "财经",
    "房产",
    "家居",
    "教育",
    "科技",
    "时尚",
    "时政",
    "游戏",
    "娱乐",
)
TEXTS = ("国足1:0赢了比赛 <b>&", "How the\tcat sleeps", '他说:"好"\n第二行', "a" * 300)


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_task(folder, kind, labels=(), main_metric="eval_accuracy", name="made"):
    """Writes task.json; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {"task": name, "kind": kind, "labels": list(labels)}
    write_json(folder / "task.json", {**value, "main_metric": main_metric})
    return folder


def write_training(folder, num_steps=137, seed=0, settings=None):
    """Writes training.csv, evaluations.jsonl, eval_results.json, run_config.json."""
    rng = np.random.RandomState(seed)
    steps = np.arange(1, num_steps + 1)
    losses = 0.2 + 0.5 * np.exp(-steps / 40) + 0.08 * rng.randn(num_steps)
    rates = 5e-5 * np.minimum(steps / 14, 1 - (steps - 14) / num_steps)
    with open(str(folder / "training.csv"), "w", encoding="utf-8") as stream:
        stream.write("step,loss,learning_rate,examples_per_second\n")
        for step, loss, rate in zip(steps, losses, rates):
            speed = "" if step % 10 else f"{90 + 5 * rng.rand():.2f}"
            stream.write(f"{step},{loss},{rate},{speed}\n")
    with open(str(folder / "evaluations.jsonl"), "w", encoding="utf-8") as stream:
        for step in range(25, num_steps, 25):
            quality = 0.9 - 0.3 * np.exp(-step / 50) + 0.01 * rng.randn()
            scores = {"step": step, "eval_accuracy": quality, "eval_loss": 1 - quality}
            stream.write(json.dumps({**scores, "f1": quality - 0.04, "auc": None}))
            stream.write("\n")
    results = {"eval_accuracy": 0.8712, "eval_loss": 0.312, "loss": 0.312, "f1": 0.86}
    write_json(folder / "eval_results.json", {**results, "auc": None, "global_step": 7})
    defaults = {"learning_rate": 5e-5, "task_name": "made", "seed": seed}
    defaults.update(max_seq_length=64, do_lower_case=True)
    write_json(folder / "run_config.json", {**defaults, **(settings or {})})


def write_rows(folder, columns, rows):
    """Writes dev_predictions.tsv."""
    path = str(folder / "dev_predictions.tsv")
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_classification(folder, labels, targets, probabilities):
    """Writes the predictions of rows with one label.

    targets: int `[num_rows]`.
    probabilities: float `[num_rows, num_labels]`.
    """
    columns = ["index", "guid", "text_a", "label", "predicted_label"]
    rows = [
        [
            index,
            f"dev-{index}",
            f"{TEXTS[index % len(TEXTS)]} no. {index}",
            labels[target],
            labels[int(np.argmax(row))],
            *map(float, row),
        ]
        for index, (target, row) in enumerate(zip(targets, probabilities))
    ]
    write_task(folder, "classification", labels)
    write_rows(folder, columns + [f"probability_{label}" for label in labels], rows)


def make_classification(folder, labels, num_rows=613, seed=0, noise=1.2):
    """Writes a whole run with two or more labels; returns the folder."""
    rng = np.random.RandomState(seed)
    targets = rng.randint(len(labels), size=num_rows)
    logits = 2.2 * np.eye(len(labels))[targets] + noise * rng.randn(
        num_rows, len(labels)
    )
    # Two labels that are told apart badly, as real ones are.
    logits[:, -1] += 1.3 * (targets == 0)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    write_classification(folder, labels, targets, probabilities)
    write_training(folder, seed=seed)
    return folder


def make_multilabel(folder, labels, num_rows=407):
    rng = np.random.RandomState(1)
    is_label = rng.rand(num_rows, len(labels)) < np.linspace(0.05, 0.5, len(labels))
    scores = 1 / (1 + np.exp(1 - 3 * is_label - rng.randn(num_rows, len(labels))))

    def joined(flags):
        return ",".join(label for label, flag in zip(labels, flags) if flag)

    columns = ["index", "guid", "text_a", "text_b", "label", "predicted_label"]
    rows = [
        [i, f"dev-{i}", TEXTS[0], TEXTS[1], joined(true), joined(row > 0.5), *row]
        for i, (true, row) in enumerate(zip(is_label, scores.tolist()))
        for row in [np.array(row)]
    ]
    write_task(folder, "multilabel", labels, "f1_micro")
    write_rows(folder, columns + [f"probability_{label}" for label in labels], rows)
    write_training(folder)
    return folder


def make_regression(folder, num_rows=503):
    rng = np.random.RandomState(2)
    targets = np.round(5 * rng.rand(num_rows), 1)
    predicted = 0.8 * targets + 0.6 + 0.4 * rng.randn(num_rows)
    columns = ["index", "guid", "text_a", "text_b", "label", "prediction"]
    rows = [
        [i, f"dev-{i}", TEXTS[i % 4], TEXTS[(i + 1) % 4], target, value]
        for i, (target, value) in enumerate(zip(targets, predicted))
    ]
    write_task(folder, "regression", (), "pearson")
    write_rows(folder, columns, rows)
    write_training(folder)
    return folder


SENTENCES = (
    (list("王小明在北京大学读书"), "B-PER I-PER I-PER O B-ORG I-ORG I-ORG I-ORG O O"),
    (["Anna", "lives", "in", "New", "York"], "B-PER O O B-LOC I-LOC"),
    (list("他去上海"), "O O B-LOC I-LOC"),
)


TAGS = ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")


def make_labeling(folder, num_sentences=61):
    rng = np.random.RandomState(3)
    rows = []
    for index in range(num_sentences):
        tokens, tags = SENTENCES[index % len(SENTENCES)]
        for token, tag in zip(tokens, tags.split()):
            change = {"B-ORG": "B-LOC", "O": "B-PER", "I-LOC": "O"}
            predicted = change.get(tag, tag) if rng.rand() < 0.12 else tag
            rows.append([index, f"dev-{index}", token, tag, predicted])
    write_task(folder, "labeling", TAGS, "f1", name="ner")
    write_rows(folder, ["index", "guid", "token", "label", "predicted_label"], rows)
    write_training(folder)
    return folder


def make_all(folder):
    """Writes runs of all kinds; returns name -> folder."""
    runs = {
        "binary": make_classification(folder / "binary", ["0", "1"]),
        "chinese": make_classification(folder / "chinese", CHINESE),
        "three": make_classification(folder / "three", ["neg", "neu", "pos"]),
        "regression": make_regression(folder / "regression"),
        "multilabel": make_multilabel(folder / "multilabel", CHINESE[:6]),
        "labeling": make_labeling(folder / "labeling"),
        "fifty": make_classification(
            folder / "fifty", [f"intent_{k:02d}" for k in range(50)], 1501, noise=0.9
        ),
        "two_rows": make_classification(folder / "two_rows", ["0", "1"], 2),
    }
    one = write_task(folder / "one_class", "classification", ["0", "1"])
    scores = np.linspace(0.1, 0.7, 9)
    write_classification(
        one, ["0", "1"], np.zeros(9, int), np.stack([1 - scores, scores], -1)
    )
    return {**runs, "one_class": one}
