"""The identity of a run: all that decides its weights, kept in its folder.

A training writes it before its first step. A later command in the folder is compared
with it: a training that would go on as another run is refused, and so is another use of
the model than that which was trained. Folders of older versions have no such file; they
are compared by the files that they have.
"""

import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

import modeling
from bert_my.common import files, options
from bert_my.common.errors import InputError
from bert_my.data import labels as labels_lib
from bert_my.engine import run_folder
from bert_my.text import vocabulary

# Options of the model, which bind its use as well.
OF_THE_MODEL = ("head", "objective", "num_labels", "num_dev_examples", "do_lower_case")
_OF_COLUMNS = ("text_column", "text_pair_column", "label_column")
# Options that a later command has from the training unless it gives them.
INHERITED = (
    "head",
    "objective",
    "num_dev_examples",
    "do_lower_case",
    "max_seq_length",
    "max_predictions_per_seq",
    "next_sentence",
)
# Options whose value may be a file.
_FILES = ("class_weights", "pos_weight")
# Keys of a bert_config.json that only matter while a model is trained.
_OF_TRAINING = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
)


class Identity(NamedTuple):
    """All that decides the weights of a run; None for what is not known (yet).

    task: name of the task.
    labels: in the order of their ids.
    vocabulary: number and digest of the tokens by id.
    bert_config: dict, the settings of the encoder.
    options: dict, those with which a run is not resumed if they differ; None for one
      that is not given.
    train_files: in the order in which they are read.
    num_held_out: rows of the train file that are the dev set.
    """

    task: Optional[str]
    labels: Optional[Tuple[str, ...]] = None
    vocabulary: Optional[str] = None
    bert_config: Optional[Dict[str, Any]] = None
    options: Dict[str, Any] = {}  # only read
    train_files: Optional[Tuple[files.Content, ...]] = None
    num_held_out: Optional[int] = None

    def describe(self, output_dir):
        """Returns the words for the run in a folder, by which data does not fit it."""
        paths = [each.path for each in self.train_files or ()]
        on = f" on {paths[0]}" if paths else ""
        known = f" with the labels {_shown(self.labels)}" if self.labels else ""
        return (
            f"the run in --output_dir={output_dir} trained task {self.task}{on}{known};"
            " for another data set choose another --output_dir, or train anew with "
            "--do_train --overwrite_output_dir"
        )


def of(config, bert_config):
    """Returns the `Identity` that a command line asks for, before data is read.

    Args:
      config: `cli.flags.RunConfig`.
      bert_config: `modeling.BertConfig`.

    Raises:
      InputError: if the vocabulary cannot be read.
    """
    names = options.names(type(config), options.REFUSED)
    values = {name: _value(name, getattr(config, name)) for name in names}
    values["num_dev_examples"] = config.num_dev_examples or None
    del values["precision"]  # known when the devices are chosen
    return Identity(
        task=config.task_name,
        labels=labels_lib.named(config) or None,
        vocabulary=config.vocab_file and vocabulary.digest(config.vocab_file),
        bert_config=_settings_of(bert_config.to_dict()),
        options=values,
    )


def of_task(asked, task):
    """Returns an `Identity` with what the data has told.

    Args:
      asked: `Identity`, see `of`.
      task: `Task`.
    """
    return asked._replace(
        labels=task.labels,
        options={**asked.options, **_options_in(task.description)},
        num_held_out=task.num_held_out,
    )


def _options_in(description):
    """Returns a dict of the options of the model in a `Task.description`."""
    found = {name: description[name] for name in OF_THE_MODEL if name in description}
    found["num_labels"] = len(description.get("labels", ())) or None
    return found


def _settings_of(settings):
    """Returns the settings of a bert_config.json that an encoder reads, as a dict."""
    known = modeling.BertConfig(vocab_size=None).to_dict()
    return {name: settings.get(name, default) for name, default in known.items()}


def _value(name, value):
    """Returns the value of an option, with the content of a file in place of its path.

    A file has no place in what a run is made of; it may be moved or written anew.
    """
    if name in _FILES and value is not None and os.path.isfile(value):
        return f"{os.path.basename(value)}:{files.digest(value)}"
    return value


def read(folder):
    """Returns the `Identity` of the trained model in a `RunFolder`, or None.

    It is None without a checkpoint, and where another program trained the model.

    Raises:
      InputError: if a file in the folder is broken.
    """
    if not folder.has_checkpoint():
        return None
    # Found broken before any work.
    folder.read_settings()
    folder.read_task()
    kept = folder.read_identity()
    if kept is None:
        return _of_older_version(folder)
    try:
        known = {name: kept[name] for name in Identity._fields}
        read_files = tuple(files.Content(*each) for each in known["train_files"])
        tokens = tuple(known["labels"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder.path_of(run_folder.IDENTITY)}: it is not what a training writes "
            f"({error!r}); {run_folder.REMEDY_OF_IDENTITY}"
        ) from error
    return Identity(**{**known, "labels": tokens, "train_files": read_files})


