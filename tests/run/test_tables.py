"""Tables: one set in many formats, holes, tasks, time, windows, labels; and what each bad row is told."""
import glob
import gzip
import json
import os
import re
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

TASKS, EACH, D, K = 12, 9, 3, 2
CONF = """
run {{ name = "tables"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data all {{ format = "table"  path = "t.csv"  task = "task"  targets = {{"y*"}} }}
model {{ type = "mlp"  widths = {{"5"}}  activation = "tanh" }}
stage meta {{ method = "maml"  data = "all"  shot = 3  query = 4  tasks = 4  rounds = 3  inner_steps = 2  inner_rate = 0.1
             normalize = "computed"  normalize_targets = "computed"  evaluate = {{"all"}} }}
stage joint {{ method = "pretrain"  data = "all"  batch = 6  tasks = 2  rounds = 3 }}
evaluate {{ episodes = 5 }}
checkpoint {{ every = 2 }}
metrics {{ endpoint = "" }}
"""


def table():
    rng = np.random.default_rng(3)
    n = TASKS * EACH
    task = rng.permutation(np.repeat(np.arange(TASKS), EACH))
    x = (1000 + 50 * rng.standard_normal((n, D))).astype(np.float32)
    y = (rng.standard_normal((n, K)) * (1, 300)).astype(np.float32)
    y[rng.random((n, K)) < 0.25] = np.nan
    return task, x, y


