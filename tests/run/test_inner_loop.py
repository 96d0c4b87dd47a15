"""What a round tells of its inner loop: loss and accuracy of the support before each step; and of its communication."""
import json
import os

import pytest

import cli
from test_bits import SINUSOID

JOINT = """
run {{ name = "joint"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  style = "ink"  first = 3  size = 12 }}
data chalk {{ format = "glyphs"  style = "chalk"  first = 3  size = 12 }}
model {{ type = "mlp"  widths = {{"16"}} }}
stage source {{ method = "pretrain"  data = "ink"  batch = 8  tasks = 2  rounds = 4 }}
stage joint {{ method = "joint"  start = "source"  anchor = "source"  data = "ink"  target = {{chalk}}  batch = 8  tasks = 3
              way = 3  shot = 1  query = 2  inner_steps = 2  inner_rate = 0.1  discriminator = {{8}}  rounds = 4 }}
evaluate {{ every = 0  episodes = 6 }}
"""


def rounds(folder, *more, text=cli.SMALL, **how):
    """The lines `round` of a run in a directory of its own."""
    os.makedirs(folder, exist_ok=True)
    cli.done("train", cli.small(folder, text), *more, **how)
    with open(folder / "run" / "metrics.jsonl") as f:
        told = [e for e in map(json.loads, f) if e["kind"] == "round"]
    assert told and all(0 <= e["communication"] <= 1 for e in told)
    return told


def inner(told):
    return [(e["support_losses"], e["support_accuracies"]) for e in told]


@pytest.mark.parametrize("method", ["maml", "fomaml"])
def test_before_each_step(method, tmp_path):
    """A longer inner loop begins as a shorter one does; more ranks tell the same."""
    three = ["--set", f"stage.meta.method={method}", "--set", "stage.meta.inner_steps=3"]
    told = rounds(tmp_path / "three", *three)
    for e in told:
        assert len(e["support_losses"]) == len(e["support_accuracies"]) == 3
        assert e["support_losses"][0] == e["support_loss"] and len(set(e["support_losses"])) == 3
        assert all(0 <= a <= 1 and (a * 18) == pytest.approx(round(a * 18)) for a in e["support_accuracies"])  # of 6 tasks' 3
    two = rounds(tmp_path / "two", *three[:2], "--set", "stage.meta.inner_steps=2")
    assert [part[:2] for part in inner(told)[0]] == list(inner(two)[0])
    assert inner(rounds(tmp_path / "ranks", *three, ranks=3)) == inner(told)


def test_regression_has_no_accuracy(tmp_path):
    for e in rounds(tmp_path, text=SINUSOID):
        assert e["support_losses"][0] == e["support_loss"] and len(e["support_losses"]) == 2
        assert e["support_accuracies"] == [None, None]


def test_methods_without_an_inner_loop_and_with_batches_beside_it(tmp_path):
    told = rounds(tmp_path, text=JOINT)
    for e in told:
        if e["stage"] == "source":
            assert e["support_losses"] == e["support_accuracies"] == []
        else:
            assert e["support_losses"][0] == e["support_loss"] > 0 and len(e["support_losses"]) == 2
            assert all(0 <= a <= 1 for a in e["support_accuracies"])
    assert {e["stage"] for e in told} == {"source", "joint"}


def test_five_hundred_steps(tmp_path):
    """No fixed maximum: the round tells every step, evaluation measures after each, and ranks agree."""
    long = ["--set", "stage.meta.inner_steps=500", "--set", "evaluate.steps=500", "--set", "stage.meta.inner_rate=0.001",
            "--set", "stage.meta.rounds=2", "--set", "evaluate.episodes=2"]
    told = rounds(tmp_path / "one", *long, text=SINUSOID)
    assert [len(e["support_losses"]) for e in told] == [500, 500]
    assert all(loss > 0 for e in told for loss in e["support_losses"])
    with open(tmp_path / "one" / "run" / "metrics.jsonl") as f:
        steps = [e["step"] for e in map(json.loads, f) if e["kind"] == "evaluation"]
    assert steps and steps == list(range(501)) * (len(steps) // 501)
    again = rounds(tmp_path / "three", *long, text=SINUSOID, ranks=3)
    assert [e["digest"] for e in again] == [e["digest"] for e in told]
