"""launch/slurm.sbatch in a real Slurm of one node: digest, exit status, being told to end. tests/faults/soak/slurm has the requeue."""
import json

import pytest

import cli
import slurm_private
from supervised import checkpoints_of, rounds_of, wait_for


@pytest.fixture(scope="module")
def slurm():
    reason = slurm_private.why_not()
    if reason:
        pytest.skip(reason)
    with slurm_private.Slurm() as private:
        yield private


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, slurm):
    """Three at once: one that ends, one that cannot start, one that is told to end. name: (folder, job, its log)"""
    made = {}
    for name, change, args in (("whole", {}, ["--json", "--overwrite"]), ("wrong", {}, ["--set", "stage.meta.wya=3"]),
                               ("told", {"rounds = 8": "rounds = 1000000"}, [])):
        folder = tmp_path_factory.mktemp(name)
        path = cli.small(folder, replace=change)
        made[name] = folder, slurm.submit(folder / "log", "train", path, *args, options=["-n", "3"])
    wait_for(lambda: len(checkpoints_of(made["told"][0] / "run")) >= 2)
    slurm.call("scancel", "--batch", "--signal=TERM", made["told"][1])
    return {name: (folder, slurm.ends(number), (folder / "log").read_text()) for name, (folder, number) in made.items()}


def test_digest(jobs):
    folder, job, log = jobs["whole"]
    with open(folder / "run" / "manifest.json") as f:
        assert json.load(f)["ranks"] == 3
    digest = cli.done("train", folder / "small.conf", "--json", "--overwrite").json()["digest"]
    assert job["JobState"] == "COMPLETED" and json.loads(log.strip().split("\n")[-1])["digest"] == digest, log


def test_exit_status(jobs):
    _, job, log = jobs["wrong"]
    assert job["JobState"] == "FAILED" and job["ExitCode"] == "78:0" and job["Restarts"] == "0", (job, log)


def test_told_to_end_it_saves(jobs):
    """The batch script alone gets the signal; the job is not started again."""
    folder, job, log = jobs["told"]
    assert job["JobState"] == "FAILED" and job["ExitCode"] == "75:0" and job["Restarts"] == "0", (job, log)
    saved = checkpoints_of(folder / "run")[-1]
    assert f"saved as '{saved}'" in log and int(saved[-21:-12]) == rounds_of(folder / "run"), log