def text(task, x, y, separator=",", end="\n", quote=""):
    rows = [["task", *(f"x{i}" for i in range(D)), *(f"y{i}" for i in range(K))]]
    rows += [[f"t{t:03d}", *(f"{v:.9g}" for v in a), *("" if np.isnan(v) else f"{v:.9g}" for v in b)] for t, a, b in zip(task, x, y)]
    return "".join(separator.join(quote + field + quote for field in row) + end for row in rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    task, x, y = table()
    (folder / "t.csv").write_text(text(task, x, y))
    return folder


def train(folder, conf, *more, **how):
    return cli.done("train", conf, "--json", "--data-root", folder, *more, **how)


def theta(run, stage):
    return safetensors_io.load(sorted(glob.glob(str(run / f"checkpoint-{stage:02d}-*.safetensors")))[-1])


@pytest.fixture(scope="module")
def trained(place):
    conf = cli.small(place, CONF)
    return conf, train(place, conf).json()


def test_numbers(place, trained):
    """Means and deviations of what is there, and the loss of each sample over its targets that are there, in NumPy."""
    task, x, y = table()
    t = theta(place / "run", 1)
    for name, of in (("normalize1", x), ("targets", y)):
        assert np.allclose(t[f"{name}.mean"], np.nanmean(of.astype(float), 0), rtol=1e-6)
        assert np.allclose(t[f"{name}.deviation"], np.nanstd(of.astype(float), 0), rtol=1e-6)
    z = (x - t["normalize1.mean"]) / t["normalize1.deviation"]
    out = np.tanh(z @ t["fc1.weight"].T + t["fc1.bias"]) @ t["head.weight"].T + t["head.bias"]
    error = (out - (y - t["targets.mean"]) / t["targets.deviation"]) ** 2
    there = ~np.isnan(error).all(1)
    assert 0 < (~there).sum() < len(x)
    evaluation = trained[1]["evaluation"]
    assert evaluation["loss"] == pytest.approx(np.nanmean(error[there], 1).mean(), rel=1e-4)
    assert evaluation["samples"] == there.sum()
    own = np.sqrt(np.nanmean(error, 0)) * t["targets.deviation"]  # in the units of the targets
    assert evaluation["rmse"] == pytest.approx(own.tolist(), rel=1e-4) and own[1] > 100
    z = (y - t["targets.mean"]) / t["targets.deviation"]
    assert evaluation["r2"] == pytest.approx((1 - np.nanmean(error, 0) / np.nanvar(z, 0)).tolist(), abs=1e-4)


def test_fit_within_tasks(place, trained):
    """Of few-shot tasks the spread is that about the mean of each task's queries: with one query each there is none."""
    with open(place / "run" / "metrics.jsonl") as f:
        meta = [r for r in map(json.loads, f) if r["kind"] == "evaluation" and r["stage"] == "meta"]
    assert [r["step"] for r in meta] == [0, 1, 2] and [len(r["rmse"]) for r in meta] == [0, 0, K]
    assert all(r < 1 for r in meta[-1]["r2"])
    one = cli.done("evaluate", trained[0], "--data-root", place, "--checkpoint", sorted(place.glob("run/checkpoint-00-*"))[-1], "--json",
                   "--set", "evaluate.query=1").json()
    assert one["r2"] == [None] * K and all(r > 0 for r in one["rmse"])


def test_ranks_and_resume(place, trained, tmp_path):
    conf, first = trained
    more = ["--run", tmp_path / "other"]
    train(place, conf, *more, "--set", "stage.joint.rounds=1")
    assert train(place, conf, *more, "--resume", ranks=3).json()["digest"] == first["digest"]


def test_formats(place, trained, tmp_path):
    """The same numbers in other clothes: the same parameters."""
    task, x, y = table()
    (tmp_path / "tabs.csv").write_text(text(task, x, y, "\t"))
    (tmp_path / "semi.csv").write_bytes(b"\xef\xbb\xbf" + text(task, x, y, ";", "\r\n", '"').encode())
    (tmp_path / "zip.csv.gz").write_bytes(gzip.compress(text(task, x, y).replace("\n", "\n\n").encode()))
    np.savez(tmp_path / "set.npz", inputs=x.astype(np.float64), y=y, task=task.astype(np.int32))
    for name, array in (("x", x), ("y", y.astype(">f8")), ("task", task)):
        np.save(tmp_path / f"{name}.npy", array)
    files = {"tabs.csv": None, "semi.csv": None, "zip.csv.gz": None, "set.npz": ("task", "y"), "x.npy": ("task.npy", "y.npy")}
    for name, columns in files.items():
        more = ["--set", f"data.all.path={name}", "--run", tmp_path / f"run-{name}"]
        if columns:
            more += ["--set", f"data.all.task={columns[0]}", "--set", f"data.all.targets={columns[1]}"]
        result = train(tmp_path, trained[0], *more)
        assert result.json()["digest"] == trained[1]["digest"], name
        assert ("its columns are separated by semicolons" in result.err) == (name == "semi.csv")


# ---- time and windows ----

SERIES = """
run {{ name = "series"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data meters {{ format = "table"  path = "m.csv"  task = "meter"  time = "when"  inputs = {{"a", "b"}}  targets = {{"load"}}  window = 3 }}
model {{ type = "mlp"  widths = {{"5"}}  activation = "tanh" }}
stage meta {{ method = "maml"  data = "meters"  shot = 4  query = 3  tasks = 4  rounds = 2  inner_steps = 1  inner_rate = 0.1
             normalize = "computed" }}
evaluate {{ episodes = 5 }}
metrics {{ endpoint = "" }}
"""


def test_time(tmp_path):
    """Rows are ordered by task and time, whatever their order in the file; a sample is three of them; the support is just
    before the query."""
    rng = np.random.default_rng(4)
    rows = [(m, h, *rng.standard_normal(3).astype(np.float32)) for m in range(5) for h in range(12 + m)]
    x, y, task = [], [], []
    for i, (m, h, *_) in enumerate(rows):
        if h >= 2:
            x.append([rows[i - 2 + k][2:4] for k in range(3)])
            y.append(rows[i][4])
            task.append(m)
    lines = [f"{m},2026-11-{1 + h // 6:02d}T{h % 6:02d}:30,{a:.9g},{b:.9g},{c:.9g}\n" for m, h, a, b, c in rows]
    (tmp_path / "m.csv").write_text("meter,when,a,b,load\n" + "".join(lines[i] for i in rng.permutation(len(rows))))
    conf = cli.small(tmp_path, SERIES)
    digest = train(tmp_path, conf).json()["digest"]
    for name, array in (("x", np.array(x)), ("y", y), ("task", task), ("when", np.arange(len(y)))):
        np.save(tmp_path / f"{name}.npy", array)
    keys = {"path": "x.npy", "task": "task.npy", "time": "when.npy", "inputs": "", "targets": "y.npy", "window": 1}
    more = [a for k, v in keys.items() for a in ("--set", f"data.meters.{k}={v}")]
    assert train(tmp_path, conf, "--run", tmp_path / "arrays", *more).json()["digest"] == digest
    assert "3 x 1 x 2" in cli.done("check", conf, "--data-root", tmp_path).out
    out = cli.done("check", conf, "--data-root", tmp_path, "--tasks", 40).out
    tasks = re.findall(r"slot \d+: (\d) rows ([\d ]+) -> ([\d ]+)\n", out)
    assert len(tasks) == 160
    starts = set()
    for meter, support, query in tasks:
        ids = [int(i) for i in (support + " " + query).split()]
        assert ids == list(range(ids[0], ids[0] + 7)) and ids[-1] < 10 + int(meter)
        starts.add((int(meter) + 10 - 7, ids[0]))
    assert all((last, at) in starts for last in range(3, 8) for at in (0, last))  # the first moment and the last


# ---- classes ----

FEATURES = """
run {{ name = "features"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data a {{ format = "table"  path = "f.csv"  label = "kind" }}
data b {{ format = "table"  path = "g.csv"  label = "kind"  inputs = {{"x*"}} }}
model {{ type = "mlp"  widths = {{"16"}} }}
stage first {{ method = "pretrain"  data = "a"  batch = 16  tasks = 2  rounds = 150  rate = 0.01  normalize = "computed" }}
stage again {{ method = "protonet"  data = "a"  way = 3  shot = 2  query = 3  tasks = 4  rounds = 2 }}
evaluate {{ data = {{"b"}}  episodes = 20 }}
metrics {{ endpoint = "" }}
"""


def test_labels(tmp_path):
    """Classes are names, in the order of their bytes, whatever comes first in a file; missing inputs have the mean."""
    rng, sets = np.random.default_rng(5), []
    centres = 1e6 + 3e3 * rng.standard_normal((10, 5))
    for name in "fg":
        kinds = rng.permutation(np.repeat(np.arange(10), 20))
        x = centres[kinds] + 600 * rng.standard_normal((len(kinds), 5))
        rows = ["x0,x1,x2,x3,x4,kind"] + [",".join([*(f"{v:.9g}" for v in a), f"kind {'dbcafjgieh'[k]}"]) for a, k in zip(x, kinds)]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
        sets.append((x, kinds))
    (x, kinds), (z, wanted) = sets
    nearest = kinds[((z[:, None] - x[None]) ** 2).sum(2).argmin(1)]
    assert (nearest == wanted).mean() >= 0.99  # what the features tell
    conf = cli.small(tmp_path, FEATURES)
    result = train(tmp_path, conf)
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        first = [r for r in map(json.loads, f) if r["kind"] == "evaluation" and r["stage"] == "first"]
    assert first[-1]["accuracy"] >= 0.99 and result.json()["evaluation"]["accuracy"] >= 0.99
    broken = (tmp_path / "f.csv").read_text().split("\n")
    broken[3] = "," + broken[3].split(",", 1)[1]
    (tmp_path / "f.csv").write_text("\n".join(broken))
    refused = cli.run("train", conf, "--data-root", tmp_path)
    assert refused.rc == 65 and "f.csv' line 4, column 'x0': an input is missing" in refused.err, refused
    mean = ["--set", "data.a.missing=mean"]
    refused = cli.run("check", conf, "--data-root", tmp_path, *mean, "--set", "stage.first.normalize=none")
    assert refused.rc == 78 and "missing = \"mean\", which needs normalize" in refused.err, refused
    train(tmp_path, conf, *mean, "--run", tmp_path / "holes")


# ---- weights ----

PLAIN = {'targets = {"y*"}': 'inputs = {"x*"}  targets = {"y*"}', 'normalize_targets = "computed"': 'normalize_targets = "none"'}


def weighted(task, x, y, w):
    lines = text(task, x, y).split("\n")
    return "\n".join([lines[0] + ",w"] + [f"{line},{v:g}" for line, v in zip(lines[1:], w)] + [""])


def digest(folder, name, content, *more):
    """What a run on this file comes to; `more` are keys of the data."""
    (folder / f"{name}.csv").write_text(content)
    sets = [word for key in (f"path={name}.csv", *more) for word in ("--set", f"data.all.{key}")]
    return train(folder, cli.small(folder, CONF, replace=PLAIN), "--run", folder / name, *sets).json()["digest"]


def test_weights(tmp_path):
    """Weights of 1 are none, to the bit; one of 0 is a row whose targets are missing; arrays give what columns give."""
    task, x, y = table()
    y /= (1, 300)
    w = np.random.default_rng(5).choice([0, 0.5, 1, 3], len(x)).astype(np.float32)
    gone = np.where(w[:, None] == 0, np.nan, y).astype(np.float32)
    none = digest(tmp_path, "none", text(task, x, y))
    assert digest(tmp_path, "ones", weighted(task, x, y, np.ones(len(x))), "weight=w") == none
    other = digest(tmp_path, "other", weighted(task, x, y, w), "weight=w")
    assert other != none
    assert digest(tmp_path, "zeros", weighted(task, x, y, w > 0), "weight=w") == digest(tmp_path, "gone", text(task, x, gone))
    np.savez(tmp_path / "set.npz", inputs=x, y=y, task=task, w=w)
    sets = [word for key in ("path=set.npz", "inputs=inputs", "targets=y", "weight=w") for word in ("--set", f"data.all.{key}")]
    arrays = train(tmp_path, cli.small(tmp_path, CONF, replace=PLAIN), "--run", tmp_path / "arrays", *sets).json()
    assert arrays["digest"] == other


@pytest.mark.parametrize("w, sentence", [(-1, "line 2, column 'w': '-1' is no weight: 0 or more"),
                                         (np.nan, "line 2, column 'w': 'nan' is no weight: 0 or more")])
def test_weights_refused(tmp_path, w, sentence):
    task, x, y = table()
    (tmp_path / "t.csv").write_text(weighted(task, x, y, np.where(np.arange(len(x)) == 0, w, 1)))
    result = cli.run("check", cli.small(tmp_path, CONF, replace=PLAIN), "--data-root", tmp_path, "--set", "data.all.weight=w")
    assert result.rc == 65 and sentence in result.err, result


# ---- what is refused ----

BAD = {
    "short": ("task,a,y\nt,1,2\nt,1\n", "line 3 has 2 fields, the header has 3"),
    "long": ("task,a,y\nt,1,2,3\n", "line 2 has 4 fields, the header has 3"),
    "lines": ('task,a,y\n"t\nt",1,2\n\nt,x,2\n', "line 5, column 'a': 'x' is not a number"),
    "comma": ("task;a;y\nt;1,5;2\n", "line 2, column 'a': '1,5' has a decimal comma: write a point"),
    "empty": ("task,a,y\nt,,2\n", "line 2, column 'a': an input is missing"),
    "large": ("task,a,y\nt,1e39,2\n", "line 2, column 'a': '1e39' is larger than any 32-bit float"),
    "infinity": ("task,a,y\nt,inf,2\n", "line 2, column 'a': 'inf' is not a number"),
    "task": ("task,a,y\n,1,2\n", "line 2, column 'task' is empty"),
    "quote": ('task,a,y\nt,1"2,2\n', "line 2: a quote that does not enclose a whole field"),
    "open": ('task,a,y\nt,"12,2\n', "line 2: a quote that does not enclose a whole field"),
    "twice": ("task,a,a,y\nt,1,2,3\n", "has two columns 'a'"),
    "header": ("1,2,3\n4,5,6\n", "has only numbers in its first line"),
    "nothing": ("", "t.csv' is empty"),
    "rows": ("task,a,y\n", "has no rows below its header"),
    "utf16": ("task,a,y\n".encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
    "field": ("task,a,y\nt," + 2 ** 21 * "1" + ",2\n", "line 2: a field of more than 1048576 bytes"),
    "few": ("task,a,y\n" + 8 * "t,1,2\n" + 2 * "u,1,2\n" + "v,1,2\n",
            "task 'u' of data 'all' has 2 samples, shot + query needs 7, and 1 more has too few: data.all.least = 7 leaves out such"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(tmp_path, name):
    content, sentence = BAD[name]
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    result = cli.run("check", cli.small(tmp_path, CONF), "--data-root", tmp_path)
    assert result.rc == (78 if name == "few" else 65) and sentence in result.err, result


KEYS = [
    ("targets=z", "targets: '{}/t.csv' has no column 'z'"),
    ("inputs=x1,y0", "column 'y0' cannot be an input and a target"),
    ("inputs=x1,x1", "column 'x1' cannot be an input and another input"),
    ("task=tusk", "has no column 'tusk', did you mean 'task'?"),
    ("label=y1", "'task' and 'label' exclude each other"),
    ("resize=3", "format 'table' does not use the key 'resize'"),
    ("least=10", "no class has 10 samples, which the key 'least' asks for"),
    ("window=50", "has no task of 50 rows, which the key 'window' asks for"),
]


@pytest.mark.parametrize("key, sentence", KEYS)
def test_keys_refused(place, trained, key, sentence):
    result = cli.run("check", trained[0], "--data-root", place, "--set", f"data.all.{key}")
    assert result.rc in (65, 78) and sentence.format(place) in result.err, result


def test_other_columns(place, trained, tmp_path):
    """A set with other columns, though as many, is not measured by a network that knows these."""
    (tmp_path / "t.csv").write_text((place / "t.csv").read_text())
    (tmp_path / "u.csv").write_text((place / "t.csv").read_text().replace("x0,x1", "x1,x0", 1))
    conf = cli.small(tmp_path, CONF.replace("data all", 'data other {{ format = "table"  path = "u.csv"  task = "task"  targets = {{"y*"}} }}\ndata all'))
    result = cli.run("check", conf, "--data-root", tmp_path, "--set", "stage.meta.evaluate=other")
    assert result.rc == 78 and "'other' has other columns than 'all'" in result.err, result
    cli.done("check", conf, "--data-root", tmp_path, "--set", "stage.meta.evaluate=other", "--set", "data.other.inputs=x0,x1,x2")
