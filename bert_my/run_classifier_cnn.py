"""Fine-tunes BERT on CTR titles, with convolutions over the sequence.

All flags: `python bert_my/run_classifier_cnn.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="info", head="cnn")
