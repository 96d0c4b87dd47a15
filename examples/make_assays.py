#!/usr/bin/python3
"""Writes a table of 240 assays for examples/assays.conf: 12 to 60 compounds each, 16 features, 3 measurements with holes.

usage: examples/make_assays.py [FOLDER]          (default: data/assays)

Features and measurements go through two layers that all assays share; each assay has a direction of its own between them.
Units differ, 30 % of the measurements are missing. Assays 1 to 200 are in train.csv, the others in test.csv.
"""
import csv
import os
import random
import sys
from math import exp, tanh

FEATURES, HIDDEN, TARGETS, ASSAYS, TRAIN = 16, 6, 3, 240, 200
UNITS, LEVELS = (1.0, 40.0, 0.002), (7.0, 300.0, 0.01)


def matrix(rng, rows, columns, scale):
    return [[rng.gauss(0, scale) for _ in range(columns)] for _ in range(rows)]


def times(m, v):
    return [sum(a * b for a, b in zip(row, v)) for row in m]


def rows_of(rng, encode, decode, assay):
    own = [rng.gauss(0, 1) for _ in range(HIDDEN)]
    for _ in range(rng.randint(12, 60)):
        x = [rng.gauss(0, 1) for _ in range(FEATURES)]
        hidden = [tanh(h) * o for h, o in zip(times(encode, x), own)]
        y = [level + unit * (v + rng.gauss(0, 0.1)) for level, unit, v in zip(LEVELS, UNITS, times(decode, hidden))]
        scaled = [v * (1 + i) if i % 2 else exp(v / 2) for i, v in enumerate(x)]
        yield [f"assay{assay:03d}"] + [f"{v:.5g}" for v in scaled] + ["" if rng.random() < 0.3 else f"{v:.6g}" for v in y]


def main(folder):
    rng = random.Random(1)
    encode, decode = matrix(rng, HIDDEN, FEATURES, 0.5), matrix(rng, TARGETS, HIDDEN, 0.7)
    header = ["assay"] + [f"f{i}" for i in range(FEATURES)] + ["potency", "clearance", "uptake"]
    os.makedirs(folder, exist_ok=True)
    for name, assays in (("train", range(1, TRAIN + 1)), ("test", range(TRAIN + 1, ASSAYS + 1))):
        with open(os.path.join(folder, f"{name}.csv"), "w", newline="") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(header)
            for assay in assays:
                writer.writerows(rows_of(rng, encode, decode, assay))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data/assays")
