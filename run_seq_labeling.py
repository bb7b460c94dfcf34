"""Fine-tunes BERT to tag each token of a sentence; a fork's name of the script.

All flags: `python run_seq_labeling.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="ner")
