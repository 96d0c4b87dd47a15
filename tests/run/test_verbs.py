"""What verbs print and write, against what they are told and against each other; a run that is stopped in an evaluation."""
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

import cli
from supervised import Supervised, wait_for

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

TORCH = os.path.join(cli.ROOT, "tests", "torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    conf = cli.small(folder)
    result = cli.done("train", conf, "--json", "--set", "metrics.endpoint=", ranks=3)
    return conf, folder / "run", result.json()


def lines(run, kind):
    with open(run / "metrics.jsonl") as f:
        return [o for o in map(json.loads, f) if o["kind"] == kind]


# ---- train, evaluate ----

def test_objects_agree(trained):
    """train's own evaluation, the lines of its last one, and evaluate's are the same figures."""
    conf, run, result = trained
    last = lines(run, "evaluation")[-2:]  # steps 0 and 1
    said = result["evaluation"][0] if isinstance(result["evaluation"], list) else result["evaluation"]
    again = cli.done("evaluate", conf, "--checkpoint", result["checkpoint"], "--json").json()
    for o in (said, again):
        assert o["episodes"] == 6 and o["failed"] == 0 and [s["step"] for s in o["by_step"]] == [0, 1]
        for step, line in zip(o["by_step"], last):
            assert [step[k] for k in ("loss", "loss_ci95", "accuracy", "ci95")] == pytest.approx(
                [line[k] for k in ("loss", "loss_ci95", "accuracy", "accuracy_ci95")], rel=1e-8)
        assert [o[k] for k in ("loss", "loss_ci95", "accuracy", "ci95")] == [
            o["by_step"][1][k] for k in ("loss", "loss_ci95", "accuracy", "ci95")]
        assert o["by_step"][0]["accuracy"] != o["accuracy"] or o["by_step"][0]["loss"] != o["loss"]
    assert result["rounds"] == 8 and result["digest"] == lines(run, "round")[-1]["digest"]
    assert result["accuracy"] == pytest.approx(lines(run, "round")[-1]["accuracy"], rel=1e-8)


def test_evaluate_for_people(trained):
    """The table has the figures of the object, in per cent."""
    conf, _, result = trained
    args = "evaluate", conf, "--checkpoint", result["checkpoint"], "--episodes", 9
    o, text = cli.done(*args, "--json").json(), cli.done(*args).out
    assert o["episodes"] == 9 and "data 'glyphs': 9 episodes" in text
    rows = re.findall(r"^ +(\d+)   ([\d.]+) \+- ([\d.]+) +([\d.]+) \+- ([\d.]+) %$", text, re.M)
    assert rows == [(str(s["step"]), f"{s['loss']:.4f}", f"{s['loss_ci95']:.4f}", f"{100 * s['accuracy']:.2f}",
                     f"{100 * s['ci95']:.2f}") for s in o["by_step"]]


def test_evaluate_one_domain(tmp_path):
    """--domain chooses one section; without it there is an object for each."""
    two = 'data glyphs { format = "glyphs"  size = 14 }\ndata other { format = "glyphs"  size = 14  style = "outline" }'
    conf = cli.small(tmp_path, replace={'data glyphs { format = "glyphs"  size = 14 }': two,
                                        "evaluate { every = 0": 'evaluate { data = {"glyphs", "other"}  every = 0'})
    checkpoint = cli.done("train", conf, "--json", "--set", "metrics.endpoint=").json()["checkpoint"]
    args = "evaluate", conf, "--checkpoint", checkpoint, "--json"
    both = [json.loads(line) for line in cli.done(*args).out.strip().split("\n")]
    one = [json.loads(line) for line in cli.done(*args, "--domain", "other").out.strip().split("\n")]
    assert [o["data"] for o in both] == ["glyphs", "other"] and one == both[1:]
    wrong = cli.run(*args, "--domain", "othr")
    assert wrong.rc == 78 and "--domain uses data 'othr', which is not defined, did you mean 'other'?" in wrong.err
    assert "--set" not in wrong.err


def test_manifest(trained):
    """A coordinator and two workers, each with the memory that the plan tells for its threads."""
    conf, run, _ = trained
    with open(run / "manifest.json") as f:
        manifest = json.load(f)
    assert manifest["ranks"] == 3 and [w["rank"] for w in manifest["workers"]] == [1, 2]
    rows = cli.done("check", "--json", conf).json()["rows"]
    planned = next(row["thread"] for row in rows if row["name"] == "work space")
    for worker in manifest["workers"]:
        assert worker["threads"] == 1 and worker["pid"] > 1
        assert planned - 8192 < worker["arena_bytes"] <= planned  # struct engine beside its arena


def test_checkpoints_are_of_multiples(trained):
    """checkpoint.every is 4, and there are 8 rounds."""
    rounds = [int(p.name[14:23]) for p in sorted(trained[1].glob("checkpoint-*"))]
    assert rounds[-1] == 8 and set(rounds) <= {4, 8}


def test_stopped_in_an_evaluation(tmp_path):
    """A signal ends an evaluation that would take days; what was trained is saved, and goes on to the same digest."""
    conf = cli.small(tmp_path, replace={"rounds = 8": "rounds = 1"})
    want = cli.done("train", conf, "--run", tmp_path / "other", "--json", "--set", "metrics.endpoint=").json()["digest"]
    endless = ["--set", "evaluate.episodes=1000000", "--set", "metrics.endpoint="]
    with Supervised(tmp_path, "-n", 2, "train", conf, *endless) as run:
        wait_for(lambda: os.path.exists(tmp_path / "run" / "metrics.jsonl") and lines_so_far(tmp_path / "run"))
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.result().rc == 75
    assert lines(tmp_path / "run", "evaluation") == []
    again = cli.done("train", conf, "--resume", "--json", "--set", "metrics.endpoint=").json()
    assert again["digest"] == want and len(lines(tmp_path / "run", "evaluation")) == 2


def lines_so_far(run):
    """Whether the only round is done: from then on it measures."""
    with open(run / "metrics.jsonl") as f:
        return any('"kind":"round"' in line for line in f)


# ---- check ----

def test_tasks_begin_with_the_first_round(tmp_path):
    conf = cli.small(tmp_path)
    rows = re.findall(r"^round (\d+) slot (\d+):", cli.done("check", conf, "--tasks", 2).out, re.M)
    assert [(int(a), int(b)) for a, b in rows] == [(r, s) for r in (1, 2) for s in range(6)]


# ---- gradient ----

@pytest.fixture(scope="module")
def fixture():
    folder = os.path.join(TORCH, "mlp-5way-3")
    return folder, safetensors_io.load(f"{folder}/params.safetensors"), safetensors_io.load(f"{folder}/task.safetensors")


def mlp(t, x):
    """Outputs of a network of dense layers and relu, in float64."""
    names = sorted({n.split(".")[0] for n in t if n.startswith("fc")})
    x = x.reshape(len(x), -1)
    for n in names:
        x = np.maximum(x @ t[f"{n}.weight"].astype(float).T + t[f"{n}.bias"], 0)
    return x @ t["head.weight"].astype(float).T + t["head.bias"]


def test_gradient_tells_before_and_after(fixture, tmp_path):
    """Loss, accuracy and outputs before adaptation are those of the parameters as they are, after it others."""
    folder, theta, task = fixture
    out = tmp_path / "out.safetensors"
    said = cli.done("gradient", f"{folder}/conf", "--stage", "meta", "--params", f"{folder}/params.safetensors", "--task",
                    f"{folder}/task.safetensors", "--out", out).out
    got, y = safetensors_io.load(out), task["query.y"]
    before = mlp(theta, task["query.x"])

    def loss(o):
        return float(np.mean(np.log(np.exp(o - o.max(1, keepdims=True)).sum(1)) + o.max(1) - o[np.arange(len(y)), y]))
    assert got["logits_before"] == pytest.approx(before, rel=1e-4, abs=1e-4)
    assert float(got["loss_before"]) == pytest.approx(loss(before), rel=1e-5)
    assert float(got["accuracy_before"]) == pytest.approx((before.argmax(1) == y).mean())
    after = got["logits"].astype(float)
    assert float(got["loss"]) == pytest.approx(loss(after), rel=1e-5)
    assert float(got["accuracy"]) == pytest.approx((after.argmax(1) == y).mean())
    assert abs(after - before).max() > 1e-2
    numbers = [float(n) for n in re.search(r"loss ([\d.e+-]+) before, loss ([\d.e+-]+) after", said).groups()]
    assert numbers == pytest.approx([loss(before), loss(after)], rel=1e-5)


WEIGHTED = """
run {{ name = "weighted"  seed = 7  directory = "{directory}" }}
data a {{ format = "glyphs"  size = 12  first = 3 }}
data b {{ format = "glyphs"  size = 12  first = 3  style = "outline" }}
model {{ type = "mlp"  widths = {{"4"}} }}
stage s {{ method = "dan"  data = "a"  target = {{"b"}}  batch = 6  rounds = 11  weight = 2  weight_end = 12
          weight_schedule = "linear" }}
"""


def test_gradient_of_a_round(tmp_path):
    """loss = labels + weight x discrepancy, with the weight of the round that the task names: 2, 7 and 12."""
    conf = cli.small(tmp_path, WEIGHTED)
    rng = np.random.default_rng(3)
    theta = {"fc1.weight": rng.normal(size=(4, 144)), "fc1.bias": np.zeros(4), "head.weight": rng.normal(size=(3, 4)),
             "head.bias": np.zeros(3)}
    safetensors_io.save(tmp_path / "p.safetensors", {k: v.astype(np.float32) for k, v in theta.items()})
    task = {"source.x": rng.random((6, 1, 12, 12)), "source.y": np.arange(6) % 3, "target.x": rng.random((6, 1, 12, 12)) / 2}
    for number, weight in ((1, 2), (6, 7), (11, 12)):
        safetensors_io.save(tmp_path / "t.safetensors", {**task, "round": np.array([number])})
        cli.done("gradient", conf, "--params", tmp_path / "p.safetensors", "--task", tmp_path / "t.safetensors", "--out",
                 tmp_path / "g.safetensors")
        got = safetensors_io.load(tmp_path / "g.safetensors")
        y = mlp(theta, task["source.x"])
        labels = np.mean(np.log(np.exp(y).sum(1)) - y[np.arange(6), task["source.y"]])
        assert float(got["discrepancy"]) > 1e-3
        assert float(got["loss"]) == pytest.approx(labels + weight * float(got["discrepancy"]), rel=1e-5)


# ---- bench ----

def test_bench_adds_up(tmp_path):
    """gflops is operations of a task times tasks a second; the share is of sgemm's. A task of MAML with one inner step
    costs more than the three passes over support and queries, 3 (15 + 5) forward passes of 2 (144 8 + 8 5) operations."""
    conf = cli.small(tmp_path, replace={'type = "conv4"  filters = 4': 'type = "mlp"  widths = {"8"}', "size = 14": "size = 12",
                                        "way = 3  shot = 1  query = 2": "way = 5  shot = 1  query = 3"})
    o = cli.done("bench", conf, "--json").json()
    assert o["gflops"] == pytest.approx(o["mflop_per_task"] * o["tasks_per_second"] / 1e3, rel=1e-6)
    assert o["share"] == pytest.approx(o["gflops"] / o["sgemm_gflops"], rel=1e-6)
    least = 3 * (15 + 5) * 2 * (144 * 8 + 8 * 5) / 1e6
    assert least / 2 < o["mflop_per_task"] < 6 * least
    assert 0 < o["share"] < 1.2 and o["peak_mb"] > 1


# ---- pack, keygen ----

def test_pack_tells_and_keeps(tmp_path):
    """Rows before columns; every pixel to the nearest byte, every label of more than a byte."""
    rng = np.random.default_rng(4)
    x, y = rng.random((600, 2, 3)).astype(np.float32), np.arange(600) // 2
    np.savez(tmp_path / "set.npz", images=x, labels=y)
    said = cli.done("pack", tmp_path / "set.npz", tmp_path / "out.npy").out
    assert "packed 300 classes of 2 x 3 x 1" in said
    assert np.array_equal(np.load(tmp_path / "out.npy"), np.floor(x * np.float32(255) + np.float32(0.5)).astype(np.uint8))
    assert np.array_equal(np.load(tmp_path / "out_labels.npy"), y)
    assert (tmp_path / "out_classes.txt").read_text().split() == [str(i) for i in range(300)]


def test_keys_have_their_modes_and_are_never_replaced(tmp_path):
    old = os.umask(0)
    try:
        cli.done("keygen", tmp_path / "k")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "k.secret").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "k.public").st_mode) == 0o644
    before = (tmp_path / "k.secret").read_text()
    result = cli.run("keygen", tmp_path / "k")
    assert result.rc == 73 and "k.secret" in result.err and (tmp_path / "k.secret").read_text() == before
    (tmp_path / "k.secret").unlink()
    assert cli.run("keygen", tmp_path / "k").rc == 73 and not (tmp_path / "k.secret").exists()


