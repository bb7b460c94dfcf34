"""The checkpoints in the folder of a run: the newest one that is whole.

A checkpoint is whole if all its tensors can be read: TensorFlow keeps checksums of the
index and of each tensor.
"""

import contextlib
import functools
import logging
import os
import re
import secrets
import shutil
from typing import Dict, NamedTuple, Optional, Set, Tuple

from bert_my.common import checkpoint_files, files
from bert_my.common.checkpoint_files import LIST
from bert_my.common.errors import InputError

logger = logging.getLogger(__name__)

MODEL = "model.ckpt"  # prefix of the names
_NAME = re.compile(rf"{re.escape(MODEL)}-(\d+)")
_MOST_DELETED = 100  # checkpoints, one after another, before they can be read
_REMEDY = "begin anew with another folder or --overwrite_output_dir"
_OTHER_WEIGHTS = (
    "resume the training, which goes on from {0}; to use that one as it is, give it as "
    "--init_checkpoint with another --output_dir"
)


class _State(NamedTuple):
    """The files of a folder, as far as they tell of checkpoints.

    parts: dict path of a checkpoint -> set of the endings of its files, newest first.
    listed: paths in the file `checkpoint`, oldest first; the last one is the latest.
    newest: path that this file lists as the newest, or None.
    problem: why this file cannot be used, or "".
    """

    parts: Dict[str, Set[str]]
    listed: Tuple[str, ...] = ()
    newest: Optional[str] = None
    problem: str = ""

    def is_finished(self, path):
        """Returns whether the save of a checkpoint was completed."""
        return path in self.listed or "meta" in self.parts.get(path, ())


class Found(NamedTuple):
    """The newest checkpoint of a folder that is whole.

    folder: path.
    path: of the checkpoint; None if there is none.
    damaged: what is damaged of the checkpoint that would have been used, or of one
      that is newer.
    notes: what is odd about the file `checkpoint`.
    """

    folder: str
    path: Optional[str]
    damaged: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()

    def to_resume(self):
        """Returns the path; a warning names what is damaged."""
        problems = self.notes + self.damaged
        if problems:
            _warn(f"{'; '.join(problems)}; the newest whole checkpoint is {self.path}")
        return self.path

    def to_use(self, remedy=""):
        """Returns the path of the weights that the last training ended with, or None.

        Args:
          remedy: (optional) how to go on without them, for the error.

        Raises:
          InputError: if they are damaged. An older checkpoint has other results.
        """
        if self.damaged:
            raise InputError(
                f"{'; '.join(self.damaged)}; put the file back, or "
                + (remedy or _OTHER_WEIGHTS.format(self.path))
            )
        return self.to_resume()


def find(folder, remedy=_REMEDY):
    """Returns the `Found` of a folder.

    The checkpoint is the one that the file `checkpoint` names if that one is whole,
    else the newest whole one. What is left of a first save that was interrupted is no
    checkpoint.

    Args:
      folder: path, which need not exist.
      remedy: how to go on without any of the checkpoints, for the error.

    Raises:
      InputError: if there are checkpoints and none is whole, or if the file
        `checkpoint` names one of another folder, as in a copy of a folder that another
        program has written.
    """
    state = _read_state(folder)
    while True:
        found = _choose(folder, state)
        if not found.damaged and not found.notes:
            return found
        # A training beside may have written and deleted checkpoints meanwhile.
        before, state = state, _read_state(folder)
        if state == before:
            break
    if not found.path:
        raise InputError(
            f"{folder}: there is no whole checkpoint: "
            f"{'; '.join(found.notes + found.damaged)}; put the files back, or {remedy}"
        )
    return found


def _choose(folder, state):
    """Returns the `Found` of a folder in a `_State`, with None if none is whole."""
    notes = (state.problem,) if state.problem else ()
    damaged, latest = (), state.listed[-1:]
    for path in (*latest, *(each for each in state.parts if each not in latest)):
        damage = damage_of(path)
        if damage is None:
            return Found(folder, path, damaged, notes + _newer_than(path, state))
        if path in latest and path not in (*state.parts, state.newest):
            notes += (f"{os.path.join(folder, LIST)} names {path}: {damage}",)
        elif state.is_finished(path):
            damaged += (f"{path} is damaged: {damage}",)
    return Found(folder, None, damaged, notes)


def _newer_than(used, state):
    """Returns the note that a newer checkpoint than the named one is there, if so."""
    newer = [*state.parts]
    newer = newer[: newer.index(used)] if used in newer else []
    newer = [each for each in newer if state.is_finished(each)]
    if used not in state.listed[-1:] or (not newer and state.newest == used):
        return ()
    newest = (newer or [state.newest])[0]
    return (f"the file checkpoint names {used}, though {newest} was written later",)


