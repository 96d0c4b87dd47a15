"""`metaloop predict` on tables: targets of tasks, in their own units, and labels of rows."""
import json
import os
import sys

import numpy as np
import pytest

import cli
from predicting import predict, rows as table

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

CONFIGURATION = """
run {{ name = "{name}"  seed = 5  directory = "{name}" }}
data all {{ format = "table"  path = "train.csv"  {data} }}
model {{ type = "mlp"  widths = {{"8"}}  activation = "tanh" }}
stage s {{ data = "all"  normalize = "computed"  {stage} }}
evaluate {{ episodes = 4 }}
"""
TASKS = 'task = "assay"  targets = {"y*"}'
RUNS = {
    "tasks": (TASKS, 'method = "maml"  shot = 4  query = 5  tasks = 4  rounds = 8  inner_steps = 2  inner_rate = 0.1  '
                     'normalize_targets = "computed"'),
    "weighted": (TASKS + '  weight = "n"', 'method = "maml"  shot = 4  query = 5  tasks = 4  rounds = 4  inner_steps = 2  inner_rate = 0.1  '
                                           'normalize_targets = "computed"'),
    "joint": (TASKS, 'method = "pretrain"  batch = 16  rounds = 8  normalize_targets = "computed"'),
    "quantile": (TASKS, 'method = "pretrain"  batch = 16  rounds = 2  normalize_targets = "computed"  loss = "quantile"  quantiles = {"0.25", "0.75"}'),
    "count": ('targets = {"n"}  inputs = {"a", "b"}', 'method = "pretrain"  batch = 16  rounds = 2  loss = "poisson"'),
    "label": ('label = "assay"  inputs = {"a", "b"}', 'method = "pretrain"  batch = 16  rounds = 60  rate = 0.01  optimizer = "adam"'),
    "few": ('label = "assay"  inputs = {"a", "b"}', 'method = "protonet"  way = 3  shot = 2  query = 3  tasks = 2  rounds = 4'),
}


def rows(tasks, each, seed):
    """[task, a, b, y1, y2, n]: y is linear in a and b, otherwise in each task; some y2 are holes; n is a count."""
    rng, found = np.random.default_rng(seed), []
    for t in tasks:
        w = np.random.default_rng(t).standard_normal((2, 2))
        for _ in range(each):
            x = np.round(rng.standard_normal(2) + 3 * np.array([np.cos(t), np.sin(t)]), 4)
            y = np.round(x @ w * (1, 100) + (0, 5000), 3)
            found.append([f"t{t:02}", *x, y[0], "" if rng.random() < 0.2 else y[1], rng.poisson(3)])
    rng.shuffle(found)
    return found


def write(path, found, without=()):
    names = ["assay", "a", "b", "y1", "y2", "n"]
    keep = [i for i, n in enumerate(names) if n not in without]
    path.write_text("".join(",".join(map(str, (row[i] for i in keep))) + "\n" for row in [names, *found]))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    write(root / "train.csv", rows(range(10), 12, 1), without=["n"])
    write(root / "support.csv", rows(range(20, 24), 6, 2), without=["n"])
    write(root / "query.csv", rows(range(20, 24), 5, 3), without=["n"])
    write(root / "asked.csv", rows(range(20, 24), 5, 3), without=["n", "y1", "y2"])
    for name, (data, stage) in RUNS.items():
        write(root / "train.csv", rows(range(10), 12, 1), without=["n"] if name not in ("count", "weighted") else [])
        (root / f"{name}.conf").write_text(CONFIGURATION.format(name=name, data=data, stage=stage))
        cli.done("train", root / f"{name}.conf", "--data-root", root, cwd=root)
    (root / "train.csv").rename(root / "gone.csv")
    return root


def test_predictions_are_those_of_the_evaluation(place):
    """Each task as `gradient` adapts it, which does so as evaluation; in the units of the targets."""
    checkpoint = max((place / "tasks").glob("*.safetensors"))
    constants = safetensors_io.load(checkpoint)
    head, found = table(place, "tasks", "--support", "support.csv", "--query", "query.csv")
    assert head == ["file", "task", "y1", "y2"] and [r[0] for r in found] == [f"query.csv:{i}" for i in range(1, 21)]
    said = {r[0]: np.array(r[2:], float) for r in found}
    number = lambda v: float(v) if v != "" else np.nan
    for name in ("t20", "t23"):
        task = {}
        for part, path, seed, each in (("support", "support.csv", 2, 6), ("query", "query.csv", 3, 5)):
            mine = [r for r in rows(range(20, 24), each, seed) if r[0] == name]
            task[f"{part}.x"] = np.array([r[1:3] for r in mine], float).reshape(-1, 2, 1, 1)
            task[f"{part}.y"] = np.array([[number(v) for v in r[3:5]] for r in mine])
        safetensors_io.save(place / "task.safetensors", task)
        cli.done("gradient", place / "tasks.conf", "--params", checkpoint, "--task", place / "task.safetensors", "--out",
                 place / "g.safetensors", "--data-root", place, "--set", "data.all.path=gone.csv",
                 "--set", "data.all.inputs=a,b", cwd=place)
        y = safetensors_io.load(place / "g.safetensors")["logits"].astype(float)
        y = y * constants["targets.deviation"] + constants["targets.mean"]
        at = [f"query.csv:{i + 1}" for i, r in enumerate(rows(range(20, 24), 5, 3)) if r[0] == name]
        assert np.allclose([said[k] for k in at], y, rtol=1e-6, atol=1e-6)


