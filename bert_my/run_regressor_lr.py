"""Fine-tunes BERT to predict a number from a text or a pair of texts.

All flags: `python bert_my/run_regressor_lr.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="regression")
