"""The hook of a training session that writes its checkpoints."""

import os

import tensorflow.compat.v1 as tf

from bert_my.common import files
from bert_my.common.errors import WriteError
from bert_my.engine import run_folder
from bert_my.model import checkpoints


class CheckpointHook(tf.train.SessionRunHook):
    """Saves at the start, every some steps, and at the end (`after_run`, `end`).

    Unlike TensorFlow's it ends a run that cannot save with one line, and waits for no
    other thread.

    saved_step: steps of the last checkpoint, None before it.
    """

    def __init__(self, folder, save_steps, saver, events):
        """Watches the global step.

        Args:
          folder: path of the checkpoints.
          save_steps: steps between two checkpoints.
          saver: `tf.train.Saver`.
          events: `events.EventWriter`.
        """
        self._folder = folder
        self._save_steps = save_steps
        self._saver = saver
        self._events = events
        self.saved_step = None

    def begin(self):
        self._global_step = tf.train.get_global_step()

    def after_create_session(self, session, coord):
        graph_def = tf.get_default_graph().as_graph_def(add_shapes=True)
        with files.replacing(os.path.join(self._folder, run_folder.GRAPH)) as writer:
            writer.write(str(graph_def))
        self._events.add_graph(graph_def)
        self._save(session)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._global_step)

    def after_run(self, run_context, run_values):
        # The result is of before or after the step, which may have been skipped.
        if run_values.results + 1 >= self.saved_step + self._save_steps:
            self._save(run_context.session, self._save_steps)

    def end(self, session):
        self._save(session, 1)

    def _save(self, session, least_steps=0):
        """Saves, if so many steps were done since the last checkpoint."""
        step = int(session.run(self._global_step))
        if least_steps and step < self.saved_step + least_steps:
            return
        self._check_folder()
        path = os.path.join(self._folder, run_folder.MODEL)
        with checkpoints.saving(f"{path}-{step}"):
            self._saver.save(session, path, step)
        self._check_folder()
        self.saved_step = step

    def _check_folder(self):
        """Raises a `WriteError` if the folder is gone, or was made anew meanwhile.

        TensorFlow makes a folder that is gone, and would go on in it without the run.
        """
        with files.writing(self._folder):
            names = os.listdir(self._folder)
        if not any(each.startswith((run_folder.GRAPH, "events.")) for each in names):
            raise WriteError(
                f"{self._folder}: cannot be written: it is not the folder of the start "
                "any more; move that one back, and the same command goes on"
            )
