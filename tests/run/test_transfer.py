"""Stages that hand over, as a user meets them: what check prints, what is refused, what replay names."""
import glob
import json
import os
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

with open(os.path.join(cli.ROOT, "tests", "lib", "transfer.conf")) as f:
    STAGES = f.read().replace("{", "{{").replace("}", "}}").replace("runs/transfer", "{directory}")


@pytest.fixture
def conf(tmp_path):
    return cli.small(tmp_path, STAGES)


def section(out, stage):
    """The lines of `check` about one stage."""
    start = out.index(f"stage '{stage}':")
    end = out.find("\nstage '", start)
    return out[start:end if end >= 0 else None]


def test_check_tells_what_hands_over_to_what(conf):
    out = cli.done("check", conf).out
    source = section(out, "source")
    assert "hands over to:" in source
    for heir in ("'adapt' (start and anchor)", "'many' (start and anchor)", "'student' (start)"):
        assert heir in source
    assert "'student' (anchor)" in section(out, "teacher")
    assert "'next' (start and anchor)" in section(out, "student")
    assert "hands over" not in section(out, "next")


def test_check_tells_what_is_frozen(conf):
    out = cli.done("check", conf).out
    adapt = section(out, "adapt")
    assert "anchor: the frozen result of stage 'source'" in adapt and "frozen: head" in adapt
    assert "initialised: discriminator" in adapt and "discriminator (at 0.002)" in adapt
    assert "2 domain models, 2 steps each" in section(out, "many")
    assert "anchor: the frozen result of stage 'teacher'" in section(out, "student")
    after = section(out, "next")
    assert "initialised: head.weight, head.bias" in after and "warm-up of 1 round: only the head" in after
    assert "'ink' (old head)" in after


def test_stages_run_and_go_on(conf, tmp_path):
    """All of them in one run; cut anywhere and resumed, the same digest."""
    whole = cli.done("train", conf, "--json").json()["digest"]
    cut = tmp_path / "cut"
    cli.done("train", conf, "--json", "--run", cut, "--set", "checkpoint.every=1", "--set", "checkpoint.keep=100")
    files = sorted(glob.glob(str(cut / "checkpoint-*.safetensors")))
    assert len(files) >= 6  # one per stage; a save never waits for the one before it
    for keep in range(len(files) - 1, 0, -2):
        for gone in files[keep:]:
            if os.path.exists(gone):
                os.remove(gone)
        again = tmp_path / f"again{keep}"
        os.makedirs(again)
        for path in files[:keep]:
            with open(path, "rb") as f, open(again / os.path.basename(path), "wb") as g:
                g.write(f.read())
        assert cli.done("train", conf, "--json", "--run", again, "--resume").json()["digest"] == whole


@pytest.mark.parametrize("change,says", [
    (("target = {chalk}", ""), ["stage 'adapt'", "needs a target"]),
    (('stage student { method = "kd"', 'stage student { method = "kd"  target = {chalk}'), ["'target' is a key of methods", "not of 'kd'"]),
    (('anchor = "teacher"', 'anchor = "teacherr"'), ["teacherr", "did you mean 'teacher'"]),
    (('anchor = "teacher"', 'anchor = "many"'), ["a model for each target"]),
    (('start = "source"  anchor = "source"  data = "ink"  target = {chalk}', 'start = "source"  anchor = "teacher"  data = "ink"  target = {chalk}'),
     ["its model is not that of stage 'teacher'"]),
    (("evaluate = {few, ink}", "evaluate = {few, chalk}"), ["chalk", "4 classes", "distinguishes 3"]),
    (('data few { format = "glyphs"  style = "ink"  first = 3', 'data few { format = "glyphs"  style = "ink"  first = 0'),
     ["endless classes"]),
    (("target = {chalk}  batch", "target = {shalk}  batch"), ["shalk", "did you mean 'chalk'"]),
    (('method = "pretrain"  data = "ink"', 'method = "kd"  data = "ink"'), ["needs a stage before it"]),
    (('method = "pretrain"  data = "ink"', 'method = "finetune"  data = "ink"'), ["stage 'source'", "needs a stage before it"]),
    (('method = "pretrain"  data = "ink"', 'method = "lwf"  data = "ink"'), ["needs a stage before it"]),
    (('method = "pretrain"  data = "ink"', 'method = "fitnet"  data = "ink"'), ["needs a stage before it"]),
    (("discriminator = {6}  rate = 0.001  disc", 'layers = {fc9}  discriminator = {6}  rate = 0.001  disc'),
     ["no layer 'fc9'", "did you mean 'fc1'"]),
])
def test_refused(change, says, tmp_path):
    path = cli.small(tmp_path, STAGES)
    text = open(path).read()
    assert change[0] in text
    open(path, "w").write(text.replace(*change))
    result = cli.run("check", path)
    assert result.rc == 78, result
    for word in says:
        assert word in result.err, result.err


