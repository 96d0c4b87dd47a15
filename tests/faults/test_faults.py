"""Ranks that die or stand still in the middle of a run: the result is that of the undisturbed run, to the bit."""
import os
import signal
import time

import pytest

import cli
import fault
import supervised

ROUNDS, TASKS = 240, 16


def start(folder, ranks, *more, env=None):
    os.makedirs(folder, exist_ok=True)
    path = cli.small(folder, fault.LONG)
    return fault.Job(["mpirun", "-n", ranks, cli.METALOOP, "train", path, "--json", *more],
                     env=env or fault.RECOVERY)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return cli.done("train", cli.small(folder, fault.LONG), "--json").json()["digest"]


def finished(job, folder, digest):
    result = job.wait()
    assert not result.timed_out, result
    assert result.json()["digest"] == digest, result
    fault.check_rounds(folder, ROUNDS, TASKS)
    return result


def kinds(folder):
    return [row["what"] for row in fault.metrics(folder) if row["kind"] == "rank"]


@pytest.mark.parametrize("threads", [1, 2])
def test_killed_worker(threads, tmp_path, undisturbed):
    """Killed while it had tasks, they are done again; between two rounds, it is only missed."""
    job = start(tmp_path, 3, "--quiet", "--set", f"cluster.threads={threads}", "--set", "cluster.lease=0.7")
    fault.await_round(job, tmp_path, 20)
    assert job.send(1, signal.SIGKILL)
    result = finished(job, tmp_path, undisturbed)
    assert "rank 1 on host" in result.err
    assert {"slow", "lost"} & set(kinds(tmp_path))
    end = [row for row in fault.metrics(tmp_path) if row["kind"] == "end"]
    assert len(end) == 1 and (end[0]["tasks_again"] > 0 or "lost" in kinds(tmp_path))


def test_all_but_one_killed(tmp_path, undisturbed):
    job = start(tmp_path, 5)
    for rank in (1, 3, 4):
        fault.await_round(job, tmp_path, 15 * rank)
        assert job.send(rank, signal.SIGKILL)
    finished(job, tmp_path, undisturbed)


def test_stopped_worker_comes_back(tmp_path, undisturbed):
    """Lost, back, and at round 240 the parameters of the undisturbed run."""
    job = start(tmp_path, 3, "--set", "cluster.lease=0.5", "--set", "stage.meta.rounds=100000")
    fault.await_round(job, tmp_path, 10)
    pid = job.rank(2)
    os.kill(pid, signal.SIGSTOP)
    supervised.wait_for(lambda: "lost" in kinds(tmp_path))
    os.kill(pid, signal.SIGCONT)
    supervised.wait_for(lambda: "back" in kinds(tmp_path))
    fault.await_round(job, tmp_path, ROUNDS)
    assert job.send(0, signal.SIGTERM)
    result = job.wait()
    assert "stopped by a signal" in result.err, result
    digests = {row["round"]: row["digest"] for row in fault.metrics(tmp_path) if row["kind"] == "round"}
    assert digests[ROUNDS] == undisturbed


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1", "USR2"])
def test_signal(name, tmp_path, undisturbed):
    """A signal to rank 0: the round is finished, saved, 75; --resume on another number of ranks goes on."""
    job = start(tmp_path, 2, env={})
    fault.await_round(job, tmp_path, 30)
    at = fault.round_of(tmp_path)
    assert job.send(0, getattr(signal, f"SIG{name}"))
    result = job.wait()
    assert not result.timed_out and "stopped by a signal" in result.err, result
    assert at <= fault.round_of(tmp_path) < ROUNDS
    found = cli.done("train", tmp_path / "small.conf", "--resume", "--json", ranks=3).json()
    assert found["digest"] == undisturbed
    fault.check_rounds(tmp_path, ROUNDS, TASKS)


def test_signal_ends_the_round_it_is_in(tmp_path):
    """Rounds of a tenth of a second: after the signal at most the one at hand and, if that just ended, one more."""
    job = start(tmp_path, 3, "--set", "stage.meta.tasks=800", "--set", "stage.meta.rounds=100000", env={})
    fault.await_round(job, tmp_path, 3)
    at = fault.round_of(tmp_path)
    assert job.send(0, signal.SIGTERM)
    result = job.wait()
    assert "stopped by a signal" in result.err, result
    assert at <= fault.round_of(tmp_path) <= at + 2


def evaluations(folder):
    return [(row["round"], row["step"], row["loss"]) for row in fault.metrics(folder) if row["kind"] == "evaluation"]


def test_evaluations_after_a_resume(tmp_path):
    """Cut into three runs at its evaluations: each evaluation is there once, with the same numbers."""
    os.makedirs(tmp_path / "a")
    path = cli.small(tmp_path / "a", fault.LONG)
    small = "--set", "stage.meta.rounds=6", "--set", "evaluate.every=2", "--set", "checkpoint.every=1"
    cli.done("train", path, *small)
    os.makedirs(tmp_path / "b")
    other = cli.small(tmp_path / "b", fault.LONG)
    for rounds in (2, 4):
        cli.done("train", other, *small, "--resume", "--set", f"stage.meta.rounds={rounds}")
    cli.done("train", other, *small, "--resume")
    assert [e[:2] for e in evaluations(tmp_path / "a")] == [(r, k) for r in (2, 4, 6) for k in (0, 1)]
    assert evaluations(tmp_path / "b") == evaluations(tmp_path / "a")


def test_signal_alone(tmp_path, undisturbed):
    path = cli.small(tmp_path, fault.LONG)
    job = fault.Job([cli.METALOOP, "train", path])
    fault.await_round(job, tmp_path, 30)
    job.process.send_signal(signal.SIGTERM)
    result = job.wait()
    assert result.rc == 75, result
    assert cli.done("train", path, "--resume", "--json").json()["digest"] == undisturbed


def test_time_limit(tmp_path, undisturbed):
    """A limit that has passed already: saved before the first round, 75, and on from there."""
    path = cli.small(tmp_path, fault.LONG)
    result = cli.run("train", path, "--time-limit", "1", ranks=2)
    assert "stopped before the time limit" in result.err, result
    assert result.rc == 75, result
    later = cli.run("train", path, "--resume", env={"SLURM_JOB_END_TIME": int(time.time()) + 1})
    assert later.rc == 75 and fault.round_of(tmp_path) == 0, later
    assert cli.done("train", path, "--resume", "--json").json()["digest"] == undisturbed


def test_resume_where_nothing_is(tmp_path, undisturbed):
    path = cli.small(tmp_path, fault.LONG)
    assert cli.done("train", path, "--resume", "--json").json()["digest"] == undisturbed


def test_no_worker_left(tmp_path, undisturbed):
    """Rank 0 saves the rounds that are done and says so; --resume ends with the undisturbed digest."""
    job = start(tmp_path, 3)
    fault.await_round(job, tmp_path, 20)
    assert job.send(1, signal.SIGKILL) and job.send(2, signal.SIGKILL)
    result = job.wait()
    assert not result.timed_out and "no worker is left" in result.err, result
    assert "is saved as" in result.err
    found = cli.done("train", tmp_path / "small.conf", "--resume", "--json").json()
    assert found["digest"] == undisturbed
    fault.check_rounds(tmp_path, ROUNDS, TASKS)
