"""Fine-tunes BERT on any registered task, `--task_name`; upstream's name of the script.

All flags: `python run_classifier.py --help`. Projects that import upstream's script
find its classes and functions here; the script itself uses none of them.
"""

import csv
import importlib
import os


class InputExample:
    """One or two texts with a label, or None for a text that is only predicted."""

    def __init__(self, guid, text_a, text_b=None, label=None):
        self.guid = guid
        self.text_a = text_a
        self.text_b = text_b
        self.label = label


class PaddingInputExample:
    """Fills up the last batch; a class of its own, so that None stays a mistake."""


class InputFeatures:
    """The features of an example: lists of `max_seq_length` ints, and a label id."""

    def __init__(
        self, input_ids, input_mask, segment_ids, label_id, is_real_example=True
    ):
        self.input_ids = input_ids
        self.input_mask = input_mask
        self.segment_ids = segment_ids
        self.label_id = label_id
        self.is_real_example = is_real_example


class DataProcessor:
    """Base class of a data set's readers; each method returns a list."""

    def get_train_examples(self, data_dir):
        """Returns the `InputExample`s of the train set in a folder."""
        raise NotImplementedError

    def get_dev_examples(self, data_dir):
        """Returns the `InputExample`s of the dev set in a folder."""
        raise NotImplementedError

    def get_test_examples(self, data_dir):
        """Returns the `InputExample`s of the test set in a folder."""
        raise NotImplementedError

    def get_labels(self):
        """Returns the labels in the order of their ids."""
        raise NotImplementedError

    @classmethod
    def _read_tsv(cls, input_file, quotechar=None):
        """Returns the rows of a tab separated file, each a list of cells."""
        quoting = csv.QUOTE_NONE if quotechar is None else csv.QUOTE_MINIMAL
        with open(input_file, encoding="utf-8", newline="") as reader:
            return list(
                csv.reader(
                    reader, delimiter="\t", quotechar=quotechar or '"', quoting=quoting
                )
            )


class _FileProcessor(DataProcessor):
    """Base of the processors of published sets: files with fixed columns."""

    files = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
    labels = ("0", "1")
    label_of_tests = "0"  # a test file has no labels
    # Columns of the texts and of the label; `test_columns`: of a test file.
    columns = None
    test_columns = None
    id_column = None  # default: the number of the line
    has_header = {"train": True, "dev": True, "test": True}

    def get_train_examples(self, data_dir):
        return self._read_examples(data_dir, "train")

    def get_dev_examples(self, data_dir):
        return self._read_examples(data_dir, "dev")

    def get_test_examples(self, data_dir):
        return self._read_examples(data_dir, "test")

    def get_labels(self):
        return list(self.labels)

    def _read_examples(self, data_dir, set_type):
        lines = self._read_tsv(os.path.join(data_dir, self.files[set_type]))
        return self._create_examples(lines, set_type)

    def _create_examples(self, lines, set_type):
        """Returns the `InputExample`s of rows, each a list of cells."""
        is_test = set_type == "test"
        *text_columns, label_column = (is_test and self.test_columns) or self.columns
        first = int(self.has_header[set_type])
        examples = []
        for number, line in enumerate(lines[first:], first):
            guid = number if self.id_column is None else line[self.id_column]
            texts = [line[column] for column in text_columns]
            label = self.label_of_tests if is_test else line[label_column]
            examples.append(InputExample(f"{set_type}-{guid}", *texts, label=label))
        return examples


class ColaProcessor(_FileProcessor):
    """CoLA of GLUE: is a sentence grammatical?"""

    columns = (3, 1)
    test_columns = (1, None)
    has_header = {"train": False, "dev": False, "test": True}


class MrpcProcessor(_FileProcessor):
    """MRPC of GLUE: do two sentences say the same?"""

    columns = (3, 4, 0)


class MnliProcessor(_FileProcessor):
    """MultiNLI of GLUE: does the first sentence imply the second?"""

    files = {
        **_FileProcessor.files,
        "dev": "dev_matched.tsv",
        "test": "test_matched.tsv",
    }
    labels = ("contradiction", "entailment", "neutral")
    label_of_tests = "contradiction"
    columns = (8, 9, -1)
    id_column = 0


class XnliProcessor(DataProcessor):
    """XNLI, in the language `language`; it has no test file."""

    def __init__(self):
        self.language = "zh"

    def get_train_examples(self, data_dir):
        name = f"multinli.train.{self.language}.tsv"
        lines = self._read_tsv(os.path.join(data_dir, "multinli", name))
        spelled = {"contradictory": "contradiction"}  # in this file
        return [
            InputExample(f"train-{number}", *line[:2], spelled.get(line[2], line[2]))
            for number, line in enumerate(lines[1:], 1)
        ]

    def get_dev_examples(self, data_dir):
        lines = self._read_tsv(os.path.join(data_dir, "xnli.dev.tsv"))
        return [
            InputExample(f"dev-{number}", line[6], line[7], line[1])
            for number, line in enumerate(lines[1:], 1)
            if line[0] == self.language
        ]

    def get_labels(self):
        return list(MnliProcessor.labels)


