"""The start of launch/run and what it says: launches that hang, hosts that do not answer, signals at any moment, the bar on its
terminal, Open MPI's noise, wrong options, other locales. Whatever happens, no process, shared memory or directory stays."""
import fcntl
import glob
import os
import pty
import re
import resource
import select
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time

import pytest

import cli
from supervised import RUN, Supervised, checkpoints_of, command_of, is_running, wait_for

USAGE, DATA, STOPPED = 64, 65, 75
QUICK = {"rounds = 8": "rounds = 4", "episodes = 6": "episodes = 1",
         "checkpoint": "metrics { endpoint = \"\" }\ncheckpoint"}
ENDLESS = {**QUICK, "rounds = 8": "rounds = 10000000", "threads = 1": "threads = 1  lease = 1"}


@pytest.fixture
def conf(tmp_path):
    return cli.small(tmp_path, replace=QUICK)


@pytest.fixture
def endless(tmp_path):
    return cli.small(tmp_path, replace=ENDLESS)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def marked(mark):
    """All processes with this in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"LAUNCH_MARK={mark}".encode() in f.read().split(b"\0") and is_running(int(pid)):
                    found.append((int(pid), command_of(int(pid))))
        except OSError:
            pass
    return found


class Marked(Supervised):
    """A launch/run whose every descendant is known, and which has a TMPDIR of its own: both are empty afterwards."""

    def __init__(self, folder, *args, env=None, **how):
        self.mark, self.tmp = str(folder), os.path.join(folder, "tmp")
        os.makedirs(self.tmp, exist_ok=True)
        super().__init__(folder, *args, env={"LAUNCH_MARK": self.mark, "TMPDIR": self.tmp, **(env or {})}, **how)

    def __exit__(self, *failure):
        code = self.process.poll()
        left = marked(self.mark) if code is not None else []
        super().__exit__(*failure)
        if failure[0] is None and code is not None:
            assert not left, left
            assert [p for p in glob.glob(self.tmp + "/*") if "/ompi." not in p] == []
            assert glob.glob(self.tmp + "/ompi.*/pid.*") == []


# ---- launches that hang ----

@pytest.fixture
def silent(tmp_path):
    """A hostfile with a host behind an agent that never answers."""
    (tmp_path / "hosts").write_text("localhost slots=1\nfar.invalid slots=1\n")
    agent = script(tmp_path / "agent", 'trap "" TERM; while true; do sleep 3600; done')
    return tmp_path / "hosts", {"OMPI_MCA_plm_rsh_agent": str(agent)}


def test_a_host_that_never_answers(tmp_path, conf, silent):
    start = time.monotonic()
    with Marked(tmp_path, "--hostfile", silent[0], "train", conf, "--set", "cluster.start_limit=2", env=silent[1]) as run:
        result = run.result(60)
    assert result.rc == 1 and result.out == "", result
    assert "have not started within 2 s (cluster.start_limit): host 'far.invalid' does not answer" in result.err, result
    assert "restart" not in result.err and time.monotonic() - start > 2, result


def test_a_signal_while_nobody_answers(tmp_path, conf, silent):
    with Marked(tmp_path, "--hostfile", silent[0], "train", conf, env=silent[1]) as run:
        run.mpirun()
        run.process.send_signal(signal.SIGTERM)
        result = run.result(60)
    assert result.rc == STOPPED and "stopped before there was anything to save" in result.err, result


def test_too_few_files(tmp_path, conf):
    """mpirun cannot make its pipes, and waits for ever."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
    with Marked(tmp_path, "-n", 2, "train", conf, "--set", "cluster.start_limit=2", preexec_fn=limit) as run:
        result = run.result(60)
    assert result.rc == 1 and "have not started within 2 s" in result.err, result


def test_too_little_address_space(conf):
    """OpenBLAS would try for ever to have its buffer."""
    result = cli.execute(["bash", "-c", f'ulimit -v 420000; exec {cli.METALOOP} train "{conf}"'])
    assert not result.timed_out and result.rc == 1 and "address space" in result.err and "ulimit -v" in result.err, result


def test_a_program_that_does_not_run(tmp_path, conf):
    """Not even its configuration can be read."""
    place = tmp_path / "tree"
    shutil.copytree(os.path.join(cli.ROOT, "launch"), place / "launch")
    (place / "build").mkdir()
    shutil.copy(cli.METALOOP + "-session", place / "build")
    script(place / "build" / "metaloop", 'trap "" TERM; while true; do sleep 3600; done')
    with Marked(tmp_path, "-n", 2, "train", conf, "--set", "cluster.start_limit=1",
                program=str(place / "launch" / "run")) as run:
        result = run.result(60)
    assert result.rc == 1 and "does not work" in result.err, result


