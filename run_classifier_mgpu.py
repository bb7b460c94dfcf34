"""Fine-tunes BERT on any registered task (`--task_name`), on one or several GPUs.

All flags: `python run_classifier_mgpu.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main()
