"""Pretrains BERT on masked words and next sentences; upstream's name of the script.

All flags: `python run_pretraining.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="pretraining")
