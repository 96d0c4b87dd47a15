"""Inputs and targets minus mean, over deviation: by the training section's numbers, which stay with the parameters."""
import glob
import os
import re
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

N, SIDE, CHANNELS, CLASSES = 40, 3, 3, 2
CONF = """
run {{ name = "normal"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data a {{ format = "npy"  path = "a.npy"  labels = "a-y.npy" }}
data b {{ format = "npy"  path = "b.npy"  labels = "b-y.npy" }}
model {{ type = "mlp"  widths = {{"6"}} }}
stage source {{ method = "pretrain"  data = "a"  batch = 8  tasks = 2  rate = 0.05  rounds = 3  normalize = "computed"
               weight_decay = 0.1 }}
stage again {{ method = "finetune"  data = "b"  batch = 8  tasks = 2  rate = 0.05  rounds = 2 }}
evaluate {{ data = {{"b"}} }}
checkpoint {{ every = 2  keep = 100 }}
metrics {{ endpoint = "" }}
"""
SINES = """
run {{ name = "sines"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data sines {{ format = "sinusoid" }}
model {{ type = "mlp"  widths = {{"8"}}  activation = "tanh" }}
stage meta {{ method = "metasgd"  data = "sines"  shot = 4  query = 5  tasks = 2  rounds = 1  rate = 0
             rates = "constant"  inner_rate = 0.1 }}
evaluate {{ episodes = 2 }}
metrics {{ endpoint = "" }}
"""


def theta(run, stage=0):
    return safetensors_io.load(sorted(glob.glob(str(run / f"checkpoint-{stage:02d}-*.safetensors")))[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images whose third channel is always 51 in a, two sections of other brightness."""
    folder, rng = tmp_path_factory.mktemp("normal"), np.random.default_rng(5)
    for name, gain in (("a", 120), ("b", 200)):
        x = np.rint(gain * rng.random((N, SIDE, SIDE, CHANNELS))).astype(np.uint8)
        x[..., 2] = 51 if name == "a" else x[..., 2]
        np.save(folder / f"{name}.npy", x)
        np.save(folder / f"{name}-y.npy", np.arange(N) % CLASSES)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    conf = cli.small(place, CONF)
    return conf, cli.done("train", conf, "--json", "--data-root", place)


def test_numbers_of_the_training_section(place, trained):
    """Those of a, in NumPy; a channel that never varies has 1 and is named; the stage on b, and its evaluation, use them."""
    x = np.load(place / "a.npy").reshape(-1, CHANNELS) / 255
    for stage in range(2):
        t = theta(place / "run", stage)
        assert np.allclose(t["normalize1.mean"], x.mean(0), rtol=1e-6, atol=0)
        assert np.allclose(t["normalize1.deviation"][:2], x.std(0)[:2], rtol=1e-6, atol=0)
        assert t["normalize1.deviation"][2] == 1
    assert "1 input of data 'a' never varies (the first is number 3): deviation 1" in trained[1].err
    b = (np.load(place / "b.npy") / 255 - t["normalize1.mean"]) / t["normalize1.deviation"]
    hidden = np.maximum(b.transpose(0, 3, 1, 2).reshape(N, -1) @ t["fc1.weight"].T + t["fc1.bias"], 0)
    y = hidden @ t["head.weight"].T + t["head.bias"]
    loss = np.log(np.exp(y).sum(1)) - y[np.arange(N), np.arange(N) % CLASSES]
    assert trained[1].json()["evaluation"]["loss"] == pytest.approx(loss.mean(), rel=1e-5)
    assert re.search(r"normalize1.deviation +F32 \[3\] 0\.\d+ 0\.\d+ 1\n", cli.done("inspect", sorted(place.glob("run/*01-*.safetensors"))[-1]).out)


def test_any_ranks_and_resume(place, trained, tmp_path):
    conf, first = trained
    more = ["--json", "--data-root", place, "--run", tmp_path / "other"]
    cut = cli.done("train", conf, *more, "--set", "stage.again.rounds=1")
    assert cut.json()["digest"] != first.json()["digest"]
    resumed = cli.done("train", conf, *more, "--resume", ranks=3)
    assert resumed.json()["digest"] == first.json()["digest"]


def test_given_numbers(place, tmp_path):
    """They are taken as they are, and the checkpoint evaluates by them."""
    conf = cli.small(tmp_path, CONF)
    cli.done("train", conf, "--data-root", place, "--set", "stage.source.normalize=0.1,0.2,0.3,2,3,4")
    t = theta(tmp_path / "run")
    assert np.array_equal(t["normalize1.mean"], np.float32([0.1, 0.2, 0.3]))
    assert np.array_equal(t["normalize1.deviation"], np.float32([2, 3, 4]))


def test_targets(tmp_path):
    """The loss of a task is that of (y - mean) / deviation; the inner loop moves neither, and the gradient is proved."""
    conf, rng = cli.small(tmp_path, SINES), np.random.default_rng(3)
    task = {f"{part}.{k}": rng.standard_normal((n, 1, 1, 1) if k == "x" else n).astype(np.float32)
            for part, n in (("support", 4), ("query", 5)) for k in "xy"}
    losses, grads = [], []
    for name, normalize, y in (("plain", "none", 1), ("scaled", "1,2", 2)):
        run = ["--run", tmp_path / name, "--set", f"stage.meta.normalize_targets={normalize}", "--set", "stage.meta.normalize=0.5,3"]
        cli.done("train", conf, *run)
        safetensors_io.save(tmp_path / "task", {k: v * y + (y - 1) if k.endswith("y") else v for k, v in task.items()})
        params = sorted((tmp_path / name).glob("checkpoint-*.safetensors"))[-1]
        cli.done("gradient", conf, *run[2:], "--params", params, "--task", tmp_path / "task", "--out", tmp_path / "out")
        out = safetensors_io.load(tmp_path / "out")
        losses.append(float(out["loss"].ravel()[-1]))
        grads.append(out)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert all(not grads[1][k].any() for k in ("normalize1.mean", "normalize1.deviation", "targets.mean", "targets.deviation"))
    assert np.allclose(grads[0]["fc1.weight"], grads[1]["fc1.weight"], rtol=1e-3, atol=1e-6) and grads[0]["fc1.weight"].any()
    cli.done("check", conf, "--gradients", *run[2:])


@pytest.mark.parametrize("key, value, sentence", [
    ("normalize", "some", "'normalize' is 'some', must be none, computed, or means and deviations"),
    ("normalize", "1,2,3", "'normalize' has 3 numbers, must have a mean and a deviation of all, or 1 means and then 1 deviations"),
    ("normalize", "0,0", "'normalize' has the deviation 0, must be above 0"),
    ("normalize", "computed", "data 'sines' has no end, so nothing can be computed of all of it: give the numbers"),
])
def test_refused(tmp_path, key, value, sentence):
    result = cli.run("train", cli.small(tmp_path, SINES), "--set", f"stage.meta.{key}={value}")
    assert result.rc == 78 and sentence in result.err, result


def test_refused_later(place, tmp_path):
    result = cli.run("check", cli.small(tmp_path, CONF), "--data-root", place, "--set", "stage.again.normalize=0,1")
    assert result.rc == 78 and "differs from that of the stage it starts from, whose numbers it keeps" in result.err, result