@pytest.mark.parametrize("status", [1, 255])
def test_a_host_that_cannot_be_reached(status, tmp_path, conf):
    agent = script(tmp_path / "agent", f"exit {status}")
    with Marked(tmp_path, "--host", "localhost,far.invalid", "train", conf,
                env={"OMPI_MCA_plm_rsh_agent": str(agent)}) as run:
        result = run.result()
    assert result.rc == 1 and "host 'far.invalid' does not answer: nothing was run" in result.err, result
    assert "restart" not in result.err and "signal" not in result.err, result
    assert re.search(r"mpirun ended with exit status \d+ before rank 0", result.err), result


def tools_without(folder, *names):
    """A folder with all tools of this machine but some."""
    folder.mkdir()
    for place in os.environ["PATH"].split(":"):
        for path in glob.glob(place + "/*"):
            if os.path.basename(path) not in names and not os.path.lexists(folder / os.path.basename(path)):
                os.symlink(path, folder / os.path.basename(path))
    return {"PATH": str(folder)}


def test_without_ssh(tmp_path, conf):
    """It is needed for other hosts only, though mpirun wants to find it."""
    tools = tools_without(tmp_path / "tools", "ssh", "rsh")
    with Marked(tmp_path, "-n", 2, "train", conf, "--json", env=tools) as run:
        assert run.result().rc == 0
    with Marked(tmp_path, "--host", "localhost:2", "train", conf, "--json", "--overwrite", env=tools) as run:
        assert run.result().rc == 0
    with Marked(tmp_path, "--host", "localhost,far.invalid", "train", conf, env=tools) as run:
        result = run.result()
    assert result.rc == 1 and "'ssh'" in result.err and "openssh-client" in result.err, result


# ---- hosts ----

@pytest.mark.parametrize("text, ranks", [
    ("localhost slots=1\nlocalhost slots=2\n", 3), ("localhost slots=2\r\n\r\n# a comment\r\n", 2), ("localhost slots = 2", 2),
])
def test_hostfiles(text, ranks, tmp_path, conf):
    (tmp_path / "hosts").write_bytes(text.encode())
    with Marked(tmp_path, "--hostfile", tmp_path / "hosts", "train", conf, "--json") as run:
        result = run.result()
    with open(tmp_path / "run" / "manifest.json") as f:
        manifest = f.read()
    assert result.rc == 0 and manifest.count('"cpu"') == ranks, (result, manifest)


def test_hostfile_from_a_pipe(tmp_path, conf):
    with Marked(tmp_path, "-c", f'"{RUN}" --hostfile <(echo localhost slots=2) train "{conf}" --json', program="bash") as run:
        result = run.result()
    assert result.rc == 0, result


@pytest.mark.parametrize("text, says", [
    ("localhost slots=1\nb slots=0\n", ":2: host 'b' has no slot"), ("localhost slots=x\n", "'slots=x' of host 'localhost'"),
])
def test_wrong_hostfiles(text, says, tmp_path, conf):
    (tmp_path / "hosts").write_text(text)
    with Marked(tmp_path, "--hostfile", tmp_path / "hosts", "train", conf) as run:
        result = run.result()
    assert result.rc == DATA and says in result.err, result


# ---- what was meant ----

@pytest.mark.parametrize("args, says", [
    (["--np", "3", "train", "c"], "did you mean '-n'"), (["-np", "3", "train", "c"], "did you mean '-n'"),
    (["-N", "3", "train", "c"], "did you mean '-n'"), (["--ranks", "3", "train", "c"], "did you mean '-n'"),
    (["-n4", "train", "c"], "did you mean '-n'"), (["--hostfiel", "x", "train", "c"], "did you mean '--hostfile'"),
    (["--max-restart", "3", "train", "c"], "did you mean '--max-restarts'"), (["-H", "a", "train", "c"], "did you mean '--host'"),
    (["--gibberish", "train", "c"], "no option '--gibberish'"), (["--host", "a:0", "train", "c"], "'a:0'"),
    (["train", "c.conf", "-n", "3"], "'-n' is an option of launch/run and belongs before the verb"),
    (["train", "c.conf", "--hostfile=x"], "'--hostfile' is an option of launch/run and belongs before the verb"),
    (["check", "c.conf", "--max-restarts", "3"], "belongs before the verb"),
    (["--set", "a.b=1", "train", "c.conf"], "'--set' is an option of the verb and belongs behind it"),
    (["-n", "3", "trian", "c.conf"], "did you mean 'train'"),
])
def test_wrong_use_is_answered(args, says):
    result = cli.execute([RUN, *args])
    assert result.rc == USAGE and says in result.err and result.out == "", result


