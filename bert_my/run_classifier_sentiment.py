"""Fine-tunes BERT on sentence pairs with three labels.

All flags: `python bert_my/run_classifier_sentiment.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="sentiment")
