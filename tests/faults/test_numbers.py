"""A task that is not finite, or too large for the exact sum, is set aside: the run goes on, the task is a file,
and `metaloop replay` names where it begins (docs/failed-tasks.md)."""
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

BAD = 12  # of the images: sample 2 of class 2
ROUNDS, TASKS = 8, 6
SINE = """
run {{ name = "sine"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data sine {{ format = "sinusoid" }}
data calm {{ format = "sinusoid" }}
data wild {{ format = "sinusoid"  amplitude_min = 90000  amplitude_max = 90001 }}
model {{ type = "mlp"  widths = {{"8", "8"}} }}
stage meta {{ method = "maml"  data = "sine"  shot = 5  query = 5  tasks = 7  inner_steps = 6  inner_rate = 0.01
             optimizer = "sgd"  rate = 0.001  rounds = 4 }}
evaluate {{ every = 0  episodes = 6  steps = 2 }}
checkpoint {{ every = 4  keep = 3 }}
"""


def images(path, bad=float("nan"), kind=np.float32):
    """Six classes of five images; one pixel of one image is `bad`."""
    x = np.random.default_rng(1).random((30, 14, 14)).astype(kind)
    x[BAD, 3, 4] = bad
    np.savez(path, images=x, labels=np.arange(6, dtype=np.uint16).repeat(5))


def with_npz(folder, more=""):
    images(folder / "set.npz")
    return cli.small(folder, replace={'format = "glyphs"  size = 14': f'format = "npz"  path = "set.npz"  {more}',
                                      "inner_steps = 1": "inner_steps = 2"})


def train(conf, run, *more, how=cli.done, **kw):
    return how("train", conf, "--run", run, "--data-root", run.parent, "--json", *more, **kw)


def lines(run, kind):
    with open(run / "metrics.jsonl") as f:
        return [o for o in map(json.loads, f) if o["kind"] == kind]


def names(run, pattern="*.bin"):
    return sorted(os.path.basename(p) for p in glob.glob(str(run / pattern)))


def ids(path):
    """What `inspect` prints of a task file: numbers by word, and the task's slot."""
    out = cli.done("inspect", path, "--all").out
    found = {w: [int(n) for n in re.search(rf"^ *{w}((?: \d+)*)$", out, re.M)[1].split()]
             for w in ("classes", "support", "queries")}
    return found, int(re.search(r"slot (\d+)", out)[1]), int(re.search(r"round (\d+)", out)[1])


