"""Fine-tunes BERT to predict a number; the same as `run_regressor_lr.py`.

All flags: `python bert_my/run_regression_lr.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="regression")
