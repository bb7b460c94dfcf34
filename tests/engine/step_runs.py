"""Single training steps on fixed batches, for tests that look at each of them."""

import tensorflow.compat.v1 as tf

from bert_my.engine import train_graph
from tests import helpers
from tests.engine import test_towers


class StepRun:
    """A training graph in a session; the same weights at the start for any settings.

    There is no dropout, and no warm-up: the first step has the full learning rate.
    """

    def __init__(
        self, model_dir, num_towers=1, batch=None, num_steps=20, task=None, **changes
    ):
        """Builds the graph.

        Args:
          model_dir: folder of a tiny model.
          num_towers: int.
          batch: dict of arrays, fed in each step; default: that of `test_towers`.
          num_steps: of the plan, for the learning rate.
          task: default: `info` without dropout.
          **changes: fields of `TrainSettings`.
        """
        self.batch = batch or test_towers.make_batches(1)[0]
        task = task or make_task(model_dir)
        changes.setdefault("learning_rate", 1e-2)
        num_parts = num_towers * changes.get("gradient_accumulation_steps", 1)
        settings = helpers.train_settings(
            "",
            num_towers,
            train_batch_size=test_towers.BATCH_SIZE // num_parts,
            **changes,
        )
        self.tf_graph = tf.Graph()
        with self.tf_graph.as_default():
            self._features = {
                name: tf.placeholder(value.dtype, value.shape)
                for name, value in self.batch.items()
            }
            plan = test_towers.make_plan(settings, num_steps)
            self.graph = train_graph.build_graph(task, self._features, plan)
            self._variables = {v.op.name: v for v in tf.global_variables()}
            self.session_config = settings.devices.session_config()
            self.session = tf.Session(config=self.session_config)
            self.session.run(tf.global_variables_initializer())
            test_towers.set_weights(self.session)

    def step(self, **features):
        """Does a step; returns its loss. Arrays given replace those of the batch."""
        return self.fetch([self.graph.loss, self.graph.train_op], **features)[0]

    def fetch(self, fetches, **features):
        """Returns values of a step; see `step`."""
        values = {**self.batch, **features}
        feeds = {self._features[name]: value for name, value in values.items()}
        return self.session.run(fetches, feeds)

    def values(self):
        """Returns a dict name -> array of all variables."""
        return self.session.run(self._variables)

    def load(self, name, value):
        """Gives a variable a value."""
        self._variables[name].load(value, self.session)

    def save(self, path):
        """Writes a checkpoint; returns its path."""
        with self.tf_graph.as_default():
            return tf.train.Saver().save(self.session, str(path))


def make_task(model_dir, **options):
    """Returns the task `info`, or another, without dropout."""
    options.setdefault("max_seq_length", test_towers.SEQ_LENGTH)
    return helpers.make_task(model_dir, has_dropout=False, **options)


def weights_after(model_dir, num_steps=1, **settings):
    """Returns the values of all variables after some steps of a `StepRun`."""
    run = StepRun(model_dir, **settings)
    for _ in range(num_steps):
        run.step()
    return run.values()


def is_weight(name):
    """Returns True if a variable of this name is a weight of the model."""
    slots = ("/adam_m", "/adam_v", "/average")
    return name.startswith(("bert/", "output_")) and not name.endswith(slots)
