"""Fine-tunes BERT on any registered task, `--task_name`; upstream's name of the script.

All flags: `python run_classifier.py --help`. Projects that import upstream's script
find its examples, features and inputs here; `model_fn_builder`, which is for TPUs, and
the processors of data sets are left out.
"""

import csv


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


if __name__ == "__main__":
    from bert_my.cli import runner

    runner.main()
