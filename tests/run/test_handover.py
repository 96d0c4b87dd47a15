"""What a stage takes from the one before, that the target's labels are not read, and the guard of adaptation."""
import glob
import json
import os
import re
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import fault
import safetensors_io

HEAD = """
run {{ name = "transfer"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
data other {{ format = "glyphs"  size = 14  first = 4  seed = 2 }}
data outline {{ format = "glyphs"  size = 14  first = 4  style = "outline" }}
data inverted {{ format = "glyphs"  size = 14  first = 4  style = "inverted" }}
model {{ type = "mlp"  widths = {{"24", "16"}} }}
evaluate {{ every = 1  episodes = 4 }}
checkpoint {{ every = 1  keep = 100 }}
stage source {{ method = "pretrain"  data = "ink"  batch = 16  tasks = 4  rate = 0.01  rounds = 25
               evaluate = {{"ink"}} }}
"""
STAGES = {
    "tune": """stage next {{ method = "finetune"  data = "other"  batch = 8  tasks = 2  rate = 0.01  rounds = 3
                            warm_up = 2 }}""",
    "frozen": """stage next {{ method = "finetune"  data = "other"  batch = 8  tasks = 2  rate = 0.01  rounds = 3
                              body_rate = 0 }}""",
    "lwf": """stage next {{ method = "lwf"  data = "other"  batch = 8  tasks = 2  rate = 0.01  rounds = 3  warm_up = 2
                           old = {{"ink"}} }}""",
    "adda": """stage next {{ method = "adda"  data = "ink"  target = {{"outline"}}  batch = 8  tasks = 2  rate = 0.001
                            discriminator = {{"8"}}  rounds = 3  guard = "off" }}""",
    "domains": """stage next {{ method = "adda"  data = "ink"  target = {{"outline", "inverted"}}  batch = 8  steps = 3
                               rate = 0.001  discriminator = {{"8"}}  rounds = 3  guard = "off" }}""",
}
BODY = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
HEADS = ["head.weight", "head.bias"]


def train(folder, text, *more, **how):
    os.makedirs(folder, exist_ok=True)
    return cli.done("train", cli.small(folder, text), "--json", *more, **how)


def checkpoint(folder, stage, number):
    return str(folder / "run" / f"checkpoint-{stage:02d}-{number:09d}.safetensors")


def after(folder, name, rounds, *more):
    """The tensors after the source stage, and after so many rounds of the next one."""
    for path in glob.glob(str(folder / "run" / "*")):
        os.unlink(path)
    train(folder, HEAD + STAGES[name], "--set", f"stage.next.rounds={rounds}", *more)
    return [safetensors_io.load(checkpoint(folder, *place)) for place in ((0, 25), (1, rounds))]


def same(a, b, names, prefix=""):
    return [np.array_equal(a[n], b[prefix + n]) for n in names]


@pytest.mark.parametrize("name", ["tune", "lwf"])
def test_head_drawn_anew_body_taken(name, tmp_path):
    """During a warm-up of two rounds the body stays as it was; then it moves."""
    source, warm = after(tmp_path, name, 2)
    assert all(same(source, warm, BODY))
    still = after(tmp_path, name, 1, "--set", "stage.next.rate=0")[1]
    assert all(same(source, still, BODY))
    other = after(tmp_path, name, 1, "--set", "stage.next.rate=0", "--set", "run.seed=4")[1]
    assert not np.array_equal(still["head.weight"], other["head.weight"])
    assert not any(same(source, still, ["head.weight"])) and abs(still["head.weight"]).max() > 0
    assert not same(still, warm, ["head.weight"])[0]
    moved = after(tmp_path, name, 3)[1]
    assert not any(same(source, moved, BODY))
    if name == "lwf":
        assert all(same(source, still, HEADS, "old.")) and all(same(source, warm, HEADS, "old."))
        assert not any(same(source, after(tmp_path, name, 4)[1], HEADS, "old."))  # at first it has nothing to mend


