"""Fine-tunes BERT on texts with one of several labels; the task is `--task_name`.

All flags: `python bert_my/run_custom_classifier.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(kind="classification")
