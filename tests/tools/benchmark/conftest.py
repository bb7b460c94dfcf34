"""A tiny model with a vocabulary that is large enough for titles; small matrices."""

import pytest

import modeling
from bert_my.engine import devices
from bert_my.tools.benchmark import main
from tests import helpers


@pytest.fixture
def settings_of(tmp_path, monkeypatch):
    """Returns a function from flags to the `Settings` of a tiny benchmark."""
    monkeypatch.setattr(devices, "_PEAK_SIZES", {False: 64})
    path = tmp_path / "tiny.json"
    path.write_text(modeling.BertConfig(300, **helpers.CONFIG).to_json_string())

    def parse(*argv):
        sizes = [f"--model={path}", "--seq_length=24", "--batch_size=3", "--steps=4"]
        return main.parse(["program", *sizes, *argv])

    return parse