def convert_single_example(ex_index, example, label_list, max_seq_length, tokenizer):
    """Returns the `InputFeatures` of an example.

    Args:
      ex_index: number of the example; not used.
      example: `InputExample` or `PaddingInputExample`.
      label_list: labels in the order of their ids.
      max_seq_length: length of the features; longer texts lose their ends.
      tokenizer: `tokenization.FullTokenizer`.
    """
    if isinstance(example, PaddingInputExample):
        zeros = [0] * max_seq_length
        return InputFeatures(zeros, list(zeros), list(zeros), 0, is_real_example=False)
    first = tokenizer.tokenize(example.text_a)
    second = tokenizer.tokenize(example.text_b) if example.text_b else []
    _truncate_seq_pair(first, second, max_seq_length - (3 if second else 2))
    tokens = ["[CLS]", *first, "[SEP]"]
    segment_ids = [0] * len(tokens)
    if second:
        tokens += [*second, "[SEP]"]
        segment_ids += [1] * (len(second) + 1)
    padding = [0] * (max_seq_length - len(tokens))
    return InputFeatures(
        input_ids=tokenizer.convert_tokens_to_ids(tokens) + padding,
        input_mask=[1] * len(tokens) + padding,
        segment_ids=segment_ids + padding,
        label_id={label: i for i, label in enumerate(label_list)}[example.label],
    )


def _truncate_seq_pair(tokens_a, tokens_b, max_length):
    """Shortens two lists in place, the longer one first, to a number of tokens."""
    while len(tokens_a) + len(tokens_b) > max_length:
        (tokens_a if len(tokens_a) > len(tokens_b) else tokens_b).pop()


def convert_examples_to_features(examples, label_list, max_seq_length, tokenizer):
    """Returns the list of the `InputFeatures` of examples."""
    return [
        convert_single_example(index, example, label_list, max_seq_length, tokenizer)
        for index, example in enumerate(examples)
    ]


def input_fn_builder(features, seq_length, is_training, drop_remainder):
    """Returns an `input_fn` on `InputFeatures` in memory.

    It takes `params` with the `batch_size` and returns a `tf.data.Dataset` of dicts of
    int32 tensors: `input_ids`, `input_mask` and `segment_ids` `[batch_size,
    seq_length]`, `label_ids` `[batch_size]`.
    """
    import numpy as np

    def column(name, shape):
        values = [getattr(each, name) for each in features]
        return np.array(values, np.int32).reshape(shape)

    columns = {
        "input_ids": column("input_ids", [-1, seq_length]),
        "input_mask": column("input_mask", [-1, seq_length]),
        "segment_ids": column("segment_ids", [-1, seq_length]),
        "label_ids": column("label_id", [-1]),
    }

    def input_fn(params):
        import tensorflow.compat.v1 as tf

        dataset = tf.data.Dataset.from_tensor_slices(columns)
        return _batches(dataset, params["batch_size"], is_training, drop_remainder)

    return input_fn


def file_based_convert_examples_to_features(
    examples, label_list, max_seq_length, tokenizer, output_file
):
    """Writes a TFRecord file with the features of examples."""
    import tensorflow.compat.v1 as tf

    with tf.io.TFRecordWriter(output_file) as writer:
        for index, example in enumerate(examples):
            found = convert_single_example(
                index, example, label_list, max_seq_length, tokenizer
            )
            lists = {
                "input_ids": found.input_ids,
                "input_mask": found.input_mask,
                "segment_ids": found.segment_ids,
                "label_ids": [found.label_id],
                "is_real_example": [int(found.is_real_example)],
            }
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                for name, values in lists.items()
            }
            record = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(record.SerializeToString())


def file_based_input_fn_builder(input_file, seq_length, is_training, drop_remainder):
    """Returns an `input_fn` on such a file; see `input_fn_builder`."""

    def input_fn(params):
        import tensorflow.compat.v1 as tf

        rows = tf.FixedLenFeature([seq_length], tf.int64)
        specs = dict.fromkeys(("input_ids", "input_mask", "segment_ids"), rows)
        number = tf.FixedLenFeature([], tf.int64)
        specs.update(label_ids=number, is_real_example=number)

        def parse(record):
            values = tf.parse_single_example(record, specs)
            return {name: tf.cast(x, tf.int32) for name, x in values.items()}

        dataset = tf.data.TFRecordDataset(input_file).map(parse)
        return _batches(dataset, params["batch_size"], is_training, drop_remainder)

    return input_fn


def _batches(dataset, batch_size, is_training, drop_remainder):
    if is_training:
        dataset = dataset.repeat().shuffle(buffer_size=100)
    return dataset.batch(batch_size, drop_remainder=drop_remainder)


