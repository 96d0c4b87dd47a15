"""launch/run: the run's own exit status, its results, and a run that goes on when rank 0, a worker or mpirun is
killed. Real mpirun, real signals; every digest is compared with that of an undisturbed run."""
import fcntl
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import termios
import time

import pytest

import cli
import fault
from supervised import RUN, Supervised, checkpoints_of, environment, first_line, identity_of, rounds_of, wait_for

ROUNDS, EVERY = 800, 25
LONG = {"rounds = 8": f"rounds = {ROUNDS}", "every = 4": f"every = {EVERY}", "threads = 1": "threads = 1  lease = 1"}
USAGE, NOINPUT, IO, CANTCREAT, STOPPED, CONFIG = 64, 66, 74, 73, 75, 78


def launch(*args, env=None, program=RUN, cwd=None):
    """launch/run ARGS to its end, with nothing of Open MPI's in the environment."""
    strangers = {k: None for k in os.environ if k.startswith(("OMPI_", "OPENBLAS_"))}
    clean = {k: None for k in cli.environment() if k.startswith(("OMPI_", "OPENBLAS_"))}
    result = cli.execute([program, *map(str, args)], {**clean, **strangers, **(env or {})}, cwd=cwd)
    assert not result.timed_out, result
    return result


@pytest.fixture
def conf(tmp_path):
    return cli.small(tmp_path)


@pytest.fixture
def long(tmp_path):
    return cli.small(tmp_path, replace=LONG)


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """Of the long run, undisturbed, in one process."""
    return cli.done("train", cli.small(tmp_path_factory.mktemp("digest"), replace=LONG), "--json").json()["digest"]


def when_saved(run):
    wait_for(lambda: len(checkpoints_of(run)) >= 2)


def finishes(run, digest):
    result = run.result()
    assert result.rc == 0 and result.json()["digest"] == digest, result
    assert result.out.count("\n") == 1, result
    return result


# ---- exit status and results ----

@pytest.mark.parametrize("args, rc, says", [
    (["-n", "3", "train", "{conf}"], 0, ""),
    (["-n", "3", "train", "{folder}/none.conf"], NOINPUT, "none.conf"),
    (["-n", "3", "train", "{conf}", "--set", "stage.meta.wya=3"], CONFIG, "'way'"),
    (["-n", "3", "train", "{conf}", "--resum"], USAGE, "'--resume'"),
    (["-n", "3", "trian", "{conf}"], USAGE, "'train'"),
])
def test_exit_status(args, rc, says, tmp_path, conf):
    result = launch(*[a.format(conf=conf, folder=tmp_path) for a in args])
    assert result.rc == rc and says in result.err and "restart" not in result.err, result


@pytest.mark.parametrize("args, says", [
    ([], "verb"), (["--ranks", "3", "train"], "--ranks"), (["-n", "x", "train", "c"], "'x'"), (["-n"], "-n"),
    (["-n", "0", "train", "c"], "'0'"), (["--max-restarts", "-1", "train", "c"], "'-1'"),
    (["--host", "a b", "train", "c"], "'a b'"), (["--host", "a", "--hostfile", RUN, "train", "c"], "--hostfile"),
])
def test_wrong_use(args, says):
    result = launch(*args)
    assert result.rc == USAGE and says in result.err and result.out == "", result


def test_help():
    result = launch("--help")
    assert result.rc == 0 and "--max-restarts" in result.out and "set -euo" not in result.out, result


def test_help_of_a_verb_comes_once():
    assert launch("-n", "3", "train", "--help").out.count("usage:") == 1


def test_missing_hostfile(tmp_path, conf):
    result = launch("--hostfile", tmp_path / "none", "train", conf)
    assert result.rc == NOINPUT and "none" in result.err, result


def test_prints_what_mpirun_prints(conf):
    plain = cli.done("train", conf, "--json", ranks=3)
    assert launch("-n", 3, "train", conf, "--json", "--overwrite").out == plain.out
    checkpoint = plain.json()["checkpoint"]
    plain = cli.done("evaluate", conf, "--checkpoint", checkpoint, ranks=3)
    result = launch("-n", 3, "evaluate", conf, "--checkpoint", checkpoint)
    assert result.rc == 0 and result.out == plain.out, result


