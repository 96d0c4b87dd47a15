"""Numbers that a run tells, worked out apart: in NumPy, in float64, from its checkpoints, its data and the samples that
`check --tasks` says it draws."""
import glob
import json
import os
import re
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

N, SIDE, CLASSES = 16, 4, 3
CONF = """
run {{ name = "values"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data a {{ format = "npy"  path = "a.npy"  labels = "a-y.npy" }}
data b {{ format = "npy"  path = "b.npy"  labels = "b-y.npy" }}
model {{ type = "mlp"  widths = {{"6"}} }}
stage source {{ method = "pretrain"  data = "a"  batch = 5  tasks = 2  rate = 0.05  rounds = 4  schedule = "cosine"
               rate_end = 0.01  clip = 0.001  evaluate = {{"a", "b"}} }}
stage align {{ method = "adda"  data = "a"  target = {{"b"}}  batch = 2  target_batch = 2  tasks = 3  rounds = 3  rate = 0.02
              discriminator = {{"5"}}  guard = "last"  evaluate = {{"b"}} }}
evaluate {{ every = 1 }}
checkpoint {{ every = 2  keep = 100 }}
metrics {{ endpoint = "" }}
"""
STILL = ["--set", "stage.source.rate=0", "--set", "stage.source.rate_end=0", "--set", "stage.align.rate=0"]


def put_data(folder):
    rng = np.random.default_rng(5)
    shapes = rng.random((CLASSES, SIDE, SIDE))
    for name, gain in (("a", 0.7), ("b", 0.4)):
        y = np.arange(N) % CLASSES
        x = gain * shapes[y] + 0.3 * rng.random((N, SIDE, SIDE))
        np.save(folder / f"{name}.npy", np.rint(255 * x).astype(np.uint8))
        np.save(folder / f"{name}-y.npy", y.astype(np.int64))


class Place:
    def __init__(self, folder, *more):
        put_data(folder)
        self.folder, self.run, self.conf = folder, folder / "run", cli.small(folder, CONF)
        self.more = ["--data-root", folder, *more]
        self.result = cli.done("train", self.conf, "--json", *self.more).json()

    def lines(self, kind, stage=None):
        with open(self.run / "metrics.jsonl") as f:
            rows = map(json.loads, f)
            return [o for o in rows if o["kind"] == kind and (stage is None or o["stage"] == stage)]

    def theta(self, stage):
        return safetensors_io.load(sorted(glob.glob(str(self.run / f"checkpoint-{stage:02d}-*.safetensors")))[-1])

    def data(self, name):
        """Images as numbers and their labels."""
        return np.load(self.folder / f"{name}.npy").reshape(N, -1) / 255, np.load(self.folder / f"{name}-y.npy")

    def tasks(self, stage, rounds):
        """{(round, slot): {"source": ids, "targets": ids}}"""
        out = self.folder / f"tasks-{stage}"
        cli.done("check", self.conf, "--stage", stage, "--tasks", rounds, "--out", out, *self.more)
        found = {}
        for path in sorted(out.glob("*.bin")):
            text = cli.done("inspect", path, "--all").out
            place = tuple(int(re.search(rf"{w} (\d+)", text)[1]) for w in ("round", "slot"))
            found[place] = {w: [int(i) for i in ids.split()] for w, ids in re.findall(r"^  (source|targets) +([\d ]+)$", text, re.M)}
        return found


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A run whose parameters stay as they are drawn: its last checkpoint tells those of every round."""
    return Place(tmp_path_factory.mktemp("still"), *STILL)


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("moving"))


# ---- the network ----

def forward(t, x, prefix=""):
    """Features and outputs."""
    t = {k: v.astype(np.float64) for k, v in t.items()}
    features = np.maximum(x @ t[prefix + "fc1.weight"].T + t[prefix + "fc1.bias"], 0)
    return features, features @ t[prefix + "head.weight"].T + t[prefix + "head.bias"]


def softmax(y):
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def losses(y, label):
    return -np.log(softmax(y)[np.arange(len(label)), label])


def gradient(t, x, label):
    """Of the mean cross-entropy, all of it in one vector."""
    features, y = forward(t, x)
    gy = (softmax(y) - np.eye(y.shape[1])[label]) / len(label)
    gf = gy @ t["head.weight"] * (features > 0)
    return np.concatenate([(gf.T @ x).ravel(), gf.sum(0), (gy.T @ features).ravel(), gy.sum(0)])


def close(a, b):
    return a == pytest.approx(b, rel=1e-4, abs=1e-5)


# ---- rounds ----

def test_rounds(still):
    """Loss and accuracy are means over the round's batches; the norm is that of the mean gradient, before clipping."""
    x, y = still.data("a")
    theta, tasks = still.theta(0), still.tasks("source", 4)
    rows = still.lines("round", "source")
    assert [r["round"] for r in rows] == [1, 2, 3, 4] and len(tasks) == 8
    for r in rows:
        ids = [tasks[r["round"], slot]["source"] for slot in range(2)]
        outputs = [forward(theta, x[i])[1] for i in ids]
        assert close(r["loss"], np.mean([losses(o, y[i]).mean() for o, i in zip(outputs, ids)]))
        assert close(r["accuracy"], np.mean([(o.argmax(1) == y[i]).mean() for o, i in zip(outputs, ids)]))
        assert close(r["gradient_norm"], np.linalg.norm(np.mean([gradient(theta, x[i], y[i]) for i in ids], 0)))
        assert r["gradient_norm"] > 0.001  # the clip
        assert (r["tasks"], r["failed"], r["stage"], r["stage_index"]) == (2, 0, "source", 0)
        assert r["digest"] == rows[0]["digest"]
        assert r["support_losses"] == r["support_accuracies"] == []


