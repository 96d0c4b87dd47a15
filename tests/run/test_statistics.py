"""What evaluation normalises by: a figure depends neither on the order of a file nor on the size of a batch."""
import glob
import json
import os
import struct
import sys
import zlib

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

HEAD = """
run {{ name = "statistics"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
metrics {{ endpoint = "" }}
data sorted {{ format = "npy"  path = "sorted.npy"  labels = "sorted-y.npy" }}
data mixed {{ format = "npy"  path = "mixed.npy"  labels = "mixed-y.npy" }}
data other {{ format = "npy"  path = "other.npy"  labels = "other-y.npy" }}
model {{ type = "conv4"  filters = 4 }}
evaluate {{ batch = 16 }}
checkpoint {{ every = 1000  keep = 100 }}
stage first {{ method = "pretrain"  data = "mixed"  batch = 16  tasks = 1  rounds = 40  rate = 0.01
              evaluate = {{"sorted", "mixed"}} }}
"""
NEXT = """stage next {{ method = "METHOD"  data = "other"  batch = 16  tasks = 1  rounds = 20  rate = 0.01  MORE
              evaluate = {{"other"}} }}"""
META = """
run {{ name = "meta"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
metrics {{ endpoint = "" }}
data glyphs {{ format = "glyphs"  size = 14 }}
data chalk {{ format = "glyphs"  size = 14  style = "chalk" }}
model {{ type = "conv4"  filters = 4 }}
evaluate {{ episodes = 4 }}
stage meta {{ method = "maml"  data = "glyphs"  way = 3  shot = 1  query = 2  tasks = 2  rounds = 3 }}
stage align {{ method = "adda"  data = "glyphs"  target = {{"chalk"}}  batch = 6  tasks = 1  discriminator = {{"4"}}
              rounds = 2  rate = 0.001  evaluate = {{"chalk"}} }}
"""
N, CLASSES = 66, 3  # the last batch of 16 would hold two samples


