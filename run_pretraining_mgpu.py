"""Pretrains BERT on data of `create_pretraining_data.py`, on one or several GPUs.

All flags: `python run_pretraining_mgpu.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="pretraining")