def test_rates(moving):
    """Cosine from 0.05 at the first round to 0.01 at the last; constant in the second stage."""
    want = [0.01 + 0.04 * (1 + np.cos(np.pi * t / 3)) / 2 for t in range(4)]
    assert [r["rate"] for r in moving.lines("round", "source")] == pytest.approx(want, rel=1e-8)
    assert [r["rate"] for r in moving.lines("round", "align")] == [0.02] * 3


def test_begin_and_end(moving):
    first, second = moving.lines("stage")
    assert (first["from_round"], first["rounds"], first["method"], first["stage_index"]) == (0, 4, "pretrain", 0)
    assert first["parameters"] == 16 * 6 + 6 + 6 * 3 + 3
    assert second["parameters"] == first["parameters"] + 6 * 5 + 5 + 5 * 2 + 2 and second["stage_index"] == 1
    end, last = moving.lines("end")[0], moving.lines("round")[-1]
    assert end["loss"] == last["loss"] == pytest.approx(moving.result["loss"], rel=1e-8)
    assert end["digest"] == moving.result["digest"] and moving.result["rounds"] == 3
    assert (end["ranks_lost"], end["tasks_again"], end["stale"], end["status"], end["reason"]) == (0, 0, 0, 0, "done")
    assert 1 < end["peak_mib"] < 4096


def test_seconds_add_up(moving):
    """Seconds of rounds and what is left are times that have passed."""
    for stage, rounds in (("source", 4), ("align", 3)):
        rows = moving.lines("round", stage)
        assert all(r["seconds"] > 0 for r in rows) and rows[-1]["seconds_left"] == 0
        passed = np.cumsum([r["seconds"] for r in rows])
        for r, p in zip(rows, passed):  # what has passed since the stage began holds the rounds, and more
            assert r["seconds_left"] >= 0.999 * (rounds - r["round"]) * p / r["round"]


# ---- evaluations ----

def expect_evaluation(line, loss, right, rel=1e-4):
    n = len(loss)
    assert line["samples"] == n and line["failed"] == 0 and line["step"] == 0
    for key, values in (("loss", loss), ("accuracy", right)):
        assert line[key] == pytest.approx(values.mean(), rel=rel)
        assert line[f"{key}_ci95"] == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(n), rel=rel, abs=1e-6)


@pytest.mark.parametrize("which", ["still", "moving"])
def test_evaluations(which, request):
    """Mean and 1.96 standard errors over all samples of the set, at the end of each stage: sixteen samples in batches of
    five, so that the last one is short."""
    place = request.getfixturevalue(which)
    for stage, name, data in ((0, "source", "a"), (0, "source", "b"), (1, "align", "b")):
        x, y = place.data(data)
        outputs = forward(place.theta(stage), x)[1]
        line = [o for o in place.lines("evaluation", name) if o["data"] == data][-1]
        expect_evaluation(line, losses(outputs, y), (outputs.argmax(1) == y).astype(float))
        assert line["round"] == (4, 3)[stage]


