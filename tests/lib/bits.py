"""Runs that are compared bit for bit: the digest after each round, and a run as it was at one of its checkpoints."""
import glob
import os
import shutil

import cli
import fault


def digests(folder):
    """{(stage, round): digest}, each round once."""
    found = {}
    for row in fault.round_rows(folder):
        assert (row["stage"], row["round"]) not in found, row
        found[row["stage"], row["round"]] = row["digest"]
    return found


def train(folder, text, *more, **how):
    """A run in a directory of its own; the digest after each of its rounds and at its end."""
    os.makedirs(folder, exist_ok=True)
    end = cli.done("train", cli.small(folder, text), "--json", "--quiet", *more, **how).json()["digest"]
    return {**digests(folder), ("end", 0): end}


def checkpoints(folder):
    return sorted(glob.glob(str(folder / "run" / "checkpoint-*.safetensors")))


def place(path):
    """(stage, round) of a checkpoint's name."""
    stage, number = os.path.basename(path).removesuffix(".safetensors").split("-")[1:]
    return int(stage), int(number)


def cut(whole, folder, path):
    """A copy of the run as it was when that checkpoint was its last."""
    shutil.copytree(whole / "run", folder / "run")
    for other in checkpoints(folder):
        if os.path.basename(other) > os.path.basename(path):
            os.unlink(other)