def test_targets_need_not_be_known(place):
    """The same predictions of a table without its targets, by one thread or three; they are only compared if known."""
    words = ["--support", "support.csv", "--threads"]
    head, known = table(place, "tasks", *words, "1", "--query", "query.csv")
    other, asked = table(place, "tasks", *words, "3", "--query", "asked.csv")
    assert head == other and [r[1:] for r in known] == [r[1:] for r in asked]
    lines = [json.loads(x) for x in predict(place, "tasks", *words, "2", "--query", "query.csv", "--json").out.splitlines()]
    errors = [(x["predictions"][k] - x["targets"][k]) ** 2 for k in ("y1", "y2") for x in lines[:-1] if x["targets"][k] is not None]
    n = sum(x["targets"]["y1"] is not None for x in lines[:-1])
    assert lines[-1] == {"queries": 20, "tasks": 4, "protocol": "inductive", "rmse": {
        "y1": pytest.approx(np.mean(errors[:n]) ** 0.5, rel=1e-5), "y2": pytest.approx(np.mean(errors[n:]) ** 0.5, rel=1e-5)}}
    assert len(errors) < 40
    last = predict(place, "tasks", *words, "2", "--query", "asked.csv").out.splitlines()[-1]
    assert last == "20 rows of 4 tasks, inductive"


def test_weights_of_the_support(place):
    """A row of weight 0 is as if it were not there; queries need no weights, and may have them."""
    found = rows(range(20, 24), 6, 2)
    for i, r in enumerate(found):
        r[5] = i % 2
    write(place / "all.csv", found)
    write(place / "odd.csv", found[1::2])
    write(place / "alike.csv", [[*r[:5], 1] for r in rows(range(20, 24), 5, 3)])
    tasks = {r[0] for r in found[1::2]}
    write(place / "some.csv", [r for r in rows(range(20, 24), 5, 3) if r[0] in tasks], without=["n"])
    _, p = table(place, "weighted", "--support", "all.csv", "--query", "some.csv")
    _, q = table(place, "weighted", "--support", "odd.csv", "--query", "some.csv")
    assert np.allclose([[float(v) for v in r[2:]] for r in p], [[float(v) for v in r[2:]] for r in q], rtol=1e-5)
    assert predict(place, "weighted", "--support", "all.csv", "--query", "alike.csv").rc == 0


def test_without_a_support(place):
    """A model of whole sets knows no task; quantiles are told apart; an output of counts is a rate's logarithm."""
    head, found = table(place, "joint", "--query", "asked.csv")
    assert head == ["file", "task", "y1", "y2"] and len(found) == 20
    head, found = table(place, "quantile", "--query", "asked.csv")
    assert head == ["file", "task", "y1 0.25", "y1 0.75", "y2 0.25", "y2 0.75"]
    head, found = table(place, "count", "--query", "asked.csv")
    assert head == ["file", "n"] and all(float(r[1]) > 0 for r in found)


def test_labels_of_rows(place):
    measured = cli.done("evaluate", place / "label.conf", "--checkpoint", max((place / "label").glob("*.safetensors")),
                        "--data-root", place, "--set", "data.all.path=gone.csv", "--json", cwd=place).json()
    said = predict(place, "label", "--query", "gone.csv", "--json").json()
    assert said["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-12) and said["labelled"] == 120, said
    write(place / "unlabelled.csv", rows(range(3), 4, 9), without=["assay"])
    head, found = table(place, "label", "--query", "unlabelled.csv")
    assert head[3:] == [f"t{t:02}" for t in range(10)] and found[0][0] == "unlabelled.csv:1"
    said = predict(place, "few", "--support", "support.csv", "--query", "query.csv")
    assert said.rc == 0 and "20 samples, inductive; accuracy" in said.out, said


@pytest.mark.parametrize("words,code,says", [
    (["tasks", "--query", "query.csv"], 64, "a few samples of each task: give them with --support FILE, a table"),
    (["joint", "--support", "support.csv", "--query", "query.csv"], 64, "it takes no --support"),
    (["tasks", "--support", "support.csv", "--query", "query.csv", "--save", "x"], 64, "each task adapts by itself"),
    (["tasks", "--support", "asked.csv", "--query", "query.csv"], 78, "has no column 'y1'"),
    (["tasks", "--support", "more.csv", "--query", "query.csv"], 65, "'more.csv' has rows of 1 x 3 inputs, the model takes 1 x 2"),
    (["tasks", "--support", "support.csv", "--query", "strange.csv"], 65, "task 't30' of 'strange.csv' has no row in the support"),
    (["tasks", "--support", "support.csv", "--query", "turned.csv"], 65, "'turned.csv' has other columns than training section 'all'"),
    (["tasks", "--support", "support.csv", "--query", "short.csv"], 65, "'short.csv' line 3 has 2 fields, the header has 3"),
    (["tasks", "--support", "support.csv", "--query", "none.csv"], 66, "cannot open 'none.csv'"),
])
def test_wrong_tables_are_one_sentence(place, words, code, says):
    write(place / "more.csv", rows(range(20, 24), 2, 1))
    write(place / "strange.csv", rows([30], 3, 1), without=["n"])
    (place / "turned.csv").write_text("assay,b,a\nt20,1,2\n")
    (place / "short.csv").write_text("assay,a,b\nt20,1,2\nt20,1\n")
    done = predict(place, words[0], *words[1:])
    errors = [line for line in done.err.splitlines() if line.startswith("metaloop: ")]
    assert done.rc == code and len(errors) == 1 and says in errors[0], done