@pytest.mark.parametrize("name", STAGES)
def test_check_says_what_train_takes(name, tmp_path):
    """What `check` does not call initialised is the stage's before, to the bit, in every model; the rest is not."""
    plan = cli.done("check", cli.small(tmp_path, HEAD + STAGES[name])).out
    anew = re.search(r"starts from stage 'source'(?:; initialised: (.*))?\n", plan)[1]
    source, still = after(tmp_path, name, 1, "--set", "stage.next.rate=0")
    prefixes = ["outline.", "inverted."] if name == "domains" else [""]
    own = {n for n in still if not n.startswith(("optimizer.", "kept."))}
    names = {n[len(prefix):] for prefix in prefixes for n in own if n.startswith(prefix)}
    taken = names - set(anew.split(", ") if anew else [])
    assert taken and (taken != names) == bool(anew)
    for n in sorted(names):
        before = n[4:] if n.startswith("old.") else n
        for prefix in prefixes:
            as_before = before in source and np.array_equal(source[before], still[prefix + n])
            assert as_before == (n in taken), prefix + n


SHAPES = """
run {{ name = "shapes"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data wide {{ format = "npy"  path = "wide.npy"  labels = "labels.npy" }}
data small {{ format = "npy"  path = "small.npy"  labels = "labels.npy" }}
model one {{ type = "mlp"  widths = {{"4"}} }}
model two {{ type = "mlp"  widths = {{"6"}} }}
stage first {{ method = "pretrain"  data = "wide"  model = "one"  batch = 4  tasks = 1  rounds = 1 }}
stage next {{ method = "pretrain"  data = "small"  model = "two"  batch = 4  tasks = 1  rounds = 1  rate = 0 }}
metrics {{ endpoint = "" }}
"""


def test_another_shape_of_equal_size_is_drawn_anew(tmp_path):
    """fc1.weight is [4, 6] in the first stage and [6, 4] in the next; head.bias is [2] in both, and goes on."""
    np.save(tmp_path / "wide.npy", np.arange(8 * 6, dtype=np.uint8).reshape(8, 2, 3) * 5)
    np.save(tmp_path / "small.npy", np.arange(8 * 4, dtype=np.uint8).reshape(8, 2, 2) * 7)
    np.save(tmp_path / "labels.npy", np.arange(8) % 2)
    root = ["--data-root", tmp_path]
    plan = cli.done("check", cli.small(tmp_path, SHAPES), *root).out
    assert "starts from stage 'first'; initialised: fc1.weight, fc1.bias, head.weight\n" in plan
    train(tmp_path, SHAPES, *root)
    first, following = (safetensors_io.load(checkpoint(tmp_path, stage, 1)) for stage in (0, 1))
    assert first["fc1.weight"].shape == (4, 6) and following["fc1.weight"].shape == (6, 4)
    assert not np.intersect1d(first["fc1.weight"], following["fc1.weight"]).size
    assert np.array_equal(first["head.bias"], following["head.bias"]) and first["head.bias"].any()


def test_frozen_body(tmp_path):
    source, tuned = after(tmp_path, "frozen", 3)
    assert all(same(source, tuned, BODY))


@pytest.mark.parametrize("name, prefixes", [("adda", [""]), ("domains", ["outline.", "inverted."])])
def test_adda_starts_as_the_source(name, prefixes, tmp_path):
    """Every encoder is the source's to the bit; after three rounds all but its head has moved, which not even decays."""
    source, still = after(tmp_path, name, 1, "--set", "stage.next.rate=0")
    for prefix in prefixes:
        assert all(same(source, still, BODY + HEADS, prefix))
    source, moved = after(tmp_path, name, 3, "--set", "stage.next.weight_decay=0.1")
    for prefix in prefixes:
        assert all(same(source, moved, HEADS, prefix))
        assert not any(same(source, moved, BODY, prefix))
        assert not any(same(moved, still, [prefix + "discriminator.fc1.weight"]))


