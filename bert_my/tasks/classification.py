"""The family of tasks that give one or two texts one of several labels."""

import logging

import modeling
from bert_my.data import columns, readers
from bert_my.data import features as features_lib
from bert_my.data.errors import InputError
from bert_my.reports import metrics
from bert_my.tasks import base, heads

logger = logging.getLogger(__name__)


class ClassificationTask(base.Task):
    """Texts with labels in tables, a row each.

    A task declares `labels`, and either its columns, or `parse_row` and `has_header`.

    labels: in the order of their ids.
    files: split -> names of its file, without suffix.
    has_pairs: whether there is a text_b.
    column_names, layouts: see `columns.Layout`.
    has_header: whether the first row is left out, for tasks with a `parse_row`.
    metrics: functions `(label ids, probabilities) -> dict`; see `reports.metrics`.
    """

    labels = ()
    files = {base.TRAIN: ("train",), base.DEV: ("dev",), base.TEST: ("test",)}
    has_pairs = False
    column_names = None
    layouts = ()
    has_header = False
    representations = tuple(heads.REPRESENTATIONS)
    default_head = "cls"
    objective_class = heads.Softmax
    metrics = (metrics.accuracy, metrics.precision_recall_f1, metrics.auc)
    scored_targets = ("label_ids",)
    scored_predictions = ("probabilities",)

    @property
    def objective(self):
        """The objective with this task's labels.

        Its dropout is the encoder's: 0.1 in published models, as upstream has it.
        """
        return self.objective_class(
            len(self.labels), self.bert_config.hidden_dropout_prob
        )

    @property
    def feature_specs(self):
        return (*features_lib.TEXT_SPECS, self.objective.label_spec)

    @property
    def label_map(self):
        return {label: index for index, label in enumerate(self.labels)}

    def find_files(self, split):
        path = readers.find_file(self.data_dir, self.files[split])
        return [path] if path else []

    def read_examples(self, split):
        (path,) = self.find_files(split)
        delimiter = readers.detect_delimiter(path)
        parse_row = None
        for index, row in enumerate(readers.read_rows(path, delimiter)):
            where = f"{path}:{row.line}"
            if parse_row is None:
                num_columns = len(row.cells)
                parse_row, is_header = self._choose_parser(row.cells, split, where)
                logger.info(
                    "%s: %s separated, %d columns, %s",
                    path,
                    "tab" if delimiter == "\t" else "comma",
                    num_columns,
                    "with a header" if is_header else "no header",
                )
                if is_header:
                    continue
            if len(row.cells) != num_columns:
                raise InputError(
                    f"{where}: {len(row.cells)} columns, but the first row of the file "
                    f"has {num_columns}"
                )
            yield self._checked(parse_row, row.cells, split, f"{split}-{index}", where)

    def _choose_parser(self, first_row, split, where):
        """Returns (function from cells to `Example`, whether there is a header)."""
        if self.column_names is None:
            return self.parse_row, self.has_header
        layout = columns.Layout(self.column_names, self.layouts, self.labels)
        found = columns.detect(first_row, layout, split != base.TEST, where)
        return found.parse_row, found.is_header

    def parse_row(self, row):
        """Returns the `Example` of a list of cells."""
        raise NotImplementedError

    def _checked(self, parse_row, cells, split, guid, where):
        """Returns the example of a row, with a guid, or says what is wrong with it."""
        try:
            example = parse_row(cells)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{where}: the {len(cells)} columns are not those of task {self.name}: "
                f"{error}"
            ) from error
        if example.label is None and split != base.TEST:
            raise InputError(f"{where}: the row has no label")
        if example.label is not None and example.label not in self.label_map:
            raise InputError(
                f"{where}: label {example.label!r} is not one of "
                f"{', '.join(map(repr, self.labels))}"
            )
        return example if example.guid else example._replace(guid=guid)

    def encode_batch(self, examples):
        first = self.tokenizer.encode_batch([each.text_a for each in examples])
        second = [None] * len(examples)
        if self.has_pairs:
            texts = [each.text_b or "" for each in examples]
            second = [each.ids for each in self.tokenizer.encode_batch(texts)]
        cls_id, sep_id = self.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        output = []
        for example, a, ids_b in zip(examples, first, second):
            encoded = features_lib.pack(
                a.ids, ids_b, self.max_seq_length, cls_id, sep_id
            )
            # A row without a label can only be predicted, where the id is not used.
            encoded.features["label_ids"] = self.label_map.get(example.label, 0)
            output.append(encoded)
        return output

    def build(self, features, is_training):
        encoder = modeling.BertModel(
            config=self.bert_config,
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
        )
        represent = heads.REPRESENTATIONS[self.head]
        representation = represent(encoder, features, is_training)
        return base.TaskOutputs(
            *self.objective.build(encoder, representation, features, is_training)
        )

    def score(self, targets, predictions):
        scores = {}
        for metric in self.metrics:
            scores.update(metric(targets["label_ids"], predictions["probabilities"]))
        return scores

    @property
    def prediction_headers(self):
        texts = ["text_a", "text_b"] if self.has_pairs else ["text_a"]
        header = ["index", "guid", *texts, "label", "predicted_label"]
        header += [f"probability_{label}" for label in self.labels]
        return {
            "predict.txt": None,
            "test_results.tsv": None,
            "predictions.tsv": header,
        }

    def format_prediction(self, index, example, row):
        texts = [example.text_a, example.text_b or ""][: 1 + self.has_pairs]
        probabilities = [repr(float(each)) for each in row["probabilities"]]
        label_id = int(row["label"])
        known = [index, example.guid, *texts, example.label or ""]
        return {
            "predict.txt": [label_id],
            "test_results.tsv": probabilities,
            "predictions.tsv": [*known, self.labels[label_id], *probabilities],
        }
