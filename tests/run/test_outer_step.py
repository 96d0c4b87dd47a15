"""What the outer step does to parameters that a stage trains, and to those that it does not."""
import glob
import json
import os
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

CONF = """
run {{ name = "step"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 16  first = 3 }}
data chalk {{ format = "glyphs"  size = 16  first = 3  style = "chalk" }}
data thick {{ format = "glyphs"  size = 16  first = 3  style = "thick" }}
model {{ type = "conv4"  filters = 4 }}
metrics {{ endpoint = "" }}
evaluate {{ episodes = 1 }}
checkpoint {{ every = 1  keep = 100 }}
stage source {{ method = "pretrain"  data = "ink"  batch = 8  tasks = 1  rounds = 2  rate = 0.01 }}
"""
ADDA = """stage next {{ method = "adda"  data = "ink"  target = {{"chalk"}}  batch = 8  tasks = 1  rounds = 3  rate = 0.001
              discriminator = {{"6"}}  layers = {{"bn3"}}  guard = "off"  weight_decay = 0.1 }}"""
MANY = ADDA.replace('target = {{"chalk"}}', 'target = {{"chalk", "thick"}}  steps = 2')
FITNET = """stage next {{ method = "fitnet"  data = "ink"  batch = 8  tasks = 1  rounds = 3  rate = 0.001
                layers = {{"bn3"}}  hint = "bn3"  weight_decay = 0.1 }}"""


def parameters(folder, stage):
    """The newest checkpoint's of a stage; nothing in any checkpoint is not finite."""
    newest = {}
    for path in sorted(glob.glob(str(folder / "run" / "checkpoint-*.safetensors"))):
        found = safetensors_io.load(path)
        assert all(np.isfinite(a).all() for a in found.values()), path
        newest[int(os.path.basename(path).split("-")[1])] = found
    return newest[stage]


@pytest.mark.parametrize("stage,prefix", [(ADDA, ""), (MANY, "thick."), (FITNET, "")], ids=["adda", "many", "fitnet"])
def test_layers_that_no_gradient_reaches_do_not_decay(stage, prefix, tmp_path):
    conf = cli.small(tmp_path, CONF + stage)
    cli.done("train", conf)
    before, after = parameters(tmp_path, 0), parameters(tmp_path, 1)
    still = {n for n, a in before.items() if prefix + n in after and np.array_equal(a, after[prefix + n])}
    behind = {"conv4.weight", "bn4.weight", "bn4.bias", "head.weight", "head.bias"}
    assert behind <= still
    assert not still & {"conv1.weight", "bn1.weight", "conv3.weight", "bn3.bias"}
    said = cli.done("check", conf).out
    assert "no gradient reaches: conv4.weight, bn4.weight, bn4.bias" in said


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_discriminator_alone_learns(schedule, tmp_path):
    """A rate of 0 and a discriminator_rate: no share of nothing, which would be infinite."""
    conf = cli.small(tmp_path, CONF + ADDA)
    cli.done("train", conf, *(f"--set=stage.next.{key}" for key in (
        "rate=0", "discriminator_rate=0.01", f"schedule={schedule}", "step_every=1")))
    said = cli.done("check", conf, "--set=stage.next.rate=0", "--set=stage.next.discriminator_rate=0.01").out
    assert "discriminator (at 0.01)" in said
    before, after = parameters(tmp_path, 0), parameters(tmp_path, 1)
    assert all(np.array_equal(a, after[n]) for n, a in before.items()
               if n in after and ".running_" not in n and not n.startswith("optimizer"))
    assert np.abs(after["optimizer.exp_avg.discriminator.fc1.weight"]).max() > 0
    assert np.abs(after["discriminator.fc1.bias"]).max() > 0.005  # which began at 0


# Saturated units bound the loss while decay alone doubles their weights hundredfold a round, until they overflow.
OVERFLOW = """
run {{ name = "overflow"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1  max_failed = 1 }}
data ink {{ format = "glyphs"  size = 12  first = 3 }}
model {{ type = "mlp"  widths = {{"4"}}  activation = "tanh" }}
metrics {{ endpoint = "" }}
evaluate {{ episodes = 1 }}
checkpoint {{ every = 1  keep = 100 }}
stage source {{ method = "pretrain"  data = "ink"  batch = 4  tasks = 1  rounds = 60  rate = 0.1  optimizer = "sgd"
               momentum = 0  weight_decay = 1  body_rate = 1000 }}
"""


@pytest.mark.parametrize("ranks", [None, 2])
def test_what_is_not_finite_is_not_saved(ranks, tmp_path):
    result = cli.run("train", cli.small(tmp_path, OVERFLOW), ranks=ranks)
    assert result.rc == 1, result
    assert "'fc1.weight' is not finite" in result.err and "that round is not saved" in result.err, result
    parameters(tmp_path, 0)
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        rounds = [row["round"] for row in map(json.loads, f) if row["kind"] == "round"]
    newest = sorted(glob.glob(str(tmp_path / "run" / "checkpoint-*.safetensors")))[-1]
    assert os.path.basename(newest) in result.err, result
    assert rounds == list(range(1, len(rounds) + 1))