def last(run, stage):
    """The newest checkpoint of a stage."""
    return safetensors_io.load(sorted(glob.glob(str(run / f"checkpoint-{stage:02d}-*.safetensors")))[-1])


def arrays(folder, bad):
    """Two sets of three classes; one pixel of one target image is `bad`."""
    x = np.random.default_rng(1).random((2, 60, 12, 12)).astype(np.float32)
    x[1, 17, 3, 3] = bad
    for i, name in enumerate(("s", "t")):
        np.save(folder / f"{name}.npy", x[i])
        np.save(folder / f"{name}-labels.npy", (np.arange(60) % 3).astype(np.uint8))


NAN = """
run {{ name = "nan"  seed = 1  directory = "{directory}" }}
cluster {{ threads = 1  max_failed = 1 }}
data s {{ format = "npy"  path = "s.npy"  labels = "s-labels.npy" }}
data t {{ format = "npy"  path = "t.npy"  labels = "t-labels.npy" }}
data u {{ format = "npy"  path = "s.npy"  labels = "s-labels.npy"  thicken = 1 }}
model {{ type = "mlp"  widths = {{8}} }}
stage source {{ method = "pretrain"  data = "s"  batch = 16  tasks = 3  rounds = 3  evaluate = {{s}} }}
stage many {{ method = "adda"  data = "s"  target = {{t, u}}  batch = 8  steps = 3  rounds = 3  discriminator = {{6}}  guard = "off"
             evaluate = {{s}} }}
stage dan {{ method = "dan"  start = "source"  data = "s"  target = {{t}}  batch = 8  tasks = 8  rounds = 2  evaluate = {{s}} }}
"""


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_bad_target_sample_is_named(ranks, tmp_path):
    arrays(tmp_path, np.nan)
    conf, run = cli.small(tmp_path, NAN), tmp_path / "run"
    cli.done("train", conf, "--data-root", tmp_path, "--run", run, ranks=ranks)
    found = sorted(glob.glob(str(run / "task-*.bin")))
    assert {os.path.basename(p)[5:7] for p in found} == {"01", "02"}
    for path in found:
        stage, number = os.path.basename(path).split("-")[1:3]
        at = run / f"aside-{stage}-{int(number) - 1:09d}.safetensors"
        said = cli.done("replay", path, "--checkpoint", at, "--data-root", tmp_path, "--json").json()
        assert not said["finite"] and said["trace"]["kind"] == "sample"
        assert said["trace"]["sample"]["set"] == "target" and said["trace"]["sample"]["number"] == 17
        assert said["trace"]["pass"] == "forward" and said["trace"]["set"] == "target"


def test_the_other_targets_go_on(tmp_path):
    """A block whose task is set aside stays as it was; the others are as if nothing had happened."""
    def theta(bad):
        folder = tmp_path / str(bad)
        os.makedirs(folder)
        arrays(folder, bad)
        conf = cli.small(folder, NAN)
        cli.done("train", conf, "--data-root", folder, "--run", folder / "run")
        import sys
        return last(folder / "run", 1)
    well, ill = theta(0.5), theta(np.nan)
    for name in well:
        if name.startswith("u."):
            assert well[name].tobytes() == ill[name].tobytes(), name
    assert ill["t.head.weight"].tobytes() == ill["kept.00.head.weight"].tobytes()


