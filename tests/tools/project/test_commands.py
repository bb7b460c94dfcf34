"""Scripts and data files of a project: the commands here, and how files are read."""

import ast

import pytest

from bert_my.tools.project import commands, data_files, sources
from tests import helpers

SCRIPT = """
flags = tf.flags
flags.DEFINE_string("data_dir", None, "The folder.")
flags.DEFINE_float("learning_rate", 3e-5, "")
flags.DEFINE_integer("train_batch_size", 32, "")
flags.DEFINE_bool("horovod", False, "")
flags.DEFINE_string("tpu_name", None, "")
flags.DEFINE_integer("epochs", 3, "")
flags.DEFINE_integer("own_flag", 3, "")
flags.mark_flag_as_required("data_dir")
"""


def describe(name, text):
    source = sources.Source(f"/x/{name}", text, ast.parse(text))
    return "\n".join(commands.describe(source))


def test_command_holds_defaults_that_differ_and_required_flags():
    text = describe("run_own_classifier.py", SCRIPT)
    line = "python run_classifier_mgpu.py --data_dir=DATA_DIR --learning_rate=3e-05\n"
    assert line in text
    assert "without effect: --tpu_name\n" in text
    assert "refused: --epochs (use --num_train_epochs)\n" in text
    assert "not known here: --own_flag" in text


@pytest.mark.parametrize(
    "name, more, script",
    [
        ("run_ner.py", "", "bert_my/run_seq_labeling.py"),
        ("train.py", '"max_predictions_per_seq"', "run_pretraining_mgpu.py"),
        ("run_classifier_lr.py", "", "bert_my/run_classifier_lr.py"),
        ("qa.py", '"doc_stride"', None),
    ],
)
def test_script_here(name, more, script):
    text = describe(name, SCRIPT + (more and f"DEFINE_integer({more}, 1, '')"))
    assert (f"  python {script} " if script else "there is no script here") in text


def test_pretraining_data_has_flags_of_its_own():
    text = """
add = parser.add_argument
parser.add_argument("--vocab-file", required=True)
parser.add_argument("--dupe_factor", type=int, default=5)
parser.add_argument("--masked_lm_prob", type=float, default=0.15)
parser.add_argument("--tpu_name")
"""
    text = describe("make_data.py", text)
    line = "  python create_pretraining_data.py --vocab_file=VOCAB_FILE --dupe_factor=5"
    assert line in text.splitlines()
    assert "not known here: --tpu_name" in text


def test_data_files_are_described(tmp_path):
    rows = [["text", "label"], ["how are you", "good"], ["why is it", "bad"]]
    table = helpers.write_rows(tmp_path / "train.tsv", rows)
    (text,) = data_files.describe(str(table))
    assert "--task_name=csv; 2 examples; tab separated" in text
    assert "with a header; text 'text', label 'label'; 2 labels: " in text
    tagged = tmp_path / "sentences.txt"
    tagged.write_text("a B-x\nb O\n\nc O\nd B-x\n\n")
    text, advice = data_files.describe(str(tagged))
    assert "--task_name=ner; 2 examples" in text
    assert "--train_file=" in advice
    assert not data_files.is_data("/x/vocab.txt")
    assert data_files.is_data("/x/train.csv.gz")