@pytest.mark.parametrize("name", ["adda", "domains"])
def test_checkpoint_evaluates_alone(name, tmp_path):
    """What training measured at its end is measured again from the checkpoint, on any number of ranks."""
    after(tmp_path, name, 3)
    rows = [row for row in fault.metrics(tmp_path) if row["kind"] == "evaluation" and row["stage"] == "next"]
    measured = next(row for row in rows if row["round"] == 3 and row["data"] == "outline")
    for ranks in (None, 2):
        out = cli.done("evaluate", tmp_path / "small.conf", "--stage", "next", "--json", "--checkpoint",
                       checkpoint(tmp_path, 1, 3), ranks=ranks).out
        found = next(row for row in map(json.loads, out.strip().split("\n")) if row["data"] == "outline")
        assert [found[k] for k in ("loss", "accuracy")] == [measured[k] for k in ("loss", "accuracy")]


# ---- labels of the target ----

FILES = """
run {{ name = "labels"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data source {{ format = "npy"  path = "source.npy"  labels = "source-labels.npy" }}
data one {{ format = "npy"  path = "one.npy"  labels = "one-labels.npy" }}
data two {{ format = "npy"  path = "two.npy"  labels = "two-labels.npy" }}
model {{ type = "mlp"  widths = {{"16"}} }}
stage first {{ method = "pretrain"  data = "source"  batch = 8  tasks = 2  rate = 0.01  rounds = 6 }}
"""
JOINED = """
stage last {{ method = "joint"  data = "source"  target = {{"one"}}  way = 3  shot = 1  query = 2  tasks = 3
             batches = 2  batch = 8  discriminator = {{"8"}}  rate = 0.01  rounds = 4 }}
"""
ADAPT = """
stage last {{ method = "METHOD"  data = "source"  target = TARGET  batch = 8  tasks = 2  rate = 0.01  rounds = 4 MORE }}
"""
ADVERSARY = """ steps = 3  discriminator = {{"8"}}"""
LABELS = {
    "dan": FILES + ADAPT.replace("METHOD", "dan").replace("TARGET", '{{"one"}}').replace("MORE", ""),
    "coral": FILES + ADAPT.replace("METHOD", "coral").replace("TARGET", '{{"one"}}').replace("MORE", ""),
    "adda": FILES + ADAPT.replace("METHOD", "adda").replace("TARGET", '{{"one"}}').replace("MORE", ADVERSARY),
    "domains": FILES + ADAPT.replace("METHOD", "adda").replace("TARGET", '{{"one", "two"}}').replace("MORE", ADVERSARY),
    "joint": FILES.replace('"pretrain"', '"maml"  way = 3  shot = 1  query = 2') + JOINED,
}


def write_sets(folder, shift):
    """Three sets of 60 images of 4 classes; those of the targets have their labels turned on by `shift`, and mixed."""
    os.makedirs(folder, exist_ok=True)
    dice = np.random.default_rng(1)
    for i, name in enumerate(("source", "one", "two")):
        labels = dice.permutation(np.arange(60) % 4)
        images = (60 * labels[:, None, None] + dice.integers(0, 60, (60, 6, 6)) + 5 * i).astype(np.uint8)
        if shift and name != "source":
            labels = np.random.default_rng(shift).permutation(labels)
        np.save(folder / f"{name}.npy", images)
        np.save(folder / f"{name}-labels.npy", labels.astype(np.uint8))


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_the_target_are_not_read(name, tmp_path):
    """The same digest after each round, and the same looks, whatever the target's labels are; accuracies differ."""
    rows = []
    for shift in (0, 1):
        folder = tmp_path / str(shift)
        write_sets(folder, shift)
        train(folder, LABELS[name], "--set", "evaluate.every=1", "--data-root", folder)
        rows.append(fault.metrics(folder))
    for kind, key in (("round", "digest"), ("watch", "score"), ("end", "digest")):
        a, b = ([row[key] for row in found if row["kind"] == kind] for found in rows)
        assert a == b and (a or name in ("dan", "coral"))
    last = [[row for row in found if row["kind"] == "evaluation" and row["stage"] == "last"] for found in rows]
    assert [row["loss"] for row in last[0]] != [row["loss"] for row in last[1]]  # evaluation reads them


