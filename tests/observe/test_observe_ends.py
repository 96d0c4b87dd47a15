"""The observer ends when its output has no reader, never waits for a slow one, and checks its arguments."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import pytest

import cli
from observing import OBSERVE, Server, free_port
from test_output_paths import LINES

LIMIT = 60  # seconds: a guard against hanging, not a measure


@pytest.fixture
def run(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "metrics.jsonl").write_text("\n".join(LINES) + "\n")
    return str(tmp_path / "x")


class Screen:
    """The observer on a terminal of ours, in a session of its own if it is to get a SIGHUP."""

    def __init__(self, *args, session=True, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}

        def claim():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the tests inherit it ignored
            if session:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([OBSERVE, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=session,
                                        preexec_fn=claim, env=env)
        os.close(slave)
        self.seen = b""

    def until(self, text):
        limit = time.monotonic() + LIMIT
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                raise AssertionError(self.seen) from None

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def screens():
    made = []

    def make(*args, **how):
        made.append(Screen(*args, **how))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.mark.parametrize("session", [True, False], ids=["with SIGHUP", "without"])
@pytest.mark.parametrize("live, lines", [(True, []), (True, ["--lines"]), (False, [])], ids=["live", "lines", "replay"])
def test_ends_with_its_terminal(run, screens, session, live, lines):
    s = screens(*([f"tcp://127.0.0.1:{free_port()}"] if live else ["--replay", run]), *lines, session=session)
    s.until(b"waiting" if live else b"round 3/3")
    os.close(s.master)
    assert s.process.wait(LIMIT) == 0


def test_ends_with_a_hangup(run, screens):
    s = screens("--replay", run)
    s.until(b"round 3/3")
    s.process.send_signal(signal.SIGHUP)
    assert s.process.wait(LIMIT) == 0


def test_closed_pipes_end_it_quietly(run, tmp_path):
    for option in ([], ["--lines"], ["--csv", "/proc/self/fd/1"], ["--jsonl", "/proc/self/fd/1"]):
        end, ours = os.pipe()
        with open(tmp_path / "err", "w+b") as err:
            p = subprocess.Popen([OBSERVE, f"tcp://127.0.0.1:{free_port()}", *option], stdin=subprocess.DEVNULL, stdout=ours, stderr=err)
            os.close(ours)
            os.close(end)
            try:
                assert p.wait(LIMIT) == 0, option
            finally:
                p.kill()
            err.seek(0)
            assert err.read() == b""


def test_replay_into_head(run):
    out = subprocess.run(["bash", "-c", f"set -o pipefail; {OBSERVE} --replay {run} | head -n 1"], capture_output=True, text=True,
                         timeout=LIMIT)
    assert out.returncode == 0 and out.stdout.startswith("stage 'a'") and out.stderr == ""


def test_closed_standard_streams_are_not_taken(run, tmp_path):
    """Lines do not end up in a file that happened to get the number 1."""
    out = subprocess.run(["bash", "-c", f"exec {OBSERVE} --replay {run} --lines --csv {tmp_path / 'x.csv'} <&- >&- 2>&-"], timeout=LIMIT)
    assert out.returncode == 0
    assert all(line.count(",") == 8 for line in (tmp_path / "x.csv").read_text().split("\n")[:-1])


def test_nohup_is_respected(run):
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        s = Server("--replay", run)
    finally:
        signal.signal(signal.SIGHUP, old)
    s.process.send_signal(signal.SIGHUP)
    s.until(lambda runs: runs[0]["state"] == "no end")
    assert s.process.poll() is None and s.get("/")[0] == 200
    assert s.close() == 0


def test_a_stopped_reader_holds_up_no_record(tmp_path):
    """Standard output is a full pipe without a reader: the record goes on, and a signal ends it."""
    pytest.importorskip("zmq")
    import publisher

    port = free_port()
    p = publisher.Publisher(port)
    end, ours = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 4096)
    os.write(ours, b"x" * 4096)
    o = subprocess.Popen([OBSERVE, f"tcp://127.0.0.1:{port}", "--lines", "--every", "0", "--jsonl", tmp_path / "x.jsonl"],
                         stdin=subprocess.DEVNULL, stdout=ours)
    os.close(ours)
    try:
        p.begin()
        for n in range(1, 301):
            p.round(n)
        limit = time.monotonic() + LIMIT
        while not (tmp_path / "x.jsonl").exists() or '"round":300,' not in (tmp_path / "x.jsonl").read_text():
            assert time.monotonic() < limit and o.poll() is None
            time.sleep(0.05)
        o.terminate()
        assert o.wait(LIMIT) == 0
    finally:
        o.kill()
        o.wait()
        p.close()
        os.close(end)


def test_a_slow_reader_gets_every_line(run):
    with subprocess.Popen([OBSERVE, "--replay", run], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as o:
        fcntl.fcntl(o.stdout, fcntl.F_SETPIPE_SZ, 4096)
        time.sleep(0.2)
        text = o.stdout.read()
    assert o.returncode == 0 and "round 3/3" in text


def test_no_colour_and_dumb_terminals(run, screens):
    plain = screens("--replay", run, env={"NO_COLOR": "1"})
    plain.until(b"round 3/3")
    plain.until(b"q quit")
    assert not any(code in plain.seen for code in (b"\x1b[31m", b"\x1b[32m", b"\x1b[33m", b"\x1b[36m"))
    coloured = screens("--replay", run, env={"NO_COLOR": ""})
    coloured.until(b"q quit")
    assert b"\x1b[36m" in coloured.seen or b"\x1b[32m" in coloured.seen
    for kind in ("dumb", ""):
        s = screens("--replay", run, env={"TERM": kind})
        s.until(b"the file ends here")
        assert b"\x1b" not in s.seen and s.process.wait(LIMIT) == 0


@pytest.mark.parametrize("args, text", [
    (["--replay", "{x}", "--csv", "{t}/f", "--jsonl", "{t}/f"], "--jsonl and --csv would write into the same file"),
    (["--replay", "{x}", "--csv", "{t}/f", "--png", "{t}/./f"], "--csv and --png would write into the same file"),
    (["--replay", "{x}", "--csv", "{t}/link", "--png", "{t}/f"], "--csv and --png would write into the same file"),
    (["--replay", "{x}", "--jsonl", "{x}/metrics.jsonl"], "--jsonl would overwrite"),
    (["--replay", "{x}", "--csv", "{t}/hard"], "--csv would overwrite"),
    (["--replay", "{x}", "--png", "{t}/soft"], "--png would overwrite"),
    (["{x}"], "a run directory is shown by --replay"),
    (["localhost"], "'localhost' is not an endpoint"),
    (["localhost:port"], "is not an endpoint"),
    (["tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"], "given twice"),
    (["--vesion"], "did you mean '--version'?"),
])
def test_wrong_use(run, tmp_path, args, text):
    before = open(os.path.join(run, "metrics.jsonl"), "rb").read()
    (tmp_path / "link").symlink_to("f")
    (tmp_path / "soft").symlink_to("x/metrics.jsonl")
    (tmp_path / "hard").hardlink_to(tmp_path / "x" / "metrics.jsonl")
    result = cli.run(*[a.format(x=run, t=tmp_path) for a in args], program=OBSERVE)
    assert result.rc == 64 and text in result.err, result
    assert open(os.path.join(run, "metrics.jsonl"), "rb").read() == before


def test_what_is_no_run(run, tmp_path):
    for path, text in ((tmp_path, "it has no metrics.jsonl"), (tmp_path / "no", "No such file"),
                       (os.path.join(run, "metrics.jsonl"), f"takes the run directory, here '{run}'")):
        result = cli.run("--replay", path, program=OBSERVE)
        assert result.rc == 66 and text in result.err, result


def test_one_device_may_take_two(run):
    cli.done("--replay", run, "--csv", "/dev/null", "--jsonl", "/dev/null", program=OBSERVE)


def test_endpoint_without_a_scheme(tmp_path):
    pytest.importorskip("zmq")
    import publisher

    port = free_port()
    p = publisher.Publisher(port)
    p.begin()
    p.tell("end", digest="abc", status=0)
    try:
        assert "digest abc" in cli.done(f"localhost:{port}", program=OBSERVE).out
    finally:
        p.close()


def test_version(run):
    assert cli.done("--version", program=OBSERVE).out.startswith("metaloop-observe 0.1.0-")
