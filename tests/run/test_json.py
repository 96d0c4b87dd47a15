"""What --json prints, the stage that evaluate measures, and figures counted apart."""
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

CHAIN = """
run {{ name = "json"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
metrics {{ endpoint = "" }}
data ink {{ format = "glyphs"  size = 14 }}
data chalk {{ format = "glyphs"  size = 14  style = "chalk" }}
data few {{ format = "npy"  path = "few.npy"  labels = "few-y.npy" }}
data more {{ format = "npy"  path = "more.npy"  labels = "more-y.npy" }}
model {{ type = "conv4"  filters = 4 }}
model dense {{ type = "mlp"  widths = {{"6"}} }}
evaluate {{ episodes = 4  steps = 2  batch = 4 }}
checkpoint {{ every = 1000  keep = 100 }}
stage meta {{ method = "maml"  data = "ink"  way = 3  way_max = 4  shot = 1  query = 2  tasks = 2  rounds = 2  evaluate = {{"ink", "chalk"}} }}
stage align {{ method = "adda"  data = "ink"  target = {{"chalk"}}  batch = 6  tasks = 1  discriminator = {{"4"}}
              rounds = 1  rate = 0.001  evaluate = {{"chalk"}} }}
stage whole {{ method = "pretrain"  model = "dense"  data = "few"  batch = 5  tasks = 1  rounds = 6  rate = 0.01
              evaluate = {{"few", "more"}} }}
"""
STAGES = ["meta", "align", "whole"]
N = {"few": 10, "more": 23}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of three stages: (folder, what train printed, configuration, {stage: checkpoint}, the data root)."""
    folder = tmp_path_factory.mktemp("json")
    r = np.random.default_rng(3)
    for name, n in N.items():
        y = (np.arange(n) % 3).astype(np.uint8)
        x = (0.7 * r.random((n, 12, 12))).astype(np.float32)
        x[np.arange(n), 3 * y + 1] += np.float32(0.1)
        np.save(folder / f"{name}.npy", x)
        np.save(folder / f"{name}-y.npy", y)
    conf = cli.small(folder, CHAIN)
    said = cli.done("train", conf, "--data-root", folder, "--json").json()
    files = {s: sorted(glob.glob(str(folder / "run" / f"checkpoint-{i:02d}-*.safetensors")))[-1]
             for i, s in enumerate(STAGES)}
    return folder, said, conf, files


def evaluated(made, stage, *more, **how):
    folder, _, conf, files = made
    out = cli.done("evaluate", conf, "--checkpoint", files[stage], "--data-root", folder, "--json", *more, **how).out
    return [json.loads(line) for line in out.splitlines()]


def last(made, stage):
    """{data: its last evaluation after the last step} of metrics.jsonl."""
    with open(made[0] / "run" / "metrics.jsonl") as f:
        rows = [json.loads(line) for line in f]
    return {r["data"]: r for r in rows if r["kind"] == "evaluation" and r["stage"] == stage}


# ---- which stage ----

@pytest.mark.parametrize("stage,data", [("meta", ["ink", "chalk"]), ("align", ["chalk"]), ("whole", ["few", "more"])])
def test_a_checkpoint_is_measured_as_the_stage_that_it_is_of(made, stage, data):
    said, known = evaluated(made, stage), last(made, stage)
    assert [s["data"] for s in said] == data
    for s in said:
        assert s["stage"] == stage
        assert s["accuracy"] == pytest.approx(known[s["data"]]["accuracy"], abs=1e-8)
        assert s["loss"] == pytest.approx(known[s["data"]]["loss"], rel=1e-7)


def test_another_stage_only_if_its_layout_fits(made):
    folder, _, conf, files = made
    result = cli.run("evaluate", conf, "--checkpoint", files["meta"], "--stage", "align", "--data-root", folder)
    assert result.rc == 65 and "stage 'align'" in result.err and "a file of stage 'meta'" in result.err, result
    assert [s["stage"] for s in evaluated(made, "meta", "--stage", "meta")] == ["meta", "meta"]
    text = open(conf).read().replace("stage meta ", "stage other ")
    with open(folder / "renamed.conf", "w") as f:
        f.write(text)
    renamed = cli.run("evaluate", folder / "renamed.conf", "--checkpoint", files["meta"], "--data-root", folder)
    assert renamed.rc == 65 and "belongs to stage 'meta'" in renamed.err and "--stage" in renamed.err, renamed
    cli.done("evaluate", folder / "renamed.conf", "--checkpoint", files["meta"], "--stage", "other", "--data-root", folder)


def test_a_file_of_another_program_is_of_the_last_stage(made):
    folder, _, conf, files = made
    foreign = {n: a for n, a in safetensors_io.load(files["whole"]).items() if not n.startswith(("optimizer", "kept"))}
    safetensors_io.save(folder / "foreign.safetensors", foreign)
    out = cli.done("evaluate", conf, "--checkpoint", folder / "foreign.safetensors", "--data-root", folder, "--json").out
    assert [json.loads(line) for line in out.splitlines()] == evaluated(made, "whole")


# ---- what is counted ----

def test_every_section_is_in_what_train_prints(made):
    said = made[1]
    assert [(e["stage"], e["data"], e["samples"]) for e in said["evaluations"]] == [("whole", d, n) for d, n in N.items()]
    assert said["evaluation"] == said["evaluations"][0]
    assert said["evaluations"] == evaluated(made, "whole")
    assert not any(e["transductive"] for e in said["evaluations"])


def test_few_shot_says_that_it_is_transductive(made):
    assert all(s["transductive"] for s in evaluated(made, "meta") + evaluated(made, "align"))
    folder, _, conf, files = made
    text = cli.done("evaluate", conf, "--checkpoint", files["meta"], "--data-root", folder).out
    assert text.count("4 episodes, transductive\n") == 2
    plan = cli.done("check", conf, "--data-root", folder).out
    assert "2 inner steps, transductive: a query's prediction depends on the other queries" in plan
    assert "every sample\n" in plan
    assert last(made, "meta")["ink"]["transductive"] == 1 and last(made, "whole")["few"]["transductive"] == 0


def test_inductive_figures_stand_beside_the_transductive_ones(made):
    """In train's line, in metrics.jsonl after the last step, and in the table: the same on one rank and three. Nothing else
    changes without them."""
    said, known, without = evaluated(made, "meta"), last(made, "meta"), evaluated(made, "meta", "--set", "evaluate.inductive=false")
    assert evaluated(made, "meta", ranks=3) == said
    folder, _, conf, files = made
    text = cli.done("evaluate", conf, "--checkpoint", files["meta"], "--data-root", folder).out
    for s, plain in zip(said, without):
        for key, line in (("loss", "loss"), ("loss_ci95", "loss_ci95"), ("accuracy", "accuracy"), ("ci95", "accuracy_ci95")):
            assert s[f"inductive_{key}"] == pytest.approx(known[s["data"]][f"inductive_{line}"], rel=1e-8)
        assert s["inductive_loss"] != s["loss"]
        assert re.search(rf"^ +inductive +{s['inductive_loss']:.4f} .*{100 * s['inductive_accuracy']:.2f} ", text, re.M), text
        assert {k: v for k, v in s.items() if not k.startswith("inductive")} == plain
    inductive = f"inductive accuracy {100 * said[0]['inductive_accuracy']:.2f} %"
    assert inductive in cli.done("inspect", folder / "run").out
    assert inductive in cli.done("--replay", folder / "run", "--lines", program=cli.METALOOP + "-observe").out
    with open(folder / "run" / "metrics.jsonl") as f:
        rows = [r for r in map(json.loads, f) if r["kind"] == "evaluation"]
    assert all((r["inductive_loss"] is None) == (r["step"] < 2 or r["stage"] == "whole") for r in rows), rows


@pytest.mark.parametrize("data", N)
@pytest.mark.parametrize("batch", [3, 4, 100])
def test_samples_are_counted_one_by_one(made, data, batch):
    """By the network's own outputs in NumPy: ten samples in batches of four, the last one short, count ten times."""
    folder = made[0]
    p = {n: a.astype(np.float64) for n, a in safetensors_io.load(made[3]["whole"]).items()}
    x, y = np.load(folder / f"{data}.npy"), np.load(folder / f"{data}-y.npy")
    hidden = np.maximum(x.reshape(len(x), -1) @ p["fc1.weight"].T + p["fc1.bias"], 0)
    logits = hidden @ p["head.weight"].T + p["head.bias"]
    right = (logits.argmax(1) == y).astype(float)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]
    said, = [s for s in evaluated(made, "whole", "--set", f"evaluate.batch={batch}") if s["data"] == data]
    assert said["samples"] == len(y) and 0 < said["accuracy"] < 1
    assert said["accuracy"] == pytest.approx(right.mean(), abs=1e-8)
    assert said["ci95"] == pytest.approx(1.96 * right.std(ddof=1) / len(y) ** 0.5, abs=1e-8)
    assert said["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert said["loss_ci95"] == pytest.approx(1.96 * losses.std(ddof=1) / len(y) ** 0.5, rel=1e-4)


def test_one_episode_has_no_interval(made, tmp_path):
    folder, _, conf, files = made
    for s in evaluated(made, "meta", "--episodes", "1"):
        assert s["ci95"] is None and s["loss_ci95"] is None and s["accuracy"] is not None
        assert all(k["ci95"] is None and k["loss_ci95"] is None for k in s["by_step"])
    text = cli.done("evaluate", conf, "--checkpoint", files["meta"], "--data-root", folder, "--episodes", "1").out
    assert "nan" not in text and text.count("+- -") == 2 * 2 * 4
    result = cli.done("train", conf, "--data-root", folder, "--run", tmp_path / "run", "--set", "evaluate.episodes=1")
    assert "nan" not in result.err and not re.search(r"data 'ink'  accuracy [\d.]+ \+-", result.err), result
    rows = [json.loads(line) for line in open(tmp_path / "run" / "metrics.jsonl")]
    few = [r for r in rows if r["kind"] == "evaluation" and r["stage"] == "meta"]
    assert few and all(r["accuracy_ci95"] is None and r["loss_ci95"] is None for r in few)
    shown = cli.execute([os.path.join(cli.ROOT, "build", "metaloop-observe"), "--replay", str(tmp_path / "run")])
    assert shown.rc == 0 and "nan" not in shown.out and re.search(r"data 'ink' .* accuracy [\d.]+ %  loss [\d.]+\n", shown.out), shown


# ---- what the document says ----

def documented():
    """{verb: the keys in its row of docs/json.md}"""
    with open(os.path.join(cli.ROOT, "docs", "json.md")) as f:
        rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", f.read(), re.M)
    return {verb: set(re.findall(r"`(\w+)`", text)) for verb, text in rows}


def keys(x):
    if isinstance(x, dict):
        return set(x) | {k for v in x.values() for k in keys(v)}
    return {k for v in x for k in keys(v)} if isinstance(x, list) else set()


def test_document_tells_every_key(made, tmp_path):
    folder, said, conf, files = made
    found = {
        "train": keys(said),
        "evaluate": keys(evaluated(made, "whole")) | keys(evaluated(made, "meta")),
        "bench": keys(cli.done("bench", conf, "--stage", "meta", "--data-root", folder, "--json").json()),
        "replay": set(),
    }
    cli.done("check", conf, "--data-root", folder, "--stage", "meta", "--tasks", 1, "--out", tmp_path)
    task = sorted(glob.glob(str(tmp_path / "task-*")))[0]
    found["replay"] = keys(cli.done("replay", task, "--checkpoint", files["meta"], "--data-root", folder, "--json").json())
    told = documented()
    assert {"rmse", "r2"} <= told["evaluate"]  # of regression: test_tables.py
    told["evaluate"] -= {"rmse", "r2"}
    told["train"] |= told["evaluate"] | {"episodes"}  # "as below"
    for verb, names in found.items():
        assert names <= told[verb], (verb, names - told[verb])
    for verb in ("evaluate", "bench"):
        assert told[verb] <= found[verb], (verb, told[verb] - found[verb])
    assert told["train"] - {"episodes"} <= found["train"] | found["evaluate"]
    assert {"digest", "rounds", "checkpoint", "evaluations", "evaluation"} <= told["train"]
    verbs = {v for v in re.findall(r"^  (\w+)", cli.done("--help").out, re.M)
             if "--json" in cli.done(v, "--help").out}
    assert verbs == set(told) & verbs, verbs - set(told)