def test_result_is_the_last_evaluation(moving):
    """What --json says of the evaluation is what the lines say."""
    line = moving.lines("evaluation", "align")[-1]
    said = moving.result["evaluation"]
    said = said[0] if isinstance(said, list) else said
    assert said["samples"] == N and said["failed"] == 0
    for ours, theirs in (("loss", "loss"), ("loss_ci95", "loss_ci95"), ("accuracy", "accuracy"), ("ci95", "accuracy_ci95")):
        assert said[ours] == said["by_step"][-1][ours] == pytest.approx(line[theirs], rel=1e-8)


# ---- adaptation ----

def discriminator(t, features):
    """True where it takes features for the source's, and its outputs."""
    hidden = np.maximum(features @ t["discriminator.fc1.weight"].T + t["discriminator.fc1.bias"], 0)
    y = hidden @ t["discriminator.head.weight"].T + t["discriminator.head.bias"]
    return y[:, 1] > y[:, 0], y


def test_adaptation(still):
    """Per round: the discriminator's loss on both domains and the shares that it tells right, means over the batches."""
    (xs, _), (xt, _) = still.data("a"), still.data("b")
    theta, tasks = still.theta(1), still.tasks("align", 3)
    differ = 0
    for row in still.lines("adaptation", "align"):
        each = []
        for slot in range(3):
            task = tasks[row["round"], slot]
            source, ys = discriminator(theta, forward(theta, xs[task["source"]], "kept.00.")[0])
            target, yt = discriminator(theta, forward(theta, xt[task["targets"]])[0])
            ones, zeros = np.ones(2, int), np.zeros(2, int)
            each.append((losses(ys, ones).mean() + losses(yt, zeros).mean(), source.mean(), 1 - target.mean(),
                         losses(yt, ones).mean()))
        loss, right_source, right_target, deceived = np.mean(each, 0)
        assert close(row["right_source"], right_source) and close(row["right_target"], right_target)
        assert close(row["discriminator_loss"], loss)
        assert close(still.lines("round", "align")[row["round"] - 1]["loss"], deceived)
        differ += right_source != right_target
    assert differ > 0


def test_inputs(still):
    """Of all pixels of both domains."""
    line = still.lines("inputs")[0]
    for domain, name in (("source", "a"), ("target", "b")):
        x, _ = still.data(name)
        assert line[domain] == name
        assert [line[f"{domain}_{k}"] for k in ("low", "high", "mean")] == pytest.approx([x.min(), x.max(), x.mean()], rel=1e-6)


def entropy(p):
    return -(p * np.log(p)).sum(-1)


def look(theta, xs, xt, prefix=""):
    """What the guard sees: eight batches of two are the whole of both sets."""
    teacher = {k[8:]: v for k, v in theta.items() if k.startswith("kept.00.")}
    ours, source = softmax(forward(theta, xt, prefix)[1]), softmax(forward(teacher, xs)[1])
    spread, prior = entropy(ours.mean(0)), (ours.mean(0) * np.log(ours.mean(0) / source.mean(0))).sum()
    return {"entropy": entropy(ours).mean(), "spread": spread, "prior": prior,
            "score": spread - entropy(ours).mean() - prior,
            "agreement": (ours.argmax(1) == forward(teacher, xt)[1].argmax(1)).mean()}


def test_watch(still):
    """Every look is at the parameters that are saved; source-only is the source's encoder."""
    (xs, _), (xt, _) = still.data("a"), still.data("b")
    theta, lines = still.theta(1), still.lines("watch", "align")
    assert [o["round"] for o in lines] == [1, 2, 3]
    for line in lines:
        for key, value in look(theta, xs, xt).items():
            assert close(line[key], value), key
        source = discriminator(theta, forward(theta, xs, "kept.00.")[0])[0]
        target = discriminator(theta, forward(theta, xt)[0])[0]
        assert close(line["right_source"], source.mean()) and close(line["right_target"], 1 - target.mean())
        assert line["stage"] == "align" and line["target"] == "b" and source.mean() != 1 - target.mean()


def test_watch_of_what_moves(moving):
    """Beside each look the score of the source's encoder, and the best so far, which never falls."""
    (xs, _), (xt, _) = moving.data("a"), moving.data("b")
    lines = moving.lines("watch", "align")
    alone = look(moving.theta(1), xs, xt, "kept.00.")["score"]
    best = alone
    for line in lines:
        assert line["score"] == pytest.approx(line["spread"] - line["entropy"] - line["prior"], rel=1e-6, abs=1e-8)
        assert line["score_source_only"] == pytest.approx(alone, rel=1e-4, abs=1e-6)
        best = max(best, line["score"])
        assert line["score_best"] == pytest.approx(best, rel=1e-4, abs=1e-6)
    assert all(abs(line["score"] - alone) > 1e-4 for line in lines)