def test_labels_of_the_source_are(tmp_path):
    """That mixing labels changes a file that is read."""
    for shift in (0, 1):
        folder = tmp_path / str(shift)
        write_sets(folder, shift)
        train(folder, LABELS["dan"], "--set", "stage.first.data=one", "--data-root", folder)
    a, b = ([row["digest"] for row in fault.metrics(tmp_path / s) if row["kind"] == "round"] for s in "01")
    assert a[0] != b[0]


# ---- guard ----

GUARD = HEAD + """
stage next {{ method = "adda"  data = "ink"  target = {{"outline"}}  batch = 32  tasks = 2  rate = 0.0005
             discriminator = {{"8"}}  rounds = 6 }}
"""


def looks(folder):
    return [row for row in fault.metrics(folder) if row["kind"] == "watch"]


def accuracies(folder):
    """On the target, by round."""
    return {row["round"]: row["accuracy"] for row in fault.metrics(folder)
            if row["kind"] == "evaluation" and row["stage"] == "next" and row["data"] == "outline"}


def test_healthy_adaptation_raises_no_alarm(tmp_path):
    result = train(tmp_path, GUARD)
    assert len(looks(tmp_path)) == 6
    assert not any(row["collapsed"] or row["swapped"] for row in looks(tmp_path))
    assert "warning" not in result.err, result


@pytest.mark.parametrize("guard", ["best", "last"])
@pytest.mark.parametrize("ranks", [None, 3])
def test_absurd_rate_ends_with_the_source_encoder(ranks, guard, tmp_path):
    """It collapses, that is told, and the stage ends with what it began with, whatever the guard."""
    result = train(tmp_path, GUARD, "--set", "stage.next.rate=0.1", "--set", f"stage.next.guard={guard}", ranks=ranks)
    assert any(row["collapsed"] for row in looks(tmp_path))
    assert "collapsed onto few classes" in result.err and "ends with its best encoder" in result.err, result
    found = accuracies(tmp_path)
    assert found[0] == found[6] != found[3]
    source, last = (safetensors_io.load(checkpoint(tmp_path, *place)) for place in ((0, 25), (1, 6)))
    assert all(same(source, last, BODY + HEADS))


def test_without_guard_it_does_not(tmp_path):
    train(tmp_path, GUARD, "--set", "stage.next.rate=0.1", "--set", "stage.next.guard=off")
    assert accuracies(tmp_path)[0] != accuracies(tmp_path)[6] and not looks(tmp_path)


def test_inverted_target_is_told(tmp_path):
    told = "is one inverted, or scaled differently?"
    assert told not in train(tmp_path / "a", GUARD).err
    found = train(tmp_path / "b", GUARD, "--set", "data.outline.style=inverted").err
    assert told in found and "'ink'" in found and "'outline'" in found


def rounds(folder):
    """{round: digest of the parameters after it}"""
    return {row["round"]: row["digest"] for row in fault.metrics(folder)
            if row["kind"] == "round" and row["stage"] == "next"}


@pytest.mark.parametrize("n,guard,ends_with", [(7, "best", "best"), (7, "last", "last"), (12, "last", "best"), (12, "best", "best")])
def test_a_score_that_rises_and_falls(n, guard, ends_with, tmp_path):
    """Without an alarm: `best` ends with the round of the largest score, `last` with the last round unless that scores
    below the source encoder, and then with the best as well; the best score never falls."""
    said = train(tmp_path, GUARD, "--set", "data.outline.style=slanted", "--set", "stage.next.rate=0.004", "--set",
                 f"stage.next.rounds={n}", "--set", f"stage.next.guard={guard}", "--set", "metrics.endpoint=").json()
    found = looks(tmp_path)
    score = {row["round"]: row["score"] for row in found}
    best = max(score, key=score.get)
    assert not any(row["collapsed"] or row["swapped"] for row in found)
    assert 1 < best < n and score[best] > found[0]["score_source_only"]
    so_far = [row["score_best"] for row in found]
    assert so_far == sorted(so_far) and so_far[-1] == pytest.approx(score[best], abs=1e-9)
    assert (score[n] < found[0]["score_source_only"]) == (n == 12)
    assert said["digest"] == rounds(tmp_path)[best if ends_with == "best" else n]
