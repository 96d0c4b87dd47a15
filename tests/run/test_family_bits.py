"""Methods of the MAML family are the same bits on any number of ranks and threads, under any schedule, through kills, and
wherever a run was cut (design.md, promise 2)."""
import shutil
import signal

import pytest

import bits
import cli
import fault
import supervised

HEAD = """
run {{ name = "family"  seed = 5  directory = "{directory}" }}
cluster {{ threads = 1  lease = 2 }}
data glyphs {{ format = "glyphs"  size = 16 }}
model {{ type = "conv4"  filters = 4 }}
"""
STAGES = {
    "anil": "inner_steps = 3  inner_rate = 0.4",
    "metasgd": "inner_steps = 2",
    "reptile": 'inner_steps = 5  inner_rate = 0.01  inner_optimizer = "adam"  inner_batch = 4',
    "protonet": "evaluate_way = 4",
    "imaml": "inner_steps = 4  inner_rate = 0.1  lambda = 2.0  cg_steps = 3",
}
ROUNDS, LONG = 4, 150


def text_of(*methods, rounds=ROUNDS, every=1):
    stages = "".join(f'stage {m} {{{{ method = "{m}"  data = "glyphs"  way = 3  shot = 2  query = 2  tasks = 5  '
                     f'rate = 0.01  rounds = {rounds}\n  {STAGES[m]} }}}}\n' for m in methods)
    return HEAD + stages + f"evaluate {{{{ every = 2  episodes = 3 }}}}\ncheckpoint {{{{ every = {every}  keep = 1000 }}}}\n"


WHOLE = text_of(*STAGES)
TEXTS = {"batch": WHOLE, "running": WHOLE.replace("filters = 4", 'filters = 4  statistics = "running"')}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that no one disturbs, with a checkpoint of (nearly) every round, and its digests."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, bits.train(folder, TEXTS["batch"])


@pytest.fixture(scope="module")
def reference(whole, tmp_path_factory):
    return {"batch": whole[1], "running": bits.train(tmp_path_factory.mktemp("running"), TEXTS["running"])}


def test_every_round_of_every_method_has_its_own_digest(reference, tmp_path):
    """Digests that never changed would make every other test here pass."""
    assert {stage for stage, _ in reference["batch"]} == {*STAGES, "end"}
    found = dict(reference["batch"])
    assert found.pop(("end", 0)) == found["imaml", ROUNDS]
    assert len(set(found.values())) == len(found) == len(STAGES) * ROUNDS
    other = bits.train(tmp_path, WHOLE, "--set", "run.seed=6")
    assert not set(other.values()) & set(reference["batch"].values())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks(ranks, text, reference, tmp_path):
    assert bits.train(tmp_path, TEXTS[text], ranks=ranks) == reference[text]


@pytest.mark.parametrize("ranks", [None, 3])
@pytest.mark.parametrize("text", TEXTS)
def test_threads(text, ranks, reference, tmp_path):
    assert bits.train(tmp_path, TEXTS[text], "--set", "cluster.threads=2", ranks=ranks) == reference[text]


@pytest.mark.parametrize("ranks", [2, 3])
def test_static_schedule(ranks, reference, tmp_path):
    assert bits.train(tmp_path, WHOLE, "--set", "cluster.schedule=static", ranks=ranks) == reference["batch"]


def test_recomputed_activations(reference, tmp_path):
    assert bits.train(tmp_path, WHOLE, "--set", "cluster.memory=0") == reference["batch"]


def test_evaluations_more_or_fewer(reference, tmp_path):
    assert bits.train(tmp_path, WHOLE, "--set", "evaluate.every=0") == reference["batch"]


def test_resume_from_every_checkpoint(whole, tmp_path):
    """Within stages of each method, between stages, at the end."""
    folder, digests = whole
    paths = bits.checkpoints(folder)
    assert {bits.place(path)[0] for path in paths} == set(range(len(STAGES)))
    for path in paths:
        copy = tmp_path / "-".join(map(str, bits.place(path)))
        bits.cut(folder, copy, path)
        assert bits.train(copy, WHOLE, "--resume", ranks=3 if bits.place(path)[1] == 2 else None) == digests, path
        shutil.rmtree(copy)


# ---- kills ----

LONG_TEXT = text_of(*STAGES, rounds=LONG, every=10)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The digests of a longer run, trained by one process."""
    return bits.train(tmp_path_factory.mktemp("long"), LONG_TEXT)


def start(folder, ranks, env, *more):
    path = cli.small(folder, LONG_TEXT)
    return fault.Job(["mpirun", "-n", ranks, cli.METALOOP, "train", path, "--json", "--quiet", *more], env=env)


def test_workers_killed(undisturbed, tmp_path):
    """One in the stage of each method."""
    job = start(tmp_path, 2 + len(STAGES), fault.RECOVERY)
    for rank, method in enumerate(STAGES, 1):
        fault.await_round(job, tmp_path, 5, stage=method)
        assert job.send(rank, signal.SIGKILL), method
    result = job.wait()
    assert result.rc == 0 and result.json()["digest"] == undisturbed["end", 0], result
    assert bits.digests(tmp_path).items() <= undisturbed.items()
    for method in STAGES:
        fault.check_rounds(tmp_path, LONG, 5, stage=method)


def test_rank_0_killed(undisturbed, tmp_path):
    """In the stage of each method; on from the last checkpoint, on another number of ranks."""
    for i, method in enumerate(STAGES):
        job = start(tmp_path, 2 + i % 2, {}, *(["--resume"] if i else []))
        fault.await_round(job, tmp_path, 12, stage=method)
        assert supervised.wait_for(lambda: job.send(0, signal.SIGKILL)), method  # rows of the attempt before may be there first
        assert job.wait().rc != 0
    assert fault.round_of(tmp_path, "imaml") < LONG
    result = cli.done("train", tmp_path / "small.conf", "--resume", "--json", "--quiet")
    assert result.json()["digest"] == undisturbed["end", 0]
    assert bits.digests(tmp_path) == {k: v for k, v in undisturbed.items() if k != ("end", 0)}
