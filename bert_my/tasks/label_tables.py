"""What tasks have in common that give texts one or several of their labels."""

import collections

from bert_my.data import readers
from bert_my.tasks import base, tables
from bert_my.tasks import labels as labels_lib

# With more labels than this, most must come again, or they are something else.
MAX_LABELS_OF_FEW_ROWS = 20


class LabelTableTask(tables.TableTask):
    """Texts with labels that have names.

    labels: in the order of their ids; empty if the train file tells.
    metrics: functions `(label ids, probabilities) -> dict`; see `bert_my.metrics`.
    """

    labels = ()
    metrics = ()

    @property
    def knows_labels(self):
        return labels_lib.are_known(self, self.labels)

    def find_labels(self):
        return labels_lib.choose(self, self.labels, self.collect_labels)

    def collect_labels(self):
        """Returns the set of the labels that the train file has; logs their counts.

        Raises:
          InputError: if they do not seem to be labels.
        """
        path = labels_lib.train_file(self, "labels", "labels")
        cells, sample, num_empty = collections.Counter(), [], 0
        # Of a large file only the cells of the labels are kept.
        for example in self.read_file(path, base.TRAIN, check_label=str):
            cells[example.label] += 1
            num_empty += not example.text_a.strip()
            if len(sample) < readers.SAMPLE_SIZE:
                sample.append(example)
        counts = self.count_in_cells(cells, sample)
        labels_lib.log_counts(self, counts, num_empty)
        return set(counts)

    def count_in_cells(self, cells, sample):
        """Returns how often each label occurs, as a `Counter`.

        Args:
          cells: `Counter` of what the train file has as labels.
          sample: list of its first examples.

        Raises:
          InputError: see `collect_labels`.
        """
        raise NotImplementedError

    @staticmethod
    def are_too_many(labels, num_examples):
        """Whether a collection of labels is too large for labels of some examples."""
        return len(labels) > max(MAX_LABELS_OF_FEW_ROWS, num_examples / 2)

    def scores_of_all(self, targets, predictions):
        """Returns the scores of all `metrics`."""
        scores = {}
        for metric in self.metrics:
            scores.update(metric(targets["label_ids"], predictions["probabilities"]))
        return scores

    def predicted(self, row):
        """Returns (name or names of what is predicted, the cells of predict.txt).

        Args:
          row: dict prediction name -> array of one example.
        """
        raise NotImplementedError

    @property
    def prediction_headers(self):
        probabilities = [f"probability_{label}" for label in self.label_list]
        return {
            "predict.txt": None,
            "test_results.tsv": None,
            "predictions.tsv": [*self.known_header, "predicted_label", *probabilities],
        }

    def format_prediction(self, index, example, row):
        probabilities = [repr(float(each)) for each in row["probabilities"]]
        names, cells = self.predicted(row)
        return {
            "predict.txt": cells,
            "test_results.tsv": probabilities,
            "predictions.tsv": [
                *self.known_cells(index, example),
                names,
                *probabilities,
            ],
        }
