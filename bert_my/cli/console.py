"""Log output of command lines."""

import logging


def log_to_stderr():
    """Writes log messages to stderr, with the time."""
    logger = logging.getLogger("bert_my")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
