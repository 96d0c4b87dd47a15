"""Ranks that die or stand still while a run adapts: the result is that of the undisturbed run, to the bit."""
import os
import signal
import time

import pytest

import cli
import fault
import supervised


def start(folder, text, ranks, *more, env=fault.RECOVERY):
    os.makedirs(folder, exist_ok=True)
    path = cli.small(folder, fault.TRANSFER[text][0])
    return fault.Job(["mpirun", "-n", ranks, cli.METALOOP, "train", path, "--json", "--quiet", *more], env=env)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The digest of each text, trained by one process."""
    def digest(text):
        folder = tmp_path_factory.mktemp(text)
        return cli.done("train", cli.small(folder, fault.TRANSFER[text][0]), "--json").json()["digest"]
    return {text: digest(text) for text in fault.TRANSFER}


def await_middle(job, folder, text, at, rank):
    """Within a task of domains, which takes a quarter of a second; of the others within some round. The process of the
    rank, which is looked for before: rounds are faster than that."""
    fault.await_round(job, folder, 1)
    pid = job.rank(rank)
    fault.await_round(job, folder, at, stage="last")
    time.sleep(0.1 if text == "domains" else 0)
    return pid


def check(result, folder, text, digest):
    assert not result.timed_out, result
    assert result.json()["digest"] == digest[text], result
    fault.check_rounds(folder, *fault.TRANSFER[text][1:], stage="last")


def end_of(folder):
    rows = [row for row in fault.metrics(folder) if row["kind"] == "end"]
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize("text, at, threads", [("adda", 20, 1), ("domains", 1, 1), ("domains", 2, 2), ("joint", 20, 2)])
def test_killed_worker(text, at, threads, tmp_path, undisturbed):
    job = start(tmp_path, text, 3, "--set", f"cluster.threads={threads}")
    os.kill(await_middle(job, tmp_path, text, at, 1), signal.SIGKILL)
    check(job.wait(), tmp_path, text, undisturbed)
    end = end_of(tmp_path)
    assert text != "domains" or end["tasks_again"] + end["ranks_lost"] > 0


@pytest.mark.parametrize("text, at", [("adda", 10), ("domains", 1)])
def test_stopped_worker_comes_back(text, at, tmp_path, undisturbed):
    job = start(tmp_path, text, 3, "--set", "cluster.lease=0.5")
    pid = await_middle(job, tmp_path, text, at, 2)
    os.kill(pid, signal.SIGSTOP)
    supervised.wait_for(lambda: any(row.get("what") in ("lost", "slow") for row in fault.metrics(tmp_path))
                        or not job.alive())
    os.kill(pid, signal.SIGCONT)
    check(job.wait(), tmp_path, text, undisturbed)
    assert text != "domains" or end_of(tmp_path)["tasks_again"] > 0


def test_stopped_through_the_stage_before(tmp_path, undisturbed):
    """A rank that stood still when the anchor was sent gets it when it is back."""
    job = start(tmp_path, "domains", 3, "--set", "cluster.lease=0.5")
    fault.await_round(job, tmp_path, 5)
    pid = job.rank(2)
    os.kill(pid, signal.SIGSTOP)
    fault.await_round(job, tmp_path, 1, stage="last")
    os.kill(pid, signal.SIGCONT)
    check(job.wait(), tmp_path, "domains", undisturbed)


def signal_at(job, folder, at, signum):
    """Signals rank 0 at that round of the last stage. It is looked for before: rounds are faster than that."""
    fault.await_round(job, folder, 1)
    pid = job.rank(0)
    fault.await_round(job, folder, at, stage="last")
    os.kill(pid, signum)


@pytest.mark.parametrize("text, at", [("adda", 30), ("domains", 2), ("joint", 40)])
def test_rank_0_killed(text, at, tmp_path, undisturbed):
    """On from its last checkpoint, on another number of ranks."""
    job = start(tmp_path, text, 3, env={})
    signal_at(job, tmp_path, at, signal.SIGKILL)
    assert job.wait().rc != 0
    assert 0 < fault.round_of(tmp_path, "last") < fault.TRANSFER[text][1]
    check(cli.done("train", tmp_path / "small.conf", "--resume", "--json", ranks=2), tmp_path, text, undisturbed)


@pytest.mark.parametrize("text, at", [("adda", 30), ("domains", 1)])
def test_signal(text, at, tmp_path, undisturbed):
    job = start(tmp_path, text, 2, env={})
    signal_at(job, tmp_path, at, signal.SIGTERM)
    result = job.wait()
    assert "stopped by a signal" in result.err, result
    check(cli.done("train", tmp_path / "small.conf", "--resume", "--json"), tmp_path, text, undisturbed)
