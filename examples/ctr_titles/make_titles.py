"""Makes a small data set of titles with clicks, always the same for the same seed.

The titles are put together from templates, and whether one is clicked is drawn from a
probability that depends on how it is written. Nothing in it comes from real readers.
"""

import argparse
import csv
import math
import os
import random

SPLITS = {"train": 3000, "eval": 600, "test": 400}

TOPICS = (
    "a mortgage",
    "your first marathon",
    "sourdough bread",
    "an old laptop",
    "city cycling",
    "houseplants",
    "a job interview",
    "electric cars",
    "toddlers",
    "camping in the rain",
    "a tight budget",
    "night trains",
    "home solar panels",
)
PLACES = ("Leeds", "Chengdu", "Porto", "Oslo", "Denver", "Nagoya", "Lyon", "Quito")
BODIES = ("council", "ministry", "university", "port authority", "health service")
REPORTS = (
    "publishes its annual report on {topic}",
    "approves new rules for {topic}",
    "delays its decision on {topic}",
    "opens an inquiry into {topic}",
    "cuts spending on {topic}, citing costs",
    "names a director for {topic}",
)
LURES = (
    "{number} things nobody tells you about {topic}",
    "Why everyone is wrong about {topic}",
    "I tried {topic} for {number} days, and this happened",
    "You won't believe this trick for {topic}",
    'The truth about {topic} that experts "forgot" to mention',
    "{number} {topic} mistakes you make every day",
)
PLAIN = (
    "A short guide to {topic}",
    "{topic}: questions and answers",
    "What {topic} costs in {place}",
    "How {place} learned to live with {topic}",
)


def make_title(rng):
    """Returns (title, log-odds of a click)."""
    values = {
        "topic": rng.choice(TOPICS),
        "place": rng.choice(PLACES),
        "number": rng.choice((3, 5, 7, 11, 17, 23, 30)),
    }
    kind = rng.random()
    if kind < 0.4:
        title, odds = rng.choice(LURES), 2.2
    elif kind < 0.75:
        title, odds = (
            f"{values['place']} {rng.choice(BODIES)} {rng.choice(REPORTS)}",
            -2.4,
        )
    else:
        title, odds = rng.choice(PLAIN), -0.2
    title = title.format(**values)
    # Readers of these titles like trains and bread, whatever is said about them.
    odds += 1.5 * (values["topic"] in ("night trains", "sourdough bread"))
    return title[0].upper() + title[1:], odds


def write_split(path, num_rows, rng):
    """Writes rows `id,title,label`."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for index in range(num_rows):
            title, odds = make_title(rng)
            is_clicked = rng.random() < 1.0 / (1.0 + math.exp(-odds))
            writer.writerow([index, title, int(is_clicked)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", default=os.path.dirname(__file__) or ".")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for split, num_rows in SPLITS.items():
        path = os.path.join(args.output_dir, f"{split}.csv")
        write_split(path, num_rows, random.Random(f"{args.seed}/{split}"))


if __name__ == "__main__":
    main()
