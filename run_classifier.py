"""Fine-tunes BERT on any registered task, `--task_name`; upstream's name of the script.

All flags: `python run_classifier.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main()