def test_verbs_of_one_process_run_once(conf):
    def told(result):
        """Without the figures of memory that are measured, of this very process."""
        return re.sub(r"^ *(program, libraries|total|a single process:).*$", "", result.out, flags=re.M)
    assert told(launch("-n", 3, "check", conf)) == told(cli.done("check", conf))


def test_one_rank(conf):
    assert launch("-n", 1, "train", conf, "--json").json()["digest"] == \
        cli.done("train", conf, "--json", "--overwrite").json()["digest"]


def test_from_another_directory_with_blanks(tmp_path):
    """The tree, the configuration and the run, all below a folder with a blank in its name."""
    place = tmp_path / "a tree"
    (place / "launch").mkdir(parents=True)
    (place / "build").mkdir()
    shutil.copy(RUN, place / "launch")
    shutil.copytree(os.path.join(cli.ROOT, "launch", "lib"), place / "launch" / "lib")
    shutil.copy(cli.METALOOP, place / "build")
    shutil.copy(cli.METALOOP + "-session", place / "build")
    os.symlink(place / "launch" / "run", tmp_path / "start")
    path = cli.small(place)
    result = launch("-n", 2, "train", "small.conf", "--json", program=str(tmp_path / "start"), cwd=place)
    assert result.rc == 0 and result.json()["digest"] == \
        cli.done("train", path, "--json", "--overwrite").json()["digest"], result


def test_no_mpirun(tmp_path, conf):
    for tool in ("bash", "dirname", "readlink", "sed", "id", "grep", "uname", "perl"):
        os.symlink(shutil.which(tool), tmp_path / tool)
    result = launch("train", conf, env={"PATH": tmp_path})
    assert result.rc == 1 and "mpirun is not there" in result.err, result


def test_not_enough_slots(tmp_path, conf):
    (tmp_path / "hosts").write_text("localhost\n")
    result = launch("-n", 4000, "--hostfile", tmp_path / "hosts", "train", conf)
    assert result.rc == 1 and "slots" in result.err and "nothing was run" in result.err, result
    assert "restart" not in result.err, result


# ---- the status file ----

@pytest.mark.parametrize("args, rc, reason", [
    (["train", "{conf}"], 0, "done"),
    (["trian", "{conf}"], USAGE, "trian"),
])
def test_status_file(args, rc, reason, tmp_path, conf):
    cli.run(*[a.format(conf=conf) for a in args], ranks=3, env={"METALOOP_STATUS": tmp_path / "status"})
    lines = (tmp_path / "status").read_text().split("\n")
    assert lines[0] == f"exit={rc}" and lines[1].startswith("reason=") and reason in lines[1], lines
    assert lines[2:5] == ["restart=no", "lost=", "wrong="] and lines[6:] == [""]
    run_id = lines[5].removeprefix("run=")
    if rc:
        assert run_id == ""
    else:  # the same wherever it stands
        assert run_id == identity_of(tmp_path / "run") == first_line(tmp_path / "run")["run_id"]
    assert not (tmp_path / "status.new").exists()


def test_status_file_that_cannot_be_written(tmp_path, conf):
    result = cli.run("train", conf, ranks=2, env={"METALOOP_STATUS": tmp_path / "none" / "status"})
    assert result.rc == CANTCREAT and "METALOOP_STATUS" in result.err and "digest" in result.out, result


