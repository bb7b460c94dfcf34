r"""Measures the speed and memory of training, prediction or encoding.

python scripts/benchmark.py --mode=train --model=base --precision=bf16 --json=FILE

Prints a table and JSON; `--help` lists the flags, docs/performance.md explains the
numbers.
"""

from bert_my.tools.benchmark import main

if __name__ == "__main__":
    main.main()
