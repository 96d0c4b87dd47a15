#!/usr/bin/python3
"""Writes hourly loads of 120 meters for examples/meters.conf, four weeks each.

usage: examples/make_meters.py [FOLDER]          (default: data/meters)

A meter has a base load, a daily pattern of its own (peaks in the morning and in the evening), a weekly one, and an answer
of its own to the temperature; noise on top. Meters 1 to 100 are in train.csv, the others in test.csv. Columns: meter, time,
sin and cos of the hour, weekend, temperature, the load 24 hours before, and the load.
"""
import csv
import os
import random
import sys
from datetime import datetime, timedelta
from math import cos, exp, pi, sin

METERS, TRAIN, HOURS = 120, 100, 28 * 24
START = datetime(2026, 3, 2)


def bump(hour, at, width):
    d = min(abs(hour - at), 24 - abs(hour - at))
    return exp(-(d / width) ** 2 / 2)


def loads(rng):
    base, morning, evening = rng.uniform(0.2, 3), rng.uniform(0, 3), rng.uniform(0, 4)
    at = rng.gauss(7.5, 1.5), rng.gauss(19, 2)
    weekend, heating, knee = rng.uniform(0.5, 1.6), rng.uniform(0, 0.4), rng.uniform(8, 16)
    warm, size = rng.gauss(8, 3), exp(rng.gauss(0, 0.3))
    drift = 0.0
    for h in range(HOURS):
        time = START + timedelta(hours=h)
        drift = 0.98 * drift + rng.gauss(0, 0.5)
        temperature = warm + 5 * sin(2 * pi * (h % 24 - 9) / 24) + 3 * sin(2 * pi * h / HOURS) + drift
        off = time.weekday() >= 5
        load = base + (morning * bump(h % 24, at[0], 1.5) + evening * bump(h % 24, at[1], 2.5)) * (weekend if off else 1)
        load += heating * max(knee - temperature, 0)
        yield time, off, temperature, size * load * exp(rng.gauss(0, 0.08))


def main(folder):
    rng = random.Random(1)
    os.makedirs(folder, exist_ok=True)
    for name, meters in (("train", range(1, TRAIN + 1)), ("test", range(TRAIN + 1, METERS + 1))):
        with open(os.path.join(folder, f"{name}.csv"), "w", newline="") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(["meter", "time", "hour_sin", "hour_cos", "weekend", "temperature", "load_before", "load"])
            for meter in meters:
                rows = list(loads(rng))
                for before, (time, off, temperature, load) in zip(rows, rows[24:]):
                    angle = 2 * pi * time.hour / 24
                    writer.writerow([f"meter{meter:03d}", time.isoformat(), f"{sin(angle):.4f}", f"{cos(angle):.4f}", int(off),
                                     f"{temperature:.2f}", f"{before[3]:.4f}", f"{load:.4f}"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data/meters")