def holds_bad(path):
    """Whether the task draws the bad image, and its part and place there."""
    found, _, _ = ids(path)
    for part in "support", "queries":
        each = len(found[part]) // len(found["classes"])
        for i, sample in enumerate(found[part]):
            if found["classes"][i // each] == BAD // 5 and sample == BAD % 5:
                return {"support": "support", "queries": "query"}[part], i
    return None


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """(round, slot) of every task that draws the bad image, from the task files that `check` writes."""
    folder = tmp_path_factory.mktemp("expected")
    conf = with_npz(folder)
    cli.done("check", conf, "--data-root", folder, "--tasks", ROUNDS, "--out", folder / "tasks")
    paths = sorted(glob.glob(str(folder / "tasks" / "*.bin")))
    assert len(paths) == ROUNDS * TASKS
    return {ids(p)[:0:-1]: holds_bad(p) for p in paths if holds_bad(p)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run over the bad image, alone."""
    folder = tmp_path_factory.mktemp("planted")
    conf = with_npz(folder)
    return conf, folder / "run", train(conf, folder / "run")


def parameters_of(run, name):
    """The file beside a task's."""
    return run / ("aside-00-%09d.safetensors" % (int(name[8:17]) - 1))


def replay(task, parameters, root):
    return cli.done("replay", task, "--checkpoint", parameters, "--data-root", root, "--json").json()


def test_planted_run_finishes(planted, expected):
    _, run, result = planted
    assert result.json()["rounds"] == ROUNDS
    rounds = lines(run, "round")
    assert [r["failed"] for r in rounds] == [sum(k[0] == r + 1 for k in expected) for r in range(ROUNDS)]
    assert all(r["tasks"] + r["failed"] == TASKS for r in rounds)
    assert 0 < len(expected) <= 20
    assert names(run, "task-*") == sorted("task-00-%09d-%06d.bin" % key for key in expected)
    assert len(names(run, "episode-*")) == result.json()["evaluation"]["failed"] > 0


def test_planted_run_on_more_ranks(planted, tmp_path):
    conf, run, result = planted
    images(tmp_path / "set.npz")
    for ranks, more in ((2, []), (3, []), (5, ["--set", "cluster.threads=2"])):
        other = train(conf, tmp_path / f"run{ranks}", *more, ranks=ranks)
        assert other.json()["digest"] == result.json()["digest"]
        assert names(tmp_path / f"run{ranks}") == names(run)
        for a, b in zip(lines(run, "failed"), lines(tmp_path / f"run{ranks}", "failed")):
            assert (a["round"], a["purpose"], a["slots"]) == (b["round"], b["purpose"], b["slots"])


def test_failed_events(planted, expected):
    _, run, _ = planted
    events = [e for e in lines(run, "failed") if e["purpose"] == "train"]
    assert {(e["round"], int(s)) for e in events for s in e["slots"].split()} == set(expected)
    for e in events:
        assert e["failed"] == len(e["slots"].split()) and e["error"] == ""
        assert os.path.exists(e["file"]) and os.path.exists(e["parameters"])


def test_replay_names_the_image(planted, expected):
    _, run, _ = planted
    for (round_, slot), (part, position) in expected.items():
        said = replay(run / ("task-00-%09d-%06d.bin" % (round_, slot)),
                      run / ("aside-00-%09d.safetensors" % (round_ - 1)), run.parent)
        trace = said["trace"]
        assert (said["finite"], said["round"], said["slot"]) == (False, round_, slot)
        assert trace["kind"] == "sample"
        assert (trace["sample"]["class"], trace["sample"]["sample"]) == (BAD // 5, BAD % 5)
        assert (trace["sample"]["set"], trace["sample"]["position"]) == (part, position)
        assert (trace["layer"], trace["pass"], trace["set"]) == ("conv1", "forward", part)
        assert trace["step"] == (0 if part == "support" else 2)


def test_replay_of_an_episode(planted):
    _, run, _ = planted
    for name in names(run, "episode-*"):
        part, position = holds_bad(run / name)
        said = replay(run / name, run / f"aside-00-{ROUNDS:09d}.safetensors", run.parent)
        assert said["purpose"] == "evaluate" and said["finite"] is False
        assert (said["trace"]["sample"]["set"], said["trace"]["sample"]["position"]) == (part, position)
        assert said["trace"]["step"] == 0 and said["trace"]["layer"] == "conv1"


def test_command_that_is_told(planted):
    """What the run prints can be typed."""
    _, run, result = planted
    commands = re.findall(r"^    metaloop (replay .*)$", result.err, re.M)
    assert 1 <= len(commands) <= 3
    for command in commands:
        args = [a.strip("'") for a in command.split()]
        said = cli.done(*args)
        assert "conv1" in said.out and "sample 2 of class '2'" in said.out


def test_replay_of_a_finite_task(planted, expected, tmp_path):
    """The same numbers as in training if a round is one task."""
    conf, _, _ = planted
    images(tmp_path / "set.npz")
    one = ["--set", "stage.meta.tasks=1"]
    finite = [r for r in range(1, 9) if (r, 0) not in expected]
    last = next(r for r in range(1, 9) if r not in finite) - 1
    if last < 2:
        one += ["--set", "run.seed=2"]
        last = 3
    cli.done("check", conf, "--data-root", tmp_path, "--tasks", last, "--out", tmp_path / "tasks", *one)
    train(conf, tmp_path / "run", *one, "--set", f"stage.meta.rounds={last}", "--set", "checkpoint.every=1",
          "--set", "checkpoint.keep=99")
    for r in lines(tmp_path / "run", "round")[1:]:
        said = replay(tmp_path / "tasks" / ("task-%06d-0000.bin" % r["round"]),
                      tmp_path / "run" / ("checkpoint-00-%09d.safetensors" % (r["round"] - 1)), tmp_path)
        assert said["finite"] is True and "trace" not in said
        for key in "support_loss", "loss", "accuracy", "gradient_norm":
            assert said[key] == pytest.approx(r[key], rel=3e-9), key


def test_resumed_run_records_the_same(planted, tmp_path):
    conf, run, result = planted
    images(tmp_path / "set.npz")
    other = tmp_path / "run"
    train(conf, other, "--set", "stage.meta.rounds=4")
    assert train(conf, other, "--resume", ranks=2).json()["digest"] == result.json()["digest"]
    assert names(other) == names(run)

    def keys(where):
        return [(e["round"], e["slots"]) for e in lines(where, "failed") if e["purpose"] == "train"]
    assert keys(other) == keys(run)


def test_overwritten_run_keeps_nothing(planted, tmp_path):
    """But what is not the run's own."""
    conf, _, _ = planted
    images(tmp_path / "set.npz")
    train(conf, tmp_path / "run")
    (tmp_path / "run" / "task-000001-0000.bin").write_text("what `check --out` may have put here")
    images(tmp_path / "set.npz", bad=0.5)
    train(conf, tmp_path / "run", "--overwrite")
    assert names(tmp_path / "run") == ["task-000001-0000.bin"]
    assert names(tmp_path / "run", "aside-*") == [] and lines(tmp_path / "run", "failed") == []


@pytest.mark.parametrize("ranks", [None, 3])
def test_too_many_failed(ranks, planted, expected, tmp_path):
    """Stops before the step of the first round that is too bad; what is saved goes on once the data are mended."""
    conf, _, _ = planted
    run = tmp_path / "run"
    most = max(sum(k[0] == r for k in expected) for r in range(1, 9))
    bad = next(r for r in range(1, 9) if sum(k[0] == r for k in expected) == most)
    limit = ["--set", f"cluster.max_failed={(most - 0.5) / TASKS}"]
    assert bad > 1
    images(tmp_path / "set.npz")
    result = train(conf, run, *limit, how=cli.run, ranks=ranks)
    assert result.rc == 1, result
    slot = min(k[1] for k in expected if k[0] == bad)
    for piece in (f"{most} of {TASKS} tasks of round {bad} of stage 'meta'", "cluster.max_failed",
                  "task-00-%09d-%06d.bin" % (bad, slot), "checkpoint-00-%09d.safetensors" % (bad - 1), "--resume"):
        assert piece in result.err, piece
    assert [r["round"] for r in lines(run, "round")] == list(range(1, bad))
    before = train(conf, tmp_path / "short", "--set", f"stage.meta.rounds={bad - 1}").json()
    assert before["digest"] == lines(run, "round")[-1]["digest"]
    again = train(conf, run, *limit, "--resume", how=cli.run, ranks=ranks)
    assert again.rc == 1 and f"round {bad} " in again.err, again
    images(tmp_path / "set.npz", bad=0.5)
    other = train(conf, run, *limit, "--resume", how=cli.run, ranks=ranks)
    assert other.rc == 65 and "data 'glyphs' is not what the run" in other.err and "--other-data" in other.err, other
    done = train(conf, run, *limit, "--resume", "--other-data", ranks=ranks).json()
    before, now = (lines(run, "changed")[-1][k] for k in ("before", "now"))
    assert lines(run, "changed")[-1]["key"] == "data.glyphs" and before != now
    assert done["rounds"] == ROUNDS
    assert sum(r["failed"] for r in lines(run, "round")) == sum(k[0] < bad for k in expected)


def test_diverging_inner_loop(tmp_path):
    """Every task leaves the finite numbers in the inner loop, or the grid after it: refused, with step and layer. At
    another rate it is another run."""
    conf, run = cli.small(tmp_path, SINE), tmp_path / "run"
    result = train(conf, run, "--set", "stage.meta.inner_rate=100", "--set", "cluster.max_failed=1", how=cli.run)
    assert result.rc == 1 and "7 of 7 tasks of round 1 " in result.err, result
    assert len(names(run, "task-*")) == 7
    traces = [replay(run / name, run / "aside-00-000000000.safetensors", tmp_path)["trace"]
              for name in names(run, "task-*")]
    inner = [t for t in traces if t["kind"] == "computation"]
    assert len(inner) >= 3 and {t["kind"] for t in traces} <= {"computation", "sum"}
    for trace in inner:
        assert trace["set"] == "support" and 1 <= trace["step"] < 6
        assert trace["layer"] in ("fc1", "fc2", "head", "relu")
    other = train(conf, run, "--resume", how=cli.run)
    assert other.rc == 78 and "stage.meta.inner_rate 100 -> 0.01" in other.err, other
    assert train(conf, run, "--overwrite").json()["rounds"] == 4


def test_too_large_for_the_sum(tmp_path):
    """Amplitudes up to 6,000: some losses are beyond 2^22, most are not."""
    conf, run = cli.small(tmp_path, SINE), tmp_path / "run"
    train(conf, run, "--set", "data.sine.amplitude_max=6000", "--set", "stage.meta.inner_rate=1e-12", "--set",
          "stage.meta.rate=0", "--set", "cluster.max_failed=0.99", "--set", "stage.meta.rounds=2",
          "--set", "evaluate.data=calm")
    assert 0 < sum(r["failed"] for r in lines(run, "round")) < 14
    for name in names(run, "task-*"):
        trace = replay(run / name, parameters_of(run, name), tmp_path)["trace"]
        assert trace["kind"] == "sum" and trace["limit"] == 2 ** 22 <= abs(trace["value"])
        assert ("loss" in trace["quantity"]) != ("segment" in trace)


def test_evaluation_without_a_finite_episode(tmp_path):
    """What was trained is saved, the episodes are recorded, and a run that measures something else goes on."""
    conf, run = cli.small(tmp_path, SINE), tmp_path / "run"
    result = train(conf, run, "--set", "evaluate.data=wild", how=cli.run, ranks=3)
    assert result.rc == 1 and "none of 6 episodes" in result.err, result
    assert names(run) == ["episode-00-02-%06d.bin" % i for i in range(6)]
    assert names(run, "checkpoint-*") == ["checkpoint-00-000000004.safetensors"]
    trace = replay(run / names(run)[0], run / "aside-00-000000004.safetensors", tmp_path)["trace"]
    assert trace["kind"] == "sum" and trace["quantity"] == "the query loss"
    assert train(conf, run, "--resume").json()["rounds"] == 4


def test_parameters_that_are_not_finite(planted, tmp_path):
    """Named by segment, before any sample."""
    _, run, _ = planted
    name = names(run, "task-*")[0]
    tensors, texts = safetensors_io.load(parameters_of(run, name), with_texts=True)
    tensors["conv3.weight"][1, 2, 0, 1] = np.inf
    texts = {"configuration": texts["configuration"]}
    safetensors_io.save(tmp_path / "bad.safetensors", tensors, texts)
    trace = replay(run / name, tmp_path / "bad.safetensors", run.parent)["trace"]
    assert (trace["kind"], trace["segment"]) == ("parameters", "conv3.weight")


@pytest.mark.parametrize("bad, kind", [(2, np.float32), (-0.1, np.float32), (255, np.float64), (1e300, np.float64)])
def test_images_of_another_scale_are_refused(bad, kind, tmp_path):
    conf = with_npz(tmp_path)
    images(tmp_path / "set.npz", bad, kind)
    result = cli.run("check", conf, "--data-root", tmp_path)
    assert result.rc == 65 and "within 0 and 1" in result.err, result


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("more", ["", "resize = 10", "invert = true", 'rotations = "draw"'])
def test_any_bad_number_is_seen(bad, more, tmp_path):
    """Through resizing and turning too."""
    conf = with_npz(tmp_path, more)
    images(tmp_path / "set.npz", bad, np.float64)
    found = train(conf, tmp_path / "run", "--set", "stage.meta.rounds=4", "--set", "cluster.max_failed=0.9")
    assert sum(r["failed"] for r in lines(tmp_path / "run", "round")) > 0, found
    name = names(tmp_path / "run", "task-*")[0]
    trace = replay(tmp_path / "run" / name, parameters_of(tmp_path / "run", name), tmp_path)["trace"]
    assert trace["kind"] == "sample" and trace["sample"]["class"] == BAD // 5 and trace["sample"]["sample"] == BAD % 5