def _of_older_version(folder):
    """Returns the `Identity` of a run by the files that all versions write, or None."""
    settings, task = folder.read_settings(), folder.read_task()
    # An evaluation of a model that another program trained has written them, too.
    if not settings or not task or not settings.get("do_train", True):
        return None
    vocab_file, config_file = map(
        folder.path_of, (vocabulary.VOCAB, run_folder.BERT_CONFIG)
    )
    values = {name: _value(name, value) for name, value in settings.items()}
    found = Identity(
        task=task.get("task"),
        labels=tuple(task.get("labels", ())),
        options={**values, **_options_in(task)},
    )
    if os.path.exists(vocab_file):
        found = found._replace(vocabulary=vocabulary.digest(vocab_file))
    if os.path.exists(config_file):
        bert_config = _settings_of(files.read_json(config_file))
        found = found._replace(bert_config=bert_config)
    return found


def check(kept, asked, config):
    """Raises an `InputError` if a command is not for the run in its output folder.

    Args:
      kept: `Identity` of that run, or None if there is none.
      asked: `Identity` that the command asks for.
      config: `cli.flags.RunConfig` of the command, which resumes the run or uses its
        model.
    """
    found = _differences(kept, asked, config.do_train) if kept else []
    if found:
        _check_unchanged(kept, asked, config)
    if found and config.do_train:
        raise InputError(
            f"--output_dir={config.output_dir} holds another run: {'; '.join(found)}; "
            "to train anew choose another --output_dir, or give "
            "--overwrite_output_dir, which deletes the run there"
        )
    if found:
        raise InputError(
            f"--output_dir={config.output_dir} holds the model of another run: "
            f"{'; '.join(found)}; leave out what differs, as the folder has its own, "
            "or choose another --output_dir, or train anew with --do_train "
            "--overwrite_output_dir"
        )


def _check_unchanged(kept, asked, config):
    """Raises an `InputError` if a file of the run is not as the training wrote it.

    Args:
      kept, asked, config: see `check`.
    """
    files_used = (
        (config.vocab_file, vocabulary.VOCAB, "vocabulary"),
        (config.bert_config_file, run_folder.BERT_CONFIG, "bert_config"),
    )
    for path, name, part in files_used:
        new, old = getattr(asked, part), getattr(kept, part)
        its_own = os.path.join(config.output_dir, name)
        is_its_own = path and os.path.realpath(path) == os.path.realpath(its_own)
        if is_its_own and old is not None and new != old:
            raise InputError(
                f"{path}: was changed after the training wrote it; put it back as it "
                "was"
            )


def _differences(kept, asked, is_training):
    """Returns the list of all that differs, with new and old values."""
    found = []

    def compare(name, new, old):
        if None not in (new, old) and new != old:
            found.append(f"{name} {_shown(new)} (was {_shown(old)})")

    compare("task", asked.task, kept.task)
    if found:  # all else follows from it
        return found
    compare("labels", asked.labels, kept.labels)
    compare("vocabulary", asked.vocabulary, kept.vocabulary)
    for name in asked.bert_config:
        if kept.bert_config and (is_training or name not in _OF_TRAINING):
            compare(name, asked.bert_config[name], kept.bert_config.get(name))
    for name in asked.options if is_training else OF_THE_MODEL:
        if name not in asked.options or name not in kept.options:
            continue
        new, old = asked.options[name], kept.options[name]
        is_inherited = new is None and name in (*OF_THE_MODEL, *_OF_COLUMNS)
        if new != old and not is_inherited:
            found.append(f"--{name}={_shown(new)} (was {_shown(old)})")
    if is_training:
        compare(
            "rows held out of the train file", asked.num_held_out, kept.num_held_out
        )
        found += _differing_files(asked.train_files, kept.train_files)
    return found


def _shown(value):
    if isinstance(value, (list, tuple)):
        return ", ".join(value) or "none"
    return "not given" if value is None else str(value)


def is_other_data(kept, asked):
    """Returns whether an `Identity` is to be trained on other files than another."""
    return bool(_differing_files(asked.train_files, kept.train_files))


def _differing_files(new, old):
    """Returns a list with the words for the train data, if they are not the same."""
    if new is None or old is None:
        return []
    for now, before in zip(new, old):
        if now.digest != before.digest:
            if now.path == before.path:
                return [f"train data {now.path}, whose content has changed"]
            return [f"train data {now.path} (was {before.path})"]
    if len(new) != len(old):
        return [f"{len(new)} files of train data (were {len(old)})"]
    return []


def changes(old, config):
    """Returns the list of the `APPLIED` options that are not what they were.

    Args:
      old: dict, the options of the training before; see `RunFolder.read_settings`.
      config: `cli.flags.RunConfig`.
    """
    return [
        f"--{name}={_shown(getattr(config, name))} (was {_shown(old[name])})"
        for name in options.names(type(config), options.APPLIED)
        if name in old and old[name] != getattr(config, name)
    ]
