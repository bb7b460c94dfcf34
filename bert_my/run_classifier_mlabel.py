"""Fine-tunes BERT on texts with any number of labels.

All flags: `python bert_my/run_classifier_mlabel.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="mlabel")