# ---- scripts of the documents ----

def test_sinusoid_is_drawn(tmp_path):
    """docs/draw_sinusoid.py over a run of its example, with a gnuplot that writes what it was told."""
    run = tmp_path / "run"
    cli.done("train", "examples/sinusoid.conf", "--run", run, "--set", "stage.meta.rounds=2", "--set", "evaluate.episodes=2",
             "--set", "metrics.endpoint=")
    (tmp_path / "gnuplot").write_text("#!/bin/sh\ncat >" + str(tmp_path / "script") + "\n")
    (tmp_path / "gnuplot").chmod(0o755)
    script = os.path.join(cli.ROOT, "docs", "draw_sinusoid.py")
    result = cli.execute([script, str(run / "checkpoint-00-000000002.safetensors"), str(tmp_path / "out.png")],
                         {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, cwd=tmp_path)
    assert result.rc == 0, result
    assert f'set output "{tmp_path}/out.png"' in (tmp_path / "script").read_text()
    without = cli.execute([script], cwd=tmp_path)
    assert without.rc == 64 and "usage" in without.err and "Traceback" not in without.err
    missing = cli.execute(["/usr/bin/python3", script, "x.safetensors"], {"PATH": "/nowhere"}, cwd=tmp_path)
    assert missing.rc == 69 and "launch/install-deps docs" in missing.err


# ---- check: the odds of an audit ----

def test_odds_of_an_audit(trained):
    """As docs/operations.md has them, for people and for programs; without an audit there are none."""
    conf, _, _ = trained
    audited = ["check", conf, "--set", "cluster.audit=0.01"]
    odds = cli.done(*audited, "--json").json()["audit"]
    stage = {"n": 0, "rounds": 0}
    for key in cli.done("check", conf, "--print-config").out.splitlines():
        found = re.match(r"\s*(tasks|rounds) = (\d+)", key)
        if found:
            stage["n" if found[1] == "tasks" else "rounds"] = int(found[2])
    assert odds["share"] == 0.01 and odds["errs_every"] == 10000 and odds["odds"], odds
    for row in odds["odds"]:
        twice = 0.01 * stage["n"] / row["workers"]
        for p in (50, 95):
            assert math.isclose(1 - (1 - 1e-4) ** (twice * row[f"rounds_{p}"]), p / 100, rel_tol=1e-6), row
        assert math.isclose(row["by_end"], 1 - (1 - 1e-4) ** (twice * stage["rounds"]), rel_tol=1e-6), row
    text = cli.done(*audited).out
    assert f"within {math.ceil(odds['odds'][0]['rounds_50'])} rounds with probability 0.5" in text, text
    assert "audit" not in cli.done("check", conf, "--json").json() and "audit:" not in cli.done("check", conf).out
