"""Fine-tunes BERT on texts with any number of labels; a fork's name of the script.

All flags: `python bert_my/run_custom_classifier_mlabel.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="mlabel")