def images(seed, shift):
    """Bars at a height that tells the class, on noise, sorted by class; `shift` moves every pixel's mean."""
    r = np.random.default_rng(seed)
    y = np.repeat(np.arange(CLASSES), N // CLASSES).astype(np.uint8)
    x = 0.2 * r.random((N, 16, 16)).astype(np.float32) + np.float32(shift)
    for i, k in enumerate(y):
        x[i, 3 + 4 * k:6 + 4 * k] += np.float32(0.5)
    return x, y


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    x, y = images(1, 0)
    order = np.random.default_rng(2).permutation(N)
    for name, pixels, labels in (("sorted", x, y), ("mixed", x[order], y[order]), ("other", *images(5, 0.3))):
        np.save(folder / f"{name}.npy", pixels)
        np.save(folder / f"{name}-y.npy", labels)
    return folder


def train(folder, root, text, *more, **how):
    os.makedirs(folder, exist_ok=True)
    cli.done("train", cli.small(folder, text), "--data-root", root, *more, **how)
    with open(folder / "run" / "metrics.jsonl") as f:
        return [json.loads(line) for line in f]


def figures(rows, stage="first"):
    """{data: (accuracy, loss)} of the stage's last evaluation."""
    return {r["data"]: (r["accuracy"], r["loss"]) for r in rows if r["kind"] == "evaluation" and r["stage"] == stage}


def newest(folder, stage):
    return safetensors_io.load(sorted(glob.glob(str(folder / "run" / f"checkpoint-{stage:02d}-*.safetensors")))[-1])


@pytest.mark.parametrize("model", ['type = "conv4"  filters = 4', 'type = "resnet12"  filters = 4',
                                   'type = "layers"  layers = {{"conv filters=4 kernel=3", "batchnorm", "relu", "flatten", "head"}}'])
def test_the_order_of_a_file_is_no_matter(model, root, tmp_path):
    text = HEAD.replace('type = "conv4"  filters = 4', model)
    rounds = "--set=stage.first.rounds=" + ("4" if "resnet" in model else "40")
    found = figures(train(tmp_path / "a", root, text, rounds))
    assert found["sorted"][0] == found["mixed"][0]
    assert abs(found["sorted"][1] - found["mixed"][1]) < 1e-6
    one = figures(train(tmp_path / "b", root, text, rounds, "--set=evaluate.batch=1"))
    assert one["sorted"][0] == found["sorted"][0] and abs(one["sorted"][1] - found["sorted"][1]) < 1e-6


def test_batch_statistics_are_those_of_drawn_batches(root, tmp_path):
    """Asked for, they are of batches in an order drawn once, of a size that training does not set."""
    ask = "--set=model.statistics=batch"
    found = figures(train(tmp_path / "a", root, HEAD, ask))
    assert abs(found["sorted"][0] - found["mixed"][0]) < 0.05 and found["sorted"][0] > 0.9
    path = glob.glob(str(tmp_path / "a" / "run" / "checkpoint-00-*.safetensors"))[-1]
    conf = str(tmp_path / "a" / "small.conf")

    def measured(*more, **how):
        return [json.loads(line) for line in cli.done(
            "evaluate", conf, ask, "--checkpoint", path, "--data-root", root, "--json", *more, **how).out.splitlines()]
    base = measured()
    assert [(b["accuracy"], round(b["loss"], 6)) for b in base] == [(a, round(l, 6)) for a, l in found.values()]
    assert measured("--set=stage.first.batch=4") == base
    assert measured(ranks=3) == base
    assert measured("--set=evaluate.batch=8") != base
    assert measured("--set=run.seed=4") != base
    # Parameters without running statistics are measured by those of batches without a word.
    assert [json.loads(line) for line in cli.done("evaluate", conf, "--checkpoint", path, "--data-root", root,
                                                  "--json").out.splitlines()] == base


def write_png(path, x):
    """8-bit grey."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in np.uint8(np.clip(x, 0, 1) * 255))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 8, 0, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_packed_images_are_measured_alike(root, tmp_path):
    """What `pack` writes is sorted by class; the figure stays."""
    x, y = np.load(root / "mixed.npy"), np.load(root / "mixed-y.npy")
    for k in range(CLASSES):
        os.makedirs(tmp_path / "tree" / f"c{k}")
    for i, k in enumerate(y):
        write_png(tmp_path / "tree" / f"c{k}" / f"{i:03d}.png", x[i])
    cli.done("pack", tmp_path / "tree", tmp_path / "packed.npy")
    made = sorted(os.path.basename(p) for p in glob.glob(str(tmp_path / "packed*")))
    parts = [f'path = "{tmp_path}/packed.npy"'] + [f'{key} = "{tmp_path}/{name}"' for name in made
                                                  for key in ("labels", "names") if key in name]
    found = figures(train(tmp_path, root, HEAD.replace('path = "sorted.npy"  labels = "sorted-y.npy"', "  ".join(parts))))
    assert found["sorted"][0] == found["mixed"][0] > 0.9


def test_few_shot_figures_stay_those_of_the_query_set(tmp_path):
    """Bits included: what is measured few-shot knows no running statistics, nor does what follows it."""
    rows = {s: train(tmp_path / s, tmp_path, META, f"--set=model.statistics={s}") for s in ("auto", "batch")}

    def told(s):
        return [{k: v for k, v in r.items() if k not in ("seconds", "seconds_left", "idle", "gflops", "communication", "run_id")}
                for r in rows[s] if r["kind"] in ("round", "evaluation", "watch")]
    assert told("auto") == told("batch")
    assert not any("running" in name for name in newest(tmp_path / "auto", 1))


@pytest.mark.parametrize("more,rounds", [("body_rate = 0", 20), ("warm_up = 20", 20)])
def test_a_frozen_body_trains_as_it_is_measured(more, rounds, root, tmp_path):
    """By the statistics that it has, which stay: the loss of training is that of evaluation."""
    text = HEAD + NEXT.replace("METHOD", "finetune").replace("MORE", more)
    rows = train(tmp_path, root, text, "--set=stage.next.batch=66", "--set=stage.next.schedule=cosine",
                 "--set=evaluate.batch=66")
    before, after = newest(tmp_path, 0), newest(tmp_path, 1)
    for name in before:
        if name.startswith(("conv", "bn")):
            assert np.array_equal(before[name], after[name]), name
    trained = [r["loss"] for r in rows if r["kind"] == "round" and r["stage"] == "next"]
    measured = figures(rows, "next")["other"]
    # The last round's step is of rate 0 (cosine), and its batch is the whole set.
    assert abs(trained[-1] - measured[1]) < 1e-5 * trained[-1]
    assert len(trained) == rounds


def test_statistics_that_nobody_estimated_are_estimated(tmp_path, root):
    """A frozen body that comes from a few-shot stage has none: they follow the batches."""
    meta = HEAD[:HEAD.index("stage first")] + """stage first {{ method = "maml"  data = "mixed"  way = 3  shot = 1  query = 2
        tasks = 2  rounds = 2  evaluate = {{"mixed"}} }}\n"""
    train(tmp_path, root, meta + NEXT.replace("METHOD", "finetune").replace("MORE", "body_rate = 0"))
    before, after = newest(tmp_path, 0), newest(tmp_path, 1)
    assert np.array_equal(before["conv1.weight"], after["conv1.weight"])
    assert "bn1.running_mean" not in before and np.abs(after["bn1.running_mean"]).max() > 0.01


@pytest.mark.parametrize("method", ["dan", "coral"])
def test_statistics_are_the_targets(method, root, tmp_path):
    """Each domain is normalised by itself in training; the model is measured on the target, so its statistics count."""
    text = HEAD + NEXT.replace("METHOD", method).replace("MORE", 'target = {{"other"}}').replace('data = "other"', 'data = "mixed"')
    train(tmp_path, root, text, "--set=stage.next.rounds=60", "--set=stage.next.rate=0")
    x = np.load(root / "other.npy").astype(np.float64)
    weight = newest(tmp_path, 1)["conv1.weight"].astype(np.float64)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    wanted = np.einsum("nhwij,oij->o", windows, weight[:, 0]) / windows[..., 0, 0].size
    found = newest(tmp_path, 1)["bn1.running_mean"]
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("more", ["body_rate = 0", "warm_up = 20", ""])
def test_derivatives_are_proved(more, root, tmp_path):
    if not os.path.exists(cli.METALOOP64):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    text = HEAD + 'data glyphs {{ format = "glyphs"  size = 16  first = 3 }}\n' + NEXT.replace("METHOD", "finetune").replace(
        "MORE", more).replace('"other"', '"glyphs"')
    out = cli.done("check", cli.small(tmp_path, text), "--gradients", "--stage", "next", "--data-root", root,
                   program=cli.METALOOP64).out
    assert out.count(": proved") == 1