@pytest.mark.parametrize("killed", ["worker", "rank 0"])
def test_loss_under_plain_mpirun(killed, tmp_path, long):
    """With the others going on: rank 0 leaves an exit report, workers without a rank 0 end by themselves."""
    status = tmp_path / "status"
    env = cli.environment({"METALOOP_STATUS": status})
    command = ["mpirun", "--enable-recovery", "-n", "3", cli.METALOOP, "train", long, "--set", "stage.meta.rounds=1000000"]
    with subprocess.Popen(command, env=env, cwd=cli.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            when_saved(tmp_path / "run")
            victims = [p for p in cli.members(process.pid) if p != process.pid]
            for pid in victims:
                is_first = fault.environment_of(pid).get(b"OMPI_COMM_WORLD_RANK") == b"0"
                if is_first == (killed == "rank 0"):
                    os.kill(pid, signal.SIGKILL)
            process.wait(60)
        finally:
            cli.end(process)
    if killed == "rank 0":
        assert not status.exists()
        return
    said = dict(line.split("=", 1) for line in status.read_text().split("\n")[:-1])
    assert said["exit"] == "1" and said["restart"] == "yes" and said["lost"] == os.uname().nodename, said


# ---- losses ----

def test_rank_0_killed(tmp_path, long, digest):
    """In a run that was to erase the one before: only its start may do that."""
    cli.done("train", long, "--set", "stage.meta.rounds=2")
    with Supervised(tmp_path, "-n", 3, "train", long, "--json", "--overwrite") as run:
        pid, job = run.rank0()
        when_saved(tmp_path / "run")
        os.kill(pid, signal.SIGKILL)
        run.rank0(after=job)
        result = finishes(run, digest)
        assert run.exit_report()["exit"] == "0"
    assert "rank 0 was lost; restart 1 of 3" in result.err and "resuming meta at round" in result.err, result


def test_mpirun_killed(tmp_path, long, digest):
    with Supervised(tmp_path, "-n", 3, "train", long, "--json") as run:
        job = run.rank0()[1]
        when_saved(tmp_path / "run")
        os.kill(run.mpirun(), signal.SIGKILL)
        run.rank0(after=job)
        assert "resuming meta" in finishes(run, digest).err


def test_workers_killed(tmp_path, long, digest):
    with Supervised(tmp_path, "-n", 3, "train", long, "--json") as run:
        run.rank0()
        when_saved(tmp_path / "run")
        for pid in run.workers():
            os.kill(pid, signal.SIGKILL)
        finishes(run, digest)
        assert run.exit_report()["restart"] == "no"


def test_evaluation_is_measured_again(tmp_path, conf):
    """Rank 0 is lost in an evaluation: nothing is printed twice."""
    checkpoint = cli.done("train", conf, "--json").json()["checkpoint"]
    args = "evaluate", conf, "--checkpoint", checkpoint, "--episodes", 500, "--json"
    with Supervised(tmp_path, "-n", 3, *args) as run:
        pid, job = run.rank0()
        os.kill(pid, signal.SIGKILL)
        run.rank0(after=job)
        result = run.result()
    assert result.rc == 0 and "restart 1 of 3" in result.err and result.out == cli.done(*args).out, result


@pytest.mark.parametrize("how", [["--set", "cluster.max_restarts=1"], ["--max-restarts", "0"]])
def test_killed_too_often(how, tmp_path, long):
    own, theirs = (how, []) if how[0] == "--max-restarts" else ([], how)
    with Supervised(tmp_path, "-n", 2, *own, "train", long, "--set", "stage.meta.rounds=1000000", *theirs) as run:
        job = None
        for _ in range(1 + int(how[-1][-1])):
            pid, job = run.rank0(after=job)
            os.kill(pid, signal.SIGKILL)
        result = run.result()
    assert result.rc == 1 and f"given up after {how[-1][-1]} restart" in result.err and result.out == "", result


# ---- signals ----

@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_signal_saves(name, tmp_path, long, digest):
    rounds = ROUNDS if name == "SIGINT" else 1000000
    with Supervised(tmp_path, "-n", 3, "train", long, "--set", f"stage.meta.rounds={rounds}") as run:
        run.rank0()
        when_saved(tmp_path / "run")
        os.kill(run.process.pid, getattr(signal, name))
        result = run.result()
        assert result.rc == STOPPED and "saved as" in result.err, result
        assert run.exit_report()["exit"] == "75" and run.exit_report()["restart"] == "no"
    assert 0 < rounds_of(tmp_path / "run") < rounds
    if name == "SIGINT":
        assert cli.done("train", long, "--resume", "--json").json()["digest"] == digest


def test_signal_at_the_start(tmp_path, long):
    """Before any rank is there to hear it."""
    with Supervised(tmp_path, "-n", 3, "train", long, "--set", "stage.meta.rounds=1000000") as run:
        run.mpirun()
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.result().rc == STOPPED

def test_many_signals(tmp_path, long):
    """Each may come at any moment of the script; the run is saved once, and nothing stays behind."""
    with Supervised(tmp_path, "-n", 3, "train", long) as run:
        when_saved(tmp_path / "run")
        for _ in range(2000):
            if run.process.poll() is not None:
                break
            run.process.send_signal(signal.SIGUSR2)
            time.sleep(0.0007)
        result = run.result()
    assert result.rc == STOPPED and "is saved as" in result.err, result


def test_second_signal_ends_at_once(tmp_path, long):
    """Rank 0 is stopped and will never finish its round."""
    with Supervised(tmp_path, "-n", 3, "train", long, "--set", "cluster.lease=60") as run:
        pid = run.rank0()[0]
        when_saved(tmp_path / "run")
        os.kill(pid, signal.SIGSTOP)
        os.kill(run.process.pid, signal.SIGINT)
        time.sleep(0.1)
        os.kill(run.process.pid, signal.SIGINT)
        result = run.result()
        saved = os.path.exists(run.status)  # mpirun has stopped ranks continue, and gives them a second
    assert result.rc == (STOPPED if saved else 1) and "ending at once" in result.err, result


def test_control_c_at_a_terminal(tmp_path, long, digest):
    master, slave = pty.openpty()
    with Supervised(tmp_path, "-n", 3, "train", long, stdin=slave, stdout=slave, stderr=slave, start_new_session=False,
                    preexec_fn=lambda: take_terminal(slave)) as run:
        os.close(slave)
        run.rank0()
        when_saved(tmp_path / "run")
        os.write(master, b"\x03")
        text = drain(master)
        assert run.result().rc == STOPPED, text
    assert text.count("saved as") == 1, text
    assert cli.done("train", long, "--resume", "--json").json()["digest"] == digest


def take_terminal(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def drain(master):
    """All that is written to a terminal until its last user has left."""
    text = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            piece = b""
        if not piece:
            os.close(master)
            return text.decode("utf-8", "replace")
        text += piece


def test_supervisor_killed(tmp_path, long):
    """No worker is left, so the run saves and ends."""
    with Supervised(tmp_path, "-n", 3, "train", long, "--set", "stage.meta.rounds=1000000") as run:
        run.rank0()
        when_saved(tmp_path / "run")
        os.kill(run.process.pid, signal.SIGKILL)
        wait_for(lambda: os.path.exists(run.status))
        assert run.exit_report()["exit"] == "75"
        wait_for(lambda: not run.processes())


# ---- PBS, by commands that only write down how they were called ----

def script(path, text):
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def pbs(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    script(tools / "qstat", f"cat '{tmp_path}/job'")
    script(tools / "qrerun", f"echo qrerun \"$@\" >>'{tmp_path}/calls'; exit 1")
    script(tools / "qsub", f"echo qsub \"$@\" >>'{tmp_path}/calls'")
    (tmp_path / "calls").write_text("")
    return {**environment(), "PATH": f"{tools}:{os.environ['PATH']}", "PBS_JOBID": "7.here", "PBS_O_WORKDIR": str(tmp_path),
            "METALOOP_HOME": cli.ROOT}


def test_pbs_script_requeues(tmp_path, long, pbs):
    """If users may not qrerun, it submits itself; started again, it goes on and erases nothing."""
    (tmp_path / "job").write_text("    Resource_List.walltime = 00:01:45\n    run_count = 1\n")
    batch = os.path.join(cli.ROOT, "launch", "pbs.sh")
    job = {**pbs, "METALOOP_ARGS": f"-n 3 train {long} --overwrite --json --set stage.meta.rounds=1000000"}
    with Supervised(tmp_path, program=batch, env=job) as run:
        result = run.result()
    assert result.rc == STOPPED and "saved as" in result.err, result
    calls = (tmp_path / "calls").read_text()
    assert re.search(r"qrerun 7\.here\nqsub .*depend=afterany:7\.here .*METALOOP_AGAIN=1,METALOOP_JOB=7.here .*pbs\.sh", calls), calls
    reached = rounds_of(tmp_path / "run")
    mine = identity_of(tmp_path / "run")
    os.unlink(long)  # the job has what it was started with
    again = {**job, "METALOOP_AGAIN": "1", "METALOOP_JOB": "7.here", "PBS_JOBID": "8.here"}
    (tmp_path / "job").write_text("    run_count = 1\n")
    with Supervised(tmp_path, program=batch, env=again) as run:
        wait_for(lambda: rounds_of(tmp_path / "run") > reached)
        run.process.send_signal(signal.SIGTERM)
        result = run.result()
    assert result.rc == STOPPED and f"resuming meta at round {reached}" in result.err, result
    assert identity_of(tmp_path / "run") == mine
