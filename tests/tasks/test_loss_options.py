"""Options of the loss: from flags to numbers computed by hand, and errors."""

import pytest

from bert_my.common.errors import InputError
from bert_my.tasks.loss_options import LossSettings

pytestmark = pytest.mark.once

# 5 rows of label 0 and 2 of label 1.
TITLES = "".join(f"a\t{label}\n" for label in (0, 0, 1, 0, 0, 1, 0))
# Of 6 rows: x in 4, y in 1, z in 3.
SETS = "a\tx\nb\tx,z\nc\t\nd\tx,y,z\ne\tx\nf\tz\n"
TAGS = "a O\nb B-X\nc I-X\n\nd O\ne O\nf O\ng I-X\nh O\n"


@pytest.fixture
def settings(make_named_task):
    """Returns a function from a task's name, its train file and flags to settings."""

    def read(name, train, **flags):
        task = make_named_task(name, train=train, **flags)
        return task.options.loss_settings(
            type(task.objective), task.labels, task.schema.counts
        )

    return read


@pytest.fixture
def weights_file(tmp_path):
    """Returns a function that writes a file of weights and returns its path."""

    def write(content):
        (tmp_path / "weights.txt").write_text(content, encoding="utf-8")
        return str(tmp_path / "weights.txt")

    return write


def test_no_options_are_the_plain_loss(settings):
    assert settings("info", TITLES) == LossSettings()


@pytest.mark.parametrize(
    ("flags", "class_weights"),
    [
        ({"class_weights": "auto"}, (7 / (2 * 5), 7 / (2 * 2))),
        ({"class_weights": "0.5,4"}, (0.5, 4.0)),
        ({"pos_weight": "3"}, (1.0, 3.0)),
        ({"pos_weight": "auto"}, (1.0, 5 / 2)),
    ],
)
def test_class_weights(settings, flags, class_weights):
    assert settings("info", TITLES, **flags) == LossSettings(
        class_weights=pytest.approx(class_weights)
    )


def test_held_out_rows_do_not_count(settings):
    flags = {"class_weights": "auto", "num_dev_examples": 3}
    assert settings("info", TITLES, **flags).class_weights == (4 / 6, 4 / 2)


@pytest.mark.parametrize(
    ("flag", "pos_weight"),
    [("auto", (2 / 4, 5 / 1, 3 / 3)), ("1,2.5,3", (1.0, 2.5, 3.0)), ("4", (4.0,))],
)
def test_pos_weight_of_several_labels(settings, flag, pos_weight):
    assert settings("mlabel", SETS, pos_weight=flag) == LossSettings(
        pos_weight=pytest.approx(pos_weight)
    )


def test_pos_weight_of_two_labels_that_are_zeros_and_ones(settings):
    # Label 0 is set in 1 of 4 rows, label 1 in 3.
    rows = "a\t0,1\nb\t1,1\nc\t0,0\nd\t0,1\n"
    found = settings("mlabel", rows, num_labels=2, pos_weight="auto")
    assert found.pos_weight == pytest.approx((3 / 1, 1 / 3))


def test_class_weights_of_tags(settings):
    flags = {"class_weights": "auto", "objective": "token"}
    # 1 B-X, 2 I-X and 5 O.
    assert settings("ner", TAGS, **flags).class_weights == pytest.approx(
        (8 / 3, 8 / 6, 8 / 15)
    )


def test_weights_of_a_file_have_any_order(settings, weights_file):
    path = weights_file("1\t2.5\n0\t0.5\n")
    assert settings("info", TITLES, class_weights=path).class_weights == (0.5, 2.5)
    path = weights_file("z\t3\r\nx\t1\r\ny\t2\r\n")
    assert settings("mlabel", SETS, pos_weight=path).pos_weight == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "0\t1\n",
            r"--class_weights=.*: 1$",
        ),
        ("0\t1\n1\t2\n2\t3\n", r"--class_weights=.*: 2$"),
        ("0\t1\n1 2\n", r"weights\.txt:2: .*'1 2'"),
        ("0\t1\n1\t-2\n", r"weights\.txt:2: "),
        ("0\t1\n1\tnan\n", r"weights\.txt:2: "),
        ("0\t1\n0\t2\n1\t3\n", r"weights\.txt:2: "),
    ],
)
def test_wrong_files_are_named(settings, weights_file, content, message):
    with pytest.raises(InputError, match=message):
        settings("info", TITLES, class_weights=weights_file(content))


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        (
            "info",
            {"class_weights": "1"},
            r"--class_weights=1: .* 0, 1",
        ),
        ("info", {"class_weights": "1,2,3"}, "--class_weights=1,2,3: "),
        ("info", {"class_weights": "1,0"}, "--class_weights=1,0: "),
        ("info", {"class_weights": "1,inf"}, "--class_weights=1,inf: "),
        ("info", {"class_weights": "no/such/file"}, "--class_weights=no/such/file: "),
        (
            "info",
            {"pos_weight": "1,2"},
            r"--pos_weight=1,2: .* 1; --class_weights",
        ),
        (
            "info",
            {"pos_weight": "2", "class_weights": "1,2"},
            "--pos_weight=2: ",
        ),
        ("mlabel", {"pos_weight": "1,2"}, r"--pos_weight=1,2: .* 1 or 3 "),
        ("mlabel", {"class_weights": "auto"}, r"--class_weights=auto: .* mlabel"),
        ("ner", {"class_weights": "auto"}, r"--class_weights=auto: .* ner \(crf\)"),
        (
            "ner",
            {"label_smoothing": 0.1},
            r"--label_smoothing=0.1: .* ner",
        ),
        (
            "regression",
            {"focal_gamma": 2.0},
            r"--focal_gamma=2.0: .*regression \(mse\)",
        ),
        ("regression", {"pos_weight": "2"}, r"--pos_weight=2: .*regression \(mse\)"),
    ],
)
def test_options_that_do_not_suit_the_task(settings, name, flags, message):
    train = {"info": TITLES, "mlabel": SETS, "ner": TAGS, "regression": "a\t1\n"}[name]
    with pytest.raises(InputError, match=message):
        settings(name, train, **flags)


def test_three_labels_have_no_positive_one(settings):
    rows = "a\tb\tneutral\nc\td\tpositive\n"
    with pytest.raises(InputError, match=r"--pos_weight=2: .* 3 .*--class_weights"):
        settings("sentiment", rows, pos_weight="2")


@pytest.mark.parametrize(
    ("name", "train", "flags", "label"),
    [
        ("info", "a\t0\nb\t0\n", {"class_weights": "auto"}, "1"),
        ("mlabel", SETS, {"pos_weight": "auto", "labels": "x,y,z,w"}, "w"),
    ],
)
def test_a_label_that_never_occurs_has_no_weight(settings, name, train, flags, label):
    with pytest.raises(InputError, match=rf"=auto: .* {label}$"):
        settings(name, train, **flags)


def test_tags_that_are_only_completed_need_no_weight(settings):
    train = "a B-X\nb O\nc O\n"
    found = settings("ner", train, class_weights="auto", objective="token")
    # B-X, I-X, O: 3 tokens over 2 tags that occur; I-X is never trained on.
    assert found.class_weights[::2] == pytest.approx((3 / (2 * 1), 3 / (2 * 2)))
    with pytest.raises(InputError, match=r"--class_weights=auto: .* I-Y$"):
        settings(
            "ner",
            train,
            labels="B-X,O,I-Y",
            class_weights="auto",
            objective="token",
        )