@pytest.mark.parametrize("args", [[RUN, "--version"], [cli.METALOOP, "--version"],
                                  [os.path.join(cli.ROOT, "launch", "install-deps"), "--version"],
                                  [os.path.join(cli.ROOT, "launch", "quickstart"), "--version"]])
def test_version(args):
    result = cli.execute(args)
    assert result.rc == 0 and re.match(r"metaloop \d+\.\d+\.\d+", result.out), result


# ---- signals ----

@pytest.mark.parametrize("milliseconds", [1, 10, 30, 60, 120, 250, 500])
def test_a_signal_at_any_moment(milliseconds, tmp_path, endless):
    """Saved and 75; before the script has begun, ended by the signal as any program."""
    with Marked(tmp_path, "-n", 2, "train", endless) as run:
        time.sleep(milliseconds / 1000)
        run.process.send_signal(signal.SIGTERM)
        result = run.result(60)
    assert result.rc == STOPPED or (result.rc == -signal.SIGTERM and result.err == ""), result


def test_a_signal_before_the_run_has_begun(tmp_path, conf):
    """While launch/run looks where it is: a readlink that takes its time."""
    script(tmp_path / "readlink", f': >"{tmp_path}/seen"; sleep 0.5; exec {shutil.which("readlink")} "$@"')
    with Marked(tmp_path, "-n", 2, "train", conf, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as run:
        wait_for(lambda: (tmp_path / "seen").exists())
        run.process.send_signal(signal.SIGUSR1)
        result = run.result(60)
    assert result.rc == STOPPED and "stopped before the run had begun" in result.err, result


def test_two_signals_in_a_row(tmp_path, endless):
    """Nothing is waited for, not even a rank 0 that cannot hear; the bar of 60 s is a guard against that."""
    with Marked(tmp_path, "-n", 3, "train", endless, "--set", "cluster.lease=600") as run:
        pid = run.rank0()[0]
        wait_for(lambda: os.path.exists(tmp_path / "run" / "metrics.jsonl"))
        os.kill(pid, signal.SIGSTOP)
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        run.process.send_signal(signal.SIGINT)
        result = run.result(60)
    assert result.rc == 1 and "ending at once" in result.err, result


def test_the_first_signal_says_what_happens(tmp_path, endless):
    with Marked(tmp_path, "-n", 3, "train", endless, "--set", "checkpoint.every=5") as run:
        wait_for(lambda: checkpoints_of(tmp_path / "run") or run.process.poll() is not None)
        run.process.send_signal(signal.SIGINT)
        result = run.result()
    said = re.findall(r"finishing round (\d+); a second signal ends the run at once", result.err)
    saved = re.search(r"round (\d+) of stage 'meta' is saved", result.err)
    assert result.rc == STOPPED and len(said) == 1 and int(saved[1]) - int(said[0]) in (-1, 0), result


@pytest.mark.parametrize("times", [1, 2])
def test_signals_to_a_single_process(times, tmp_path, endless):
    """The second ends it at once, wherever it is: here in an evaluation of a million episodes, left by the first."""
    with Supervised(tmp_path, "train", endless, "--set", "checkpoint.every=5", program=cli.METALOOP) as run:
        wait_for(lambda: checkpoints_of(tmp_path / "run") or run.process.poll() is not None)
        if times == 2:  # both are there when it goes on
            os.kill(run.process.pid, signal.SIGSTOP)
            run.process.send_signal(signal.SIGTERM)
        run.process.send_signal(signal.SIGINT)
        os.kill(run.process.pid, signal.SIGCONT)
        result = run.result()
    if times == 1:
        assert result.rc == STOPPED and result.err.count("a second signal ends the run at once") == 1, result
    else:
        assert result.rc == 1 and "ending at once" in result.err and not os.path.exists(run.status), result


# ---- a terminal ----

def on_terminal(folder, *args, columns, env=None, then=None):
    """What launch/run writes to a terminal, whose other end we are; then(read so far, master, run) is called as text comes."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def own():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    text = b""
    with Marked(folder, *args, stdin=slave, stdout=slave, stderr=slave, start_new_session=False, preexec_fn=own,
                env={"TERM": "xterm", **(env or {})}) as run:
        os.close(slave)
        while select.select([master], [], [], cli.TIMEOUT)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
            then and then(text, master, run)
        os.close(master)
        result = run.result()
    return result, text.decode()


def drawn(text):
    """The bars, as drawn one over the other."""
    return re.findall(r"\r([^\r\n]*?)\033\[K", text)


def test_a_bar_through_mpirun(tmp_path, endless):
    """Drawn before the first round is done, as wide as the window is, which becomes narrower; Ctrl-C."""
    state = {}

    def then(text, master, run):
        bars = drawn(text.decode("utf-8", "replace"))
        if "narrow" not in state and any("tasks/s" in b and "left" in b for b in bars):
            state["narrow"] = len(bars)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        if "narrow" in state and "stopped" not in state and len(bars) > state["narrow"] and \
                all(len(b) <= 49 for b in bars[-3:]):
            state["stopped"] = True
            os.write(master, b"\x03")
    result, text = on_terminal(tmp_path, "-n", 3, "train", endless, columns=120, then=then)
    bars = [b for b in drawn(text) if b]
    assert result.rc == STOPPED, text
    assert bars[0].startswith("meta 0/10000000 ") and "loss" not in bars[0], bars[:3]
    assert 49 < max(map(len, bars)) <= 119, bars
    assert not re.search("PMIX|MPI_ABORT|Forwarding|\033\\[[0-9;]*m", text), text


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot(env, tmp_path, conf):
    result, text = on_terminal(tmp_path, "-n", 2, "train", conf, columns=80, env=env)
    assert result.rc == 0 and "\033" not in text and "meta  round 0/4\r\n" in text, text


def test_a_log_has_lines(tmp_path, conf):
    with Marked(tmp_path, "-n", 2, "train", conf) as run:
        result = run.result()
    assert result.rc == 0 and result.err.startswith("meta  round 0/4\n") and "\r" not in result.err, result


# ---- noise ----

def test_a_loss_without_noise(tmp_path, endless):
    """A worker is killed, then rank 0, then the run is stopped: Open MPI complains of each."""
    with Marked(tmp_path, "-n", 4, "train", endless, "--set", "checkpoint.every=20") as run:
        pid, job = run.rank0()
        wait_for(lambda: checkpoints_of(tmp_path / "run") or run.process.poll() is not None)
        os.kill(run.workers()[0], signal.SIGKILL)
        wait_for(lambda: b"has been silent" in os.pread(run.streams[1].fileno(), 1 << 20, 0))
        os.kill(pid, signal.SIGKILL)
        run.rank0(after=job)
        wait_for(lambda: b"resuming meta" in os.pread(run.streams[1].fileno(), 1 << 20, 0))
        run.process.send_signal(signal.SIGTERM)
        result = run.result()
    assert result.rc == STOPPED and "rank 0 was lost; restart 1" in result.err, result
    for noise in ("PMIX", "MPI_ABORT", "Forwarding", "-----", "Killed"):
        assert noise not in result.err, result


def session(*words, **how):
    return cli.execute([cli.METALOOP + "-session", *words], **how)


def test_a_session_leaves_nothing(tmp_path):
    """Not what has a session of its own, does not obey, or was started by what has ended; its own status stays."""
    end = tmp_path / "end"
    result = session("--end", end, "sh", "-c", "trap '' TERM; (setsid sh -c 'trap \"\" TERM HUP; sleep 3600; sleep 3600' &); echo text >&2; exit 7",
                     env={"LAUNCH_MARK": str(tmp_path)})
    assert result.rc == 7 and result.err == "text\n" and end.read_text() == "exit 7\n", result
    assert not marked(str(tmp_path))
    result = session("--end", end, "sh", "-c", "kill -9 $$")
    assert result.rc == 137 and end.read_text() == "signal 9\n", result


# ---- other locales ----

@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """A locale with a decimal comma."""
    folder = tmp_path_factory.mktemp("locale")
    if not shutil.which("localedef"):
        pytest.skip("localedef is not installed")
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if not (folder / "de_DE.UTF-8").exists():
        pytest.skip(f"no locale de_DE can be made: {made.stdout.strip()[-200:]}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}


def test_decimal_comma(tmp_path, conf, german):
    (tmp_path / "hosts").write_text("localhost slots=2\n")
    plain = cli.done("train", conf, "--json").json()["digest"]
    with Marked(tmp_path, "--hostfile", tmp_path / "hosts", "train", conf, "--json", "--overwrite", "--set", "cluster.lease=2.5",
                "--set", "cluster.start_limit=60.5", env=german) as run:
        result = run.result()
    assert result.rc == 0 and result.json()["digest"] == plain and "printf" not in result.err, result


def test_ranks_have_the_users_locale(tmp_path, conf, german):
    """Only the script reads tools in the C locale."""
    probe = script(tmp_path / "mpirun", f'echo "$LC_ALL" >"{tmp_path}/seen"; exit 1')
    env = {**german, "PATH": f"{probe.parent}:{os.environ['PATH']}"}
    with Marked(tmp_path, "-n", 2, "train", conf, env=env) as run:
        run.result()
    assert (tmp_path / "seen").read_text() == "de_DE.UTF-8\n"
