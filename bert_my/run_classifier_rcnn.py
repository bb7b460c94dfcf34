"""Fine-tunes BERT on CTR titles, with a bidirectional LSTM over the sequence.

All flags: `python bert_my/run_classifier_rcnn.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="info", head="rcnn")
