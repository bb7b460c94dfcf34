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
        ("BERT_NER.py", "", "bert_my/run_seq_labeling.py"),
        ("pos_tag.py", "", "bert_my/run_seq_labeling.py"),
        ("bert_runner.py", "", "run_classifier_mgpu.py"),
        ("multi_label_classifier.py", "", "bert_my/run_classifier_mlabel.py"),
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


def test_flags_with_one_dash():
    text = """
parser.add_argument("-lr", "-learning_rate", type=float, default=1e-5)
parser.add_argument("input")
"""
    lines = describe("train.py", text).splitlines()
    assert lines == [
        "/x/train.py: 1 flags",
        "  python run_classifier_mgpu.py --learning_rate=1e-05",
    ]


SHELL = r"""
# python run_classifier.py --task_name=old
CUDA_VISIBLE_DEVICES=0 python3 -u run_own_classifier.py \
  --data_dir=$DATA/x --vocab_file="$BERT dir/vocab.txt" \
  --train_batch_size 16 --do_train --nodo_lower_case \
  --own-flag=3 --epochs=2 --tpu_name=x > log.txt 2>&1 &
python prepare.py input.txt
cd x && python run_squad.py --do_train=true; python x.py
"""


def test_commands_of_shell_scripts(tmp_path):
    (tmp_path / "run.sh").write_text(SHELL)
    own = sources.Source("/x/run_own_classifier.py", SCRIPT, ast.parse(SCRIPT))
    scripts = {"run_own_classifier.py": own}
    path = str(tmp_path / "run.sh")
    lines = [x.replace(path, "") for x in commands.describe_commands(path, scripts)]
    assert lines == [
        ":3: runs run_own_classifier.py",
        "  python run_classifier_mgpu.py --data_dir=$DATA/x "
        '--vocab_file="$BERT dir/vocab.txt" --train_batch_size 16 --do_train '
        "--nodo_lower_case",
        "  without effect: --tpu_name",
        "  refused: --epochs (use --num_train_epochs)",
        "  not known here: --own_flag",
        ":8: runs run_squad.py",
        "  there is no script here that does the same",
    ]


def test_a_command_of_a_script_that_is_not_in_the_project(tmp_path):
    path = tmp_path / "glue.sh"
    path.write_text("python run_glue.py --model_type bert --task_name MRPC\n")
    _, line = commands.describe_commands(str(path), {})
    assert line == "  python run_classifier_mgpu.py --model_type bert --task_name MRPC"


def test_commands_of_batch_files():
    (found,) = commands.commands_in('python a.py^\r\n  --x="1" ^\r\n  --y 2\r\n')
    assert found == (1, "a.py", {"x": '--x="1"', "y": "--y 2"})


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
    text_file = tmp_path / "wiki.txt"
    text_file.write_text("A cat, a dog.\n\nWho, I ask, is that?\n")
    (text,) = data_files.describe(str(text_file))
    assert "create_pretraining_data.py as --input_file" in text
    text_file.write_bytes(b"\xff\xfe\xfd x\n")
    (text,) = data_files.describe(str(text_file))
    assert "not UTF-8" in text
    assert not data_files.is_data("/x/vocab.txt")
    assert data_files.is_data("/x/train.csv.gz")


def test_the_task_that_is_called_as_a_folder_reads_its_files(tmp_path):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    rows = {"train": [["sentence", "label"], ["good", "1"]]}
    rows["test"] = [["index", "sentence"], ["0", "bad"]]
    for stem, lines in rows.items():
        (text,) = data_files.describe(
            str(helpers.write_rows(folder / f"{stem}.tsv", lines))
        )
        assert "--task_name=sst2; 1 examples" in text
    # Another file in it is a table like any other.
    other = helpers.write_rows(folder / "other.tsv", rows["train"] * 2)
    assert "--task_name=csv" in next(data_files.describe(str(other)))
