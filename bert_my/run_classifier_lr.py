"""Click-through rate of titles: BERT with logistic regression on the pooled output.

Rows `id,title,label` in train.csv, eval.csv and, if there is one, test.csv. All flags:
`python bert_my/run_classifier_lr.py --help`.
"""

from bert_my.cli import runner

if __name__ == "__main__":
    runner.main(task_name="info")
