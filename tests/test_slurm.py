"""launch/slurm.sbatch in a real Slurm of one node: digest, exit status, being told to end. tests/soak/slurm has the requeue."""
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


def test_digest(tmp_path, slurm):
    path = cli.small(tmp_path)
    digest = cli.done("train", path, "--json").json()["digest"]
    number = slurm.submit(tmp_path / "log", "train", path, "--json", "--overwrite", options=["-n", "3"])
    job = slurm.ends(number)
    log = (tmp_path / "log").read_text()
    assert job["JobState"] == "COMPLETED", log
    assert json.loads(log.strip().split("\n")[-1])["digest"] == digest, log
    with open(tmp_path / "run" / "manifest.json") as f:
        assert json.load(f)["ranks"] == 3


def test_exit_status(tmp_path, slurm):
    number = slurm.submit(tmp_path / "log", "train", cli.small(tmp_path), "--set", "stage.meta.wya=3")
    job = slurm.ends(number)
    assert job["JobState"] == "FAILED" and job["ExitCode"] == "78:0" and job["Restarts"] == "0", job


def test_told_to_end_it_saves(tmp_path, slurm):
    """The batch script alone gets the signal; the job is not started again."""
    path = cli.small(tmp_path, replace={"rounds = 8": "rounds = 1000000"})
    number = slurm.submit(tmp_path / "log", "train", path)
    wait_for(lambda: len(checkpoints_of(tmp_path / "run")) >= 2)
    slurm.call("scancel", "--batch", "--signal=TERM", number)
    job = slurm.ends(number)
    log = (tmp_path / "log").read_text()
    assert job["JobState"] == "FAILED" and job["ExitCode"] == "75:0" and job["Restarts"] == "0", log
    saved = checkpoints_of(tmp_path / "run")[-1]
    assert f"saved as '{saved}'" in log and int(saved[-21:-12]) == rounds_of(tmp_path / "run"), log
