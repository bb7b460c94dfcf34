"""What tasks have in common that give texts one or several of their labels."""

import collections

from bert_my.tasks import labels as labels_lib
from bert_my.tasks import tables


class LabelTableTask(tables.TableTask):
    """Texts with labels that have names.

    labels: in the order of their ids; empty if the train file tells.
    metrics: functions `(label ids, probabilities) -> dict`; see `reports.metrics`.
    """

    labels = ()
    metrics = ()

    @property
    def knows_labels(self):
        return labels_lib.are_known(self, self.labels)

    def find_labels(self):
        return labels_lib.choose(self, self.labels, self.collect_labels)

    def collect_labels(self):
        """Returns the labels that the train file has.

        Raises:
          InputError: if they do not seem to be labels.
        """
        raise NotImplementedError

    def log_labels(self, examples, lists_of_labels):
        """Logs the labels of the train examples, given as a list for each of them."""
        counts = collections.Counter()
        for labels in lists_of_labels:
            counts.update(labels)
        num_empty = sum(not example.text_a.strip() for example in examples)
        labels_lib.log_counts(self, counts, num_empty)

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
                *(names, *probabilities),
            ],
        }