def to_rotate(folder, checkpoint):
    """Returns the checkpoints that a `tf.train.Saver` deletes for newer ones.

    Args:
      folder: path.
      checkpoint: path of the one that is restored.

    Returns:
      list of (path, time of writing), oldest first; the last one is `checkpoint`.
    """
    from bert_my.model import checkpoints

    state = _read_state(folder)
    paths = list(state.listed)
    if checkpoint not in paths:
        paths = list(reversed([*state.parts]))
    before = paths[: paths.index(checkpoint)] if checkpoint in paths else []
    return [
        (checkpoints.literal(path), os.path.getmtime(f"{path}.index"))
        for path in (*before, checkpoint)
        if os.path.isfile(f"{path}.index")
    ]


def superseded(folder, checkpoint, max_to_keep):
    """Returns the files of the checkpoint that a killed training was about to delete.

    The file `checkpoint` is written before, so it is the next one before those listed.

    Args:
      folder: path.
      checkpoint: path of one that is whole; if it is not listed, no other is deleted.
      max_to_keep: number of checkpoints that trainings there keep.
    """
    state = _read_state(folder)
    paths = list(state.parts)  # newest first
    is_full = 0 < max_to_keep <= len(state.listed) and state.listed[0] in paths
    if not is_full or checkpoint not in state.listed:
        return []
    older = paths[paths.index(state.listed[0]) + 1 :][:1]
    return [
        f"{path}.{ending}"
        for path in older
        if path not in state.listed
        for ending in state.parts[path]
    ]


@contextlib.contextmanager
def _temporary_folder(folder):
    """Makes a folder in another one, named as temporary files are, see `files`."""
    writer = f"{files.host()}.{os.getpid()}.{secrets.token_hex(4)}"
    path = os.path.join(folder, f"reading.{writer}.tmp")
    with files.writing(path):
        os.mkdir(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def held(choose):
    """Gives the path of a checkpoint that a training beside cannot delete meanwhile.

    It has links to the files, in a temporary folder beside them.

    Args:
      choose: function that returns the path of the checkpoint to use.

    Raises:
      InputError: if each one that was chosen was deleted before it had links.
    """
    for _ in range(_MOST_DELETED):
        path = choose()
        folder, name = os.path.split(path)
        with _temporary_folder(folder) as links:
            link = os.path.join(links, name)
            try:
                for part in _list_folder(folder):
                    if part.startswith((f"{name}.index", f"{name}.data-")):
                        os.link(os.path.join(folder, part), os.path.join(links, part))
            except FileNotFoundError:
                continue
            except OSError:  # a file system without such links
                link = path
            if damage_of(link) is None:
                yield link
                return
    raise InputError(
        f"{path}: a training deletes its checkpoints before they can be read; give it "
        "a greater --save_checkpoints_steps or --keep_checkpoint_max"
    )


def damage_of(checkpoint):
    """Returns the reason why a checkpoint cannot be restored, or None if it is whole.

    All tensors are read, see `checkpoints.Reader.is_finite`.

    Args:
      checkpoint: path without the ending `.index`.
    """
    from bert_my.model import checkpoints

    if not checkpoints.exists(checkpoint):
        return f"there is no file {os.path.basename(checkpoint)}.index"
    try:
        reader = checkpoints.Reader(checkpoint, "output_dir")
        for name in sorted(reader.shapes):
            reader.is_finite(name)  # reads it
    except InputError as error:
        return str(error).split(f"{checkpoint}: ", 1)[-1]
    return None


def _list_folder(folder):
    """Returns the names in a folder; [] without one."""
    try:
        return os.listdir(folder or ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"--output_dir={folder}: cannot be read: {error.strerror}"
        ) from error


def _read_state(folder):
    """Returns the `_State` of a folder."""
    found = {}
    for file_name in _list_folder(folder):
        part = checkpoint_files.PART.fullmatch(file_name)
        name = part and _NAME.fullmatch(part.group("checkpoint"))
        if name:
            path = os.path.join(folder, name[0])
            found.setdefault((int(name[1]), path), set()).add(part.group("ending"))
    parts = {key[1]: found[key] for key in sorted(found, reverse=True)}
    state, path = _State(parts), os.path.join(folder, LIST)
    try:
        listed = checkpoint_files.read_list(folder)
    except OSError as error:
        return state._replace(problem=f"{path} cannot be read: {error.strerror}")
    except ValueError as error:
        return state._replace(problem=f"{path} is damaged: {error}")
    if listed is None:
        is_lost = any(map(state.is_finished, parts))
        return state._replace(problem=f"{path} is missing" if is_lost else "")
    latest, names = listed
    _check_is_in(folder, latest)
    newest = (names or [latest])[-1]
    names = [*(each for each in names if each != latest), latest]
    newest, *names = (
        os.path.join(folder, os.path.basename(each)) for each in (newest, *names)
    )
    return state._replace(listed=tuple(names), newest=newest)


def _check_is_in(folder, name):
    path = os.path.join(folder, name)
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) or not os.path.samefile(parent, folder or "."):
        raise InputError(
            f"--output_dir={folder}: its file named checkpoint points to {path}, "
            "which is not in this folder; correct the paths in that file"
        )


@functools.lru_cache(maxsize=None)  # once for each
def _warn(message):
    logger.warning("%s", message)
