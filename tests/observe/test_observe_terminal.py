"""The screen in a real terminal (tmux), at 80x24 and 200x60: what it shows, resizing, leaving."""
import os
import shutil
import subprocess
import time

import pytest

import cli
from observing import OBSERVE, free_port

pytest.importorskip("zmq")

import publisher

BRAILLE = [chr(c) for c in range(0x2801, 0x2900)]


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, folder, columns, rows, *command):
        self.socket, self.status = os.path.join(folder, "tmux"), os.path.join(folder, "status")
        line = " ".join(map(str, command))
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows,
                  f"{line}; code=$?; stty -a > {self.status}.stty; echo $code > {self.status}; sleep 100")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def tmux(self, *args):
        env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        run = subprocess.run(["tmux", "-u", "-S", self.socket, *map(str, args)], env=env, capture_output=True, text=True,
                             timeout=60)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def until(self, what, seconds=60):
        limit = time.monotonic() + seconds
        while not what(screen := self.screen()):
            assert time.monotonic() < limit, "\n" + screen
            time.sleep(0.1)
        return screen

    def code(self):
        limit = time.monotonic() + 60
        while not os.path.exists(self.status) or not open(self.status).read():
            assert time.monotonic() < limit, self.screen()
            time.sleep(0.05)
        return int(open(self.status).read())

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


@pytest.fixture(autouse=True)
def has_tmux():
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def stream(port):
    p = publisher.Publisher(port)
    yield p
    p.close()


@pytest.fixture
def terminal(tmp_path, port, request):
    columns, rows = request.param
    t = Terminal(tmp_path, columns, rows, OBSERVE, f"tcp://127.0.0.1:{port}")
    t.columns, t.rows = columns, rows
    yield t
    t.close()


SIZES = pytest.mark.parametrize("terminal", [(80, 24), (200, 60)], indirect=True, ids=["80x24", "200x60"])
NORMAL = pytest.mark.parametrize("terminal", [(80, 24)], indirect=True, ids=["80x24"])


def play(stream):
    stream.begin()
    for n in range(1, 41):
        stream.round(n, support_loss=3 / n, seconds_left=61, communication=0.25, support_losses=[3 / n, 2 / n])
    stream.tell("workers", workers=[dict(rank=r, host=f"node{r}", state="working", tasks=9) for r in (1, 2)])
    stream.tell("evaluation", stage="meta", stage_index=0, round=40, data="ink", step=1, episodes=50, loss=1, accuracy=0.8125,
                accuracy_ci95=0.02)
    stream.tell("rank", what="lost", rank=2, host="node2", text="rank 2 on 'node2' is lost", in_round=40)


@SIZES
def test_shows_a_run(stream, terminal):
    play(stream)
    screen = terminal.until(lambda s: "is lost" in s)
    lines = screen.split("\n")
    assert lines[0].startswith("played") and lines[0].rstrip().endswith("live")
    assert "meta (maml)  1/1  round 40/100" in lines[1] and "━" in lines[1] and "40 %" in lines[1]
    assert "left" in lines[1] and ("1:01" in lines[1] or "1:00" in lines[1])
    assert "loss 0.0250" in lines[2] and "accuracy 50.0 %" in lines[2] and "40 tasks/s" in lines[2]
    assert "communication 25 %" in lines[2]
    assert "support loss by step" in screen or terminal.rows < 60
    assert sum(screen.count(c) for c in BRAILLE) > 40
    assert "ink" in screen and "81.25 ±  2.00 %" in screen
    assert "workers: 2, 1 gone" in screen and "node1" in screen and "working" in screen
    assert "fault: rank 2 on 'node2' is lost" in screen
    assert "q quit" in lines[terminal.rows - 1]
    stream.tell("end", digest="abcdef", status=0)
    terminal.until(lambda s: "ended: done  digest abcdef" in s)
    terminal.tmux("send-keys", "q")
    assert terminal.code() == 0
    with open(terminal.status + ".stty") as f:
        text = f.read()
    assert " echo " in text and " icanon " in text  # as it was before


@NORMAL
def test_resizes(stream, terminal):
    play(stream)
    terminal.until(lambda s: "is lost" in s)
    for columns, rows in ((120, 40), (60, 20), (20, 5), (200, 60), (80, 24)):
        terminal.tmux("resize-window", "-x", columns, "-y", rows)
        wanted = "too small" if rows < 8 else "q quit"
        screen = terminal.until(lambda s: s.count("\n") == rows and wanted in s.split("\n")[rows - 1 if rows >= 8 else 0], 60)
        assert all(len(line) <= columns for line in screen.split("\n"))


@NORMAL
def test_says_that_it_waits(terminal):
    terminal.until(lambda s: "no publisher at" in s and "waiting" in s.split("\n")[0])
    terminal.tmux("send-keys", "q")
    assert terminal.code() == 0


@NORMAL
def test_keys(stream, terminal):
    play(stream)
    terminal.until(lambda s: "is lost" in s)
    terminal.tmux("send-keys", "l")
    terminal.until(lambda s: "1  log" in s and "l linear" in s)
    terminal.tmux("send-keys", "Tab", "Left", "x")
    terminal.until(lambda s: "played" in s)
    terminal.tmux("send-keys", "C-c")
    assert terminal.code() == 0


@NORMAL
def test_hostile_texts_do_not_move_the_cursor(stream, terminal):
    stream.tell("run", name="evil\x1b[2J\x1b]0;x\x07\u009b2J")
    stream.tell("stage", stage="\x1b[31mred", stage_index=0, rounds=9, method="a\tb\r\n")
    stream.round(1)
    screen = terminal.until(lambda s: "evil?[2J?]0;x??2J" in s)
    assert "live" in screen.split("\n")[0]


def test_lines_where_it_is_no_terminal(tmp_path, stream, port):
    play(stream)
    stream.tell("end", digest="abcdef", status=0)
    out = cli.done(f"tcp://127.0.0.1:{port}", program=OBSERVE).out
    assert "\x1b" not in out and "ended: done  digest abcdef" in out
