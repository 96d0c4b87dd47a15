"""Transfer is the same bits on any number of ranks and threads, under any schedule, and wherever a run was cut: every
method, stages that start from or are anchored to an earlier one, blocks that travel with their tasks (design.md,
promise 2)."""
import os
import shutil

import pytest

import bits
import fault

TRANSFER = """
run {{ name = "transfer"  seed = 5  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
data outline {{ format = "glyphs"  size = 14  first = 4  style = "outline" }}
data chalk {{ format = "glyphs"  size = 14  first = 4  style = "chalk" }}
data dotted {{ format = "glyphs"  size = 14  first = 4  style = "dotted" }}
data other {{ format = "glyphs"  size = 14  first = 3  seed = 2 }}
data endless {{ format = "glyphs"  size = 14  seed = 3 }}
data wild {{ format = "glyphs"  size = 14  seed = 3  style = "outline" }}
model teacher {{ type = "mlp"  widths = {{"24", "16"}}  dropout = 20  input_dropout = 10 }}
model student {{ type = "mlp"  widths = {{"12"}}  dropout = 10 }}
model few {{ type = "conv4"  filters = 3 }}
stage source {{ method = "pretrain"  data = "ink"  model = "teacher"  batch = 8  tasks = 5  rate = 0.01  rounds = 6 }}
stage dan {{ method = "dan"  data = "ink"  model = "teacher"  target = {{"outline"}}  batch = 8  target_batch = 6
            tasks = 3  rate = 0.003  rounds = 4  weight_schedule = "rise" }}
stage coral {{ method = "coral"  data = "ink"  model = "teacher"  start = "source"  target = {{"chalk"}}  batch = 8
              tasks = 3  rate = 0.003  rounds = 4 }}
stage tune {{ method = "finetune"  data = "other"  model = "teacher"  start = "source"  batch = 8  tasks = 3
             rate = 0.003  body_rate = 0.1  warm_up = 2  rounds = 4  optimizer = "sgd"  evaluate = {{"other"}} }}
stage lwf {{ method = "lwf"  data = "other"  model = "teacher"  start = "source"  anchor = "source"  batch = 8
            tasks = 3  rate = 0.003  warm_up = 1  rounds = 4  old = {{"ink"}}  evaluate = {{"other", "ink"}} }}
stage hint {{ method = "fitnet"  data = "ink"  model = "student"  anchor = "source"  batch = 8  tasks = 3  rate = 0.003
             rounds = 3 }}
stage kd {{ method = "kd"  data = "ink"  model = "student"  start = "hint"  anchor = "source"  batch = 8  tasks = 3
           rate = 0.003  rounds = 3 }}
stage adda {{ method = "adda"  data = "ink"  model = "teacher"  start = "source"  anchor = "source"
             target = {{"outline"}}  discriminator = {{"12"}}  batch = 8  target_batch = 10  tasks = 4
             rate = 0.001  rounds = 5 }}
stage domains {{ method = "adda"  data = "ink"  model = "teacher"  start = "source"  anchor = "source"
                target = {{"outline", "chalk", "dotted"}}  discriminator = {{"12"}}  batch = 8  steps = 5  rate = 0.001
                rounds = 5  schedule = "cosine" }}
stage meta {{ method = "maml"  data = "endless"  model = "few"  start = "source"  way = 3  shot = 1  query = 2
             tasks = 4  inner_steps = 2  inner_rate = 0.1  rate = 0.01  rounds = 3 }}
stage joint {{ method = "joint"  data = "endless"  model = "few"  target = {{"wild"}}  way = 3  shot = 1  query = 2
              tasks = 4  inner_steps = 2  inner_rate = 0.1  batches = 3  batch = 6  discriminator = {{"8"}}
              rate = 0.002  rounds = 4 }}
evaluate {{ every = 2  episodes = 3 }}
checkpoint {{ every = 1  keep = 1000 }}
"""
CONV = """
run {{ name = "conv"  seed = 5  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
data outline {{ format = "glyphs"  size = 14  first = 4  style = "outline" }}
data chalk {{ format = "glyphs"  size = 14  first = 4  style = "chalk" }}
model {{ type = "conv4"  filters = 3  statistics = "running" }}
stage source {{ method = "pretrain"  data = "ink"  batch = 8  tasks = 3  rate = 0.01  rounds = 4 }}
stage dan {{ method = "dan"  data = "ink"  target = {{"outline"}}  batch = 8  tasks = 3  rate = 0.003  rounds = 3 }}
stage domains {{ method = "adda"  data = "ink"  start = "source"  anchor = "source"  target = {{"outline", "chalk"}}
                discriminator = {{"8"}}  batch = 8  steps = 4  rate = 0.001  rounds = 3  optimizer = "sgd" }}
evaluate {{ every = 0  episodes = 3 }}
"""
TEXTS = {"transfer": TRANSFER, "conv": CONV}
STAGES = {"source", "dan", "coral", "tune", "lwf", "hint", "kd", "adda", "domains", "meta", "joint"}