# ---- few shots ----

FEW = """
run {{ name = "few"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data a {{ format = "npy"  path = "a.npy"  labels = "a-y.npy" }}
model {{ type = "mlp"  widths = {{"6"}} }}
stage meta {{ method = "maml"  data = "a"  way = 3  shot = 2  query = 2  tasks = 4  inner_steps = 3  inner_rate = 0.3
             rate = 0  rounds = 2 }}
evaluate {{ episodes = 5 }}
metrics {{ endpoint = "" }}
"""


def test_inner_loop(tmp_path):
    """Support losses and accuracies before each step, query loss and accuracy after the last: plain descent."""
    put_data(tmp_path)
    conf = cli.small(tmp_path, FEW)
    root = ["--data-root", tmp_path]
    cli.done("train", conf, *root)
    cli.done("check", conf, *root, "--tasks", 2, "--out", tmp_path / "tasks")
    theta = safetensors_io.load(glob.glob(str(tmp_path / "run" / "checkpoint-*.safetensors"))[0])
    x, y = np.load(tmp_path / "a.npy").reshape(N, -1) / 255, np.load(tmp_path / "a-y.npy")
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        rows = [o for o in map(json.loads, f) if o["kind"] == "round"]
    for r in rows:
        told = []
        for path in sorted((tmp_path / "tasks").glob("task-%06d-*.bin" % r["round"])):
            text = cli.done("inspect", path, "--all").out
            ids = {w: [int(n) for n in re.search(rf"^ *{w}((?: \d+)+)$", text, re.M)[1].split()]
                   for w in ("classes", "support", "queries")}
            part = {w: [np.flatnonzero(y == ids["classes"][i // 2])[s] for i, s in enumerate(ids[w])]
                    for w in ("support", "queries")}
            told.append(adapt(theta, x[part["support"]], x[part["queries"]], np.arange(3).repeat(2)))
        support, right, loss, accuracy = (np.mean([t[i] for t in told], 0) for i in range(4))
        assert len(told) == 4 and r["support_losses"] == pytest.approx(list(support), rel=1e-4)
        assert r["support_accuracies"] == pytest.approx(list(right), rel=1e-6)
        assert close(r["support_loss"], support[0]) and close(r["loss"], loss) and close(r["accuracy"], accuracy)
        assert abs(r["loss"] - r["support_loss"]) > 1e-3


def adapt(theta, x, queries, label):
    """Losses and accuracies of the support before each of three steps, and of the queries after them."""
    names = "fc1.weight", "fc1.bias", "head.weight", "head.bias"
    t = {n: theta[n].astype(np.float64) for n in names}
    support, right = [], []
    for _ in range(3):
        out = forward(t, x)[1]
        support.append(losses(out, label).mean())
        right.append((out.argmax(1) == label).mean())
        g = np.split(gradient(t, x, label), np.cumsum([t[n].size for n in names])[:-1])
        t = {n: t[n] - 0.3 * part.reshape(t[n].shape) for n, part in zip(names, g)}
    out = forward(t, queries)[1]
    return support, right, losses(out, label).mean(), (out.argmax(1) == label).mean()


def test_a_step_does_not_depend_on_those_behind_it(tmp_path):
    """Evaluation with more inner steps tells the same of the first ones, and other figures of the last."""
    put_data(tmp_path)
    conf = cli.small(tmp_path, FEW)
    told = {}
    for steps in (1, 3):
        run = tmp_path / f"run{steps}"
        cli.done("train", conf, "--data-root", tmp_path, "--run", run, "--set", f"evaluate.steps={steps}")
        with open(run / "metrics.jsonl") as f:
            rows = [o for o in map(json.loads, f) if o["kind"] == "evaluation"]
        assert [o["step"] for o in rows] == list(range(steps + 1)) and all(o["episodes"] == 5 for o in rows)
        told[steps] = [{k: o[k] for k in ("step", "loss", "loss_ci95", "accuracy", "accuracy_ci95")} for o in rows]
    assert told[3][:2] == told[1]
    assert len({o["loss"] for o in told[3]}) == 4 and len({o["accuracy"] for o in told[3]}) > 1
