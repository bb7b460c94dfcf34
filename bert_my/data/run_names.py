"""Names of what a run leaves in its output folder, for those that write and read it."""

SETTINGS = "run_config.json"
TASK = "task.json"
LABEL_MAP = "label_map.json"
VOCAB = "vocab.txt"
TRAINING = "training.csv"
TRAINING_HEADER = ["step", "loss", "learning_rate", "examples_per_second"]
EVALUATIONS = "evaluations.jsonl"
RESULTS = "eval_results.json"
RESULTS_AS_TEXT = "eval_results.txt"
DEV_PREDICTIONS = "dev_predictions.tsv"
REPORT = "report"
