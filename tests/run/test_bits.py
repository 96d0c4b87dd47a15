"""The final parameters are the same bits on any number of ranks and threads, under any schedule, and
however the rounds were cut into runs (design.md, promise 2)."""
import json
import os

import pytest

import cli

SINUSOID = """
run {{ name = "sine"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data sine {{ format = "sinusoid" }}
model {{ type = "mlp"  widths = {{"20", "20"}} }}
stage meta {{ method = "maml"  data = "sine"  shot = 5  query = 5  tasks = 7  inner_steps = 2  inner_rate = 0.01
             optimizer = "sgd"  rate = 0.01  rounds = 8 }}
evaluate {{ every = 0  episodes = 6 }}
checkpoint {{ every = 4  keep = 3 }}
"""
TWO_STAGES = cli.SMALL + """
stage more {{ method = "fomaml"  data = "glyphs"  way = 3  shot = 1  query = 2  tasks = 5
             inner_steps = 2  inner_rate = 0.2  optimizer = "sgd"  rate = 0.01  clip = 1.0
             schedule = "cosine"  rounds = 6 }}
"""
TEXTS = {"glyphs": cli.SMALL, "sinusoid": SINUSOID, "two-stages": TWO_STAGES}


def train(folder, *more, text="glyphs", **how):
    """A run in a directory of its own; what it says at its end."""
    os.makedirs(folder, exist_ok=True)
    path = cli.small(folder, TEXTS[text])
    return cli.done("train", path, "--json", *more, **how).json()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The digest of each text, trained by one process with one thread."""
    return {t: train(tmp_path_factory.mktemp(t), text=t)["digest"] for t in TEXTS}


def test_digests_differ_between_runs(reference, tmp_path):
    """A digest that never changed would make every other test here pass."""
    assert len(set(reference.values())) == len(TEXTS)
    assert train(tmp_path, "--set", "run.seed=8")["digest"] != reference["glyphs"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks(ranks, text, reference, tmp_path):
    assert train(tmp_path, text=text, ranks=ranks)["digest"] == reference[text]


@pytest.mark.parametrize("ranks", [None, 3])
def test_threads(ranks, reference, tmp_path):
    assert train(tmp_path, "--set", "cluster.threads=2", ranks=ranks)["digest"] == reference["glyphs"]


@pytest.mark.parametrize("ranks", [2, 3])
def test_static_schedule(ranks, reference, tmp_path):
    assert train(tmp_path, "--set", "cluster.schedule=static", ranks=ranks)["digest"] == reference["glyphs"]


def test_audited_tasks(reference, tmp_path):
    """Every task is done twice and counts once."""
    assert train(tmp_path, "--set", "cluster.audit=1", ranks=3)["digest"] == reference["glyphs"]
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        end = [json.loads(line) for line in f][-1]
    assert end["audited"] > 0 and end["ranks_wrong"] == 0, end


def test_recomputed_activations(reference, tmp_path):
    assert train(tmp_path, "--set", "cluster.memory=0", text="two-stages")["digest"] == reference["two-stages"]


@pytest.mark.parametrize("ranks", [None, 2])
@pytest.mark.parametrize("text", ["glyphs", "sinusoid"])
def test_resume(text, ranks, reference, tmp_path):
    """Three rounds, then on to eight, on another number of ranks."""
    first = train(tmp_path, "--set", "stage.meta.rounds=3", text=text, ranks=ranks)
    assert first["digest"] != reference[text]
    assert train(tmp_path, "--resume", text=text)["digest"] == reference[text]


def test_resume_of_a_finished_run(reference, tmp_path):
    first, second = train(tmp_path), train(tmp_path, "--resume")
    assert first["digest"] == second["digest"] == reference["glyphs"]


def test_every_round_tells_its_digest(tmp_path):
    """metrics.jsonl of one rank and of three: the same digest after each round."""
    found = []
    for ranks in (None, 3):
        folder = tmp_path / str(ranks)
        train(folder, ranks=ranks)
        with open(folder / "run" / "metrics.jsonl") as f:
            rows = [json.loads(line) for line in f]
        found.append([row["digest"] for row in rows if "digest" in row])
    assert found[0] == found[1]
    assert len(set(found[0])) >= 8


def test_evaluation_does_not_depend_on_ranks(tmp_path):
    trained = train(tmp_path)["checkpoint"]
    command = "evaluate", cli.small(tmp_path), "--checkpoint", trained, "--episodes", 12, "--json"
    alone, three = cli.done(*command).json(), cli.done(*command, ranks=3).json()
    for key in ("accuracy", "ci95", "loss", "episodes"):
        assert alone[key] == three[key]
    assert alone["episodes"] == 12