def test_an_absurd_rate_ends_with_the_source_encoder(conf, tmp_path):
    """Stage 'many' steps by 0.3: its score without labels is below the source encoder's, which is what it ends with."""
    cli.done("train", conf, "--run", tmp_path / "run", "--set", "checkpoint.keep=100")
    source, many = last(tmp_path / "run", 0), last(tmp_path / "run", 3)
    for target in ("chalk", "thick"):
        for name in ("fc1.weight", "fc1.bias", "head.weight", "head.bias"):
            assert many[f"{target}.{name}"].tobytes() == source[name].tobytes(), name
    adapted = last(tmp_path / "run", 2)
    assert adapted["head.weight"].tobytes() == source["head.weight"].tobytes()


def test_evaluate_a_stage_of_many_models(conf, tmp_path):
    cli.done("train", conf, "--run", tmp_path / "run", "--set", "checkpoint.keep=100")
    path = sorted(glob.glob(str(tmp_path / "run" / "checkpoint-03-*.safetensors")))[-1]
    for ranks in (None, 2):
        said = cli.done("evaluate", conf, "--stage", "many", "--checkpoint", path, "--domain", "thick", "--json", ranks=ranks).json()
        assert said["data"] == "thick" and said["samples"] == 32 and 0 <= said["accuracy"] <= 1
    both = cli.done("evaluate", conf, "--stage", "many", "--checkpoint", path).out
    assert "'chalk': 32 samples" in both and "'thick': 32 samples" in both
    other = cli.run("evaluate", conf, "--stage", "many", "--checkpoint", path, "--domain", "ink")
    assert other.rc == 64 and "not measured on 'ink'" in other.err


def test_metrics_of_an_adaptation(conf, tmp_path):
    cli.done("train", conf, "--run", tmp_path / "run")
    events = [json.loads(line) for line in open(tmp_path / "run" / "metrics.jsonl")]
    watch = [e for e in events if e["kind"] == "watch"]
    assert [(e["stage"], e["target"]) for e in watch] == [("many", "chalk"), ("many", "thick")]
    assert all(0 <= e["agreement"] <= 1 for e in watch)
    inputs = [e for e in events if e["kind"] == "inputs"]
    assert [(e["source"], e["target"]) for e in inputs] == [("ink", "chalk"), ("ink", "thick")]
    rounds = [e for e in events if e["kind"] == "adaptation" and e["stage"] == "adapt"]
    assert [e["round"] for e in rounds] == [1, 2] and all(0 <= e["right_source"] <= 1 for e in rounds)
    before = [e for e in events if e["kind"] == "evaluation" and e["stage"] == "many" and e["round"] == 0]
    assert {e["data"] for e in before} == {"chalk", "thick"}


LAYERS = [f"fc{i}" for i in range(1, 13)]
MANY_LAYERS = """
run {{ name = "layers"  directory = "{directory}" }}
metrics {{ endpoint = "" }}
data d {{ format = "glyphs"  first = 5  size = 12 }}
data e {{ format = "glyphs"  first = 5  size = 12  style = "chalk" }}
model {{ type = "mlp"  widths = {{8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8}}  activation = "tanh" }}
stage align {{ method = "coral"  data = "d"  target = "e"  batch = 6  tasks = 2  rounds = 1 }}
"""


def test_many_layers_are_compared(tmp_path):
    """Twelve layers: their discrepancies add up to those of four at a time; the gradient is proved; any number of ranks."""
    conf = cli.small(tmp_path, MANY_LAYERS)

    def discrepancy(layers, **how):
        run = tmp_path / "-".join([*layers, *map(str, how.values())])
        cli.done("train", conf, "--run", run, "--set", "stage.align.layers=" + ",".join(layers), **how)
        return next(line["discrepancy"] for line in map(json.loads, open(run / "metrics.jsonl")) if line["kind"] == "adaptation")

    whole = discrepancy(LAYERS)
    assert whole == pytest.approx(sum(discrepancy(LAYERS[i:i + 4]) for i in (0, 4, 8)), rel=1e-6)
    assert discrepancy(LAYERS, ranks=3) == whole
    said = cli.done("check", "--gradients", conf, "--set", "stage.align.layers=" + ",".join(LAYERS)).out
    assert ": proved" in said, said