def create_model(
    bert_config,
    is_training,
    input_ids,
    input_mask,
    segment_ids,
    labels,
    num_labels,
    use_one_hot_embeddings,
):
    """Builds a classifier on the pooled output.

    Args:
      bert_config, is_training, input_ids, input_mask, segment_ids,
        use_one_hot_embeddings: see `modeling.BertModel`.
      labels: int32 `[batch_size]`.
      num_labels: number of classes.

    Returns:
      `(loss, per_example_loss, logits, probabilities)`: float32 scalar, `[batch_size]`
      and twice `[batch_size, num_labels]`.
    """
    import tensorflow.compat.v1 as tf

    modeling = _beside_this_file("modeling")
    model = modeling.BertModel(
        bert_config,
        is_training,
        input_ids,
        input_mask,
        segment_ids,
        use_one_hot_embeddings,
    )
    pooled = model.get_pooled_output()
    kernel = tf.get_variable(
        "output_weights",
        [num_labels, pooled.shape.as_list()[-1]],
        initializer=modeling.create_initializer(0.02),
    )
    bias = tf.get_variable(
        "output_bias", [num_labels], initializer=tf.zeros_initializer()
    )
    with tf.variable_scope("loss"):
        pooled = modeling.dropout(pooled, 0.1 if is_training else 0.0)
        logits = tf.nn.bias_add(tf.matmul(pooled, kernel, transpose_b=True), bias)
        targets = tf.one_hot(labels, num_labels, dtype=tf.float32)
        losses = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)
        return tf.reduce_mean(losses), losses, logits, tf.nn.softmax(logits)


def _beside_this_file(name):
    package = f"{__package__}." if __package__ else ""
    return importlib.import_module(f"{package}{name}")


def model_fn_builder(
    bert_config,
    num_labels,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    use_tpu,
    use_one_hot_embeddings,
):
    """Returns the `model_fn` of an Estimator or of a TPUEstimator without TPU.

    Args:
      bert_config, num_labels, use_one_hot_embeddings: see `create_model`.
      init_checkpoint: (optional) path of the checkpoint that training starts from.
      learning_rate, num_train_steps, num_warmup_steps, use_tpu: see
        `optimization.create_optimizer`.

    Raises:
      ValueError: if `use_tpu`.
      RuntimeError: if TensorFlow has no estimators.
    """
    import tensorflow.compat.v1 as tf

    if use_tpu:
        raise ValueError("use_tpu=True is not supported: there is no TPU support here.")
    if not hasattr(tf, "estimator"):
        raise RuntimeError(
            f"TensorFlow {tf.__version__} has no estimators; train with "
            "`python run_classifier.py`, or with create_model in a loop of your own"
        )
    modes = tf.estimator.ModeKeys
    specs = tf.estimator.EstimatorSpec

    def model_fn(features, labels, mode, params):
        del labels, params
        label_ids = features["label_ids"]
        loss, losses, logits, probabilities = create_model(
            bert_config,
            mode == modes.TRAIN,
            features["input_ids"],
            features["input_mask"],
            features["segment_ids"],
            label_ids,
            num_labels,
            use_one_hot_embeddings,
        )
        scaffold = None
        if init_checkpoint:
            find = _beside_this_file("modeling").get_assignment_map_from_checkpoint
            names, _ = find(tf.trainable_variables(), init_checkpoint)
            if mode == modes.TRAIN:
                scaffold = _with_casts(init_checkpoint, names)
            tf.train.init_from_checkpoint(init_checkpoint, names)
        if mode == modes.PREDICT:
            return specs(mode, predictions={"probabilities": probabilities})
        if mode == modes.TRAIN:
            create_optimizer = _beside_this_file("optimization").create_optimizer
            schedule = (learning_rate, num_train_steps, num_warmup_steps)
            train_op = create_optimizer(loss, *schedule)
            return specs(mode, loss=loss, train_op=train_op, scaffold=scaffold)
        is_real = features.get("is_real_example", tf.ones_like(label_ids))
        weights = tf.cast(is_real, tf.float32)
        predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
        metrics = {
            "eval_accuracy": tf.metrics.accuracy(label_ids, predicted, weights),
            "eval_loss": tf.metrics.mean(losses, weights),
        }
        return specs(mode, loss=loss, eval_metric_ops=metrics)

    return model_fn


def _with_casts(checkpoint, names):
    """Returns the `tf.train.Scaffold` that reads floats of other types, or None.

    Args:
      checkpoint: path.
      names: dict with the names of variables to initialize. Those whose values are not
        float32 in the checkpoint are taken out of it, and read by the scaffold.

    Raises:
      ValueError: naming a variable that is NaN. An Estimator would write it into its
        folder, where it wins over a corrected checkpoint.
    """
    import numpy as np
    import tensorflow.compat.v1 as tf

    reader = tf.train.load_checkpoint(checkpoint)

    def read(name):
        return np.asarray(reader.get_tensor(name)).astype(np.float32)

    for name in names:
        if not np.isfinite(read(name)).all():
            raise ValueError(f"{checkpoint}: {name} is NaN or infinite in part")
    types = reader.get_variable_to_dtype_map()
    others = [name for name in names if types[name] != tf.float32]
    for name in others:
        del names[name]
    by_name = {variable.op.name: variable for variable in tf.trainable_variables()}

    def initialize(_, session):
        for name in others:
            by_name[name].load(read(name), session)

    return tf.train.Scaffold(init_fn=initialize) if others else None


if __name__ == "__main__":
    from bert_my.cli import runner

    runner.main()