def train(folder, *more, text="transfer", **how):
    return bits.train(folder, TEXTS[text], *more, **how)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that no one disturbs, with a checkpoint of (nearly) every round."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def reference(whole, tmp_path_factory):
    last = [row for row in fault.metrics(whole) if row["kind"] == "end"][-1]
    return {"transfer": {**bits.digests(whole), ("end", 0): last["digest"]},
            "conv": train(tmp_path_factory.mktemp("conv"), text="conv")}


def test_every_round_of_every_method_has_its_own_digest(reference, tmp_path):
    """Digests that never changed would make every other test here pass."""
    assert {stage for stage, _ in reference["transfer"]} == STAGES | {"end"}
    found = dict(reference["transfer"])
    assert found.pop(("end", 0)) == found["joint", 4]
    assert len(set(found.values())) == len(found) == 45
    other = train(tmp_path, "--set", "run.seed=6")
    assert not set(other.values()) & set(reference["transfer"].values())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks(ranks, text, reference, tmp_path):
    assert train(tmp_path, text=text, ranks=ranks) == reference[text]


@pytest.mark.parametrize("ranks", [None, 3])
@pytest.mark.parametrize("text", TEXTS)
def test_threads(text, ranks, reference, tmp_path):
    assert train(tmp_path, "--set", "cluster.threads=2", text=text, ranks=ranks) == reference[text]


@pytest.mark.parametrize("ranks", [2, 3])
def test_static_schedule(ranks, reference, tmp_path):
    assert train(tmp_path, "--set", "cluster.schedule=static", ranks=ranks) == reference["transfer"]


def test_evaluations_more_or_fewer(tmp_path):
    """With the guard off; with it the looks are what it chooses from."""
    off = "--set", "stage.adda.guard=off", "--set", "stage.domains.guard=off"
    every = [train(tmp_path / str(n), *off, "--set", f"evaluate.every={n}") for n in (0, 1)]
    assert every[0] == every[1]
    kinds = [sum(row["kind"] == "evaluation" for row in fault.metrics(tmp_path / str(n))) for n in (0, 1)]
    assert kinds[0] < kinds[1]


def told(folder):
    """What was measured, in order, and every look at an adaptation but the last of its stage, which a run that goes on
    from there takes at the encoder that it ended with."""
    keys = "kind", "stage", "round", "data", "target", "loss", "accuracy", "score"
    return [tuple(row.get(key) for key in keys) for row in fault.metrics(folder)
            if row["kind"] == "evaluation" or (row["kind"] == "watch" and row["round"] < 5)]


def test_resume_from_every_checkpoint(whole, reference, tmp_path):
    """Within stages of each kind, between stages, at the end: every digest, and each evaluation and look once."""
    paths = bits.checkpoints(whole)
    assert {bits.place(path)[0] for path in paths} == set(range(len(STAGES)))
    for path in paths:
        folder = tmp_path / os.path.basename(path)
        bits.cut(whole, folder, path)
        assert train(folder, "--resume", ranks=3 if bits.place(path)[0] == 8 else None) == reference["transfer"], path
        assert told(folder) == told(whole), path
        shutil.rmtree(folder)


OFF = [word for change in ("adda.guard=off", "domains.guard=off", "domains.schedule=constant")
       for word in ("--set", f"stage.{change}")]


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory):
    return train(tmp_path_factory.mktemp("unguarded"), *OFF)


@pytest.mark.parametrize("ranks", [None, 3])
@pytest.mark.parametrize("index, stage", [(7, "adda"), (8, "domains"), (10, "joint")])
def test_resume_within_a_stage(index, stage, ranks, unguarded, tmp_path):
    """Two rounds of it, then on to its end: the discriminator and every block's optimizer go on where they were."""
    train(tmp_path / "short", *OFF, "--set", f"stage.{stage}.rounds=2", ranks=ranks)
    bits.cut(tmp_path / "short", tmp_path, f"checkpoint-{index:02d}-000000002.safetensors")
    assert train(tmp_path, *OFF, "--resume") == unguarded
