"""metaloop-observe on a stream: joining late, gaps, restarts, keys, and streams that are not what they should be."""
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

import cli

zmq = pytest.importorskip("zmq")

import publisher
import stream as watched
from observing import OBSERVE, Observer, Server, free_port
from test_observe import RUN


@pytest.fixture(autouse=True)
def none_is_left():
    yield
    while Observer.all:
        o = Observer.all.pop()
        o.process.kill()
        o.process.wait()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def stream(port):
    p = publisher.Publisher(port)
    yield p
    p.close()


@pytest.fixture
def observer(tmp_path, port):
    return Observer(tmp_path, port, "--linger", "1")


def numbers(first, last):
    return list(range(first, last + 1))


def test_waits_for_a_publisher_and_joins(observer, port):
    observer.until(lambda: "no publisher at" in observer.text())
    p = publisher.Publisher(port)
    p.begin()
    for n in numbers(1, 40):
        p.round(n)
    observer.until(lambda: len(observer.rounds()) == 40)
    for n in numbers(41, 60):
        p.round(n)
    p.tell("end", digest="abc", status=0)
    assert observer.process.wait(10) == 0
    p.close()
    assert observer.rounds() == numbers(1, 60)
    assert observer.text().rstrip().endswith("ended: done  digest abc")


def test_a_gap_is_healed(stream, observer):
    stream.begin()
    for n in numbers(1, 10):
        stream.round(n)
    observer.until(lambda: len(observer.rounds()) == 10)
    before = stream.asked
    for n in numbers(11, 20):
        stream.round(n, lose=n in (13, 14, 17))
    observer.until(lambda: len(observer.rounds()) == 20)
    assert observer.rounds() == numbers(1, 20) and stream.asked > before


def test_a_gap_at_the_end_is_seen_by_the_heartbeat(stream, observer):
    stream.begin()
    stream.round(1)
    observer.until(lambda: observer.rounds() == [1])
    stream.round(2, lose=True)
    observer.until(lambda: observer.rounds() == [1, 2])


def test_events_that_never_arrived_are_counted(stream, port):
    s = Server(f"tcp://127.0.0.1:{port}")
    stream.begin()
    stream.round(1)
    s.until(lambda runs: runs[0]["stages"] and runs[0]["stages"][0]["round"] == 1, 60)
    stream.mute = True
    for n in numbers(2, 7):
        stream.round(n, lose=n in (2, 3, 5))
    s.until(lambda runs: runs[0]["stages"][0]["round"] == 7, 60)
    assert s.json("/api/run")["runs"][0]["lost"] == 3
    assert "metaloop_run_events_missing_total{" in (text := s.get("/metrics")[2].decode())
    assert [line for line in text.split("\n") if line.startswith("metaloop_run_events_missing_total")][0].endswith(" 3")
    s.close()


def test_an_end_behind_a_gap_that_nobody_can_heal(stream, observer):
    """The coordinator is gone before it was asked for what is missing: what arrived is shown, and what is missing said."""
    stream.begin()
    stream.round(1)
    observer.until(lambda: observer.rounds() == [1])
    stream.mute = True
    time.sleep(0.5)
    stream.round(2, lose=True)
    stream.round(3)
    stream.tell("end", digest="abcdef", status=0)
    assert observer.process.wait(20) == 0
    assert observer.rounds() == [1, 3]
    assert "1 events are missing here" in observer.text() and "ended: done  digest abcdef" in observer.text()


def test_an_end_before_the_past_was_told(stream, observer):
    """A run with a past begins behind its numbers: what is not heard of it are not billions of events."""
    stream.mute, stream.seq = True, 2**32
    observer.until(lambda: os.path.exists(observer.jsonl))
    time.sleep(1)  # it has subscribed
    stream.begin()
    stream.round(7, lose=True)
    stream.tell("end", digest="abcdef", status=0)
    assert observer.process.wait(30) == 0
    assert "1 events are missing here" in observer.text() and observer.text().count("missing") == 1


def test_goes_on_with_a_coordinator_that_was_restarted(stream, observer, port):
    stream.begin()
    for n in numbers(1, 10):
        stream.round(n)
    observer.until(lambda: len(observer.rounds()) == 10)
    stream.close()
    again = publisher.Publisher(port)
    again.begin()
    for n in numbers(1, 8):  # told before; it resumes at 6
        again.round(n)
    time.sleep(1)
    for n in numbers(9, 30):
        again.round(n)
    observer.until(lambda: observer.rounds()[-1:] == [30])
    again.close()
    assert observer.rounds() == numbers(1, 30)
    assert len(observer.events("stage")) == 1


def test_another_run_at_the_same_place(stream, observer, port):
    stream.begin()
    stream.round(5)
    observer.until(lambda: observer.rounds() == [5])
    stream.close()
    other = publisher.Publisher(port, run_id="run-2")
    other.begin()
    other.round(1)
    observer.until(lambda: observer.rounds() == [5, 1])
    other.close()


def test_silence_is_said(stream, observer):
    stream.begin()
    observer.until(lambda: "stage 'meta'" in observer.text())
    stream.mute = True
    observer.until(lambda: "nothing received from" in observer.text(), 12)
    stream.mute = False
    observer.until(lambda: "sends events again" in observer.text())


def test_a_run_that_failed_is_waited_for(stream, observer):
    stream.begin()
    stream.tell("end", status=1, reason="rank 2 is \x1b[2Jlost")
    observer.until(lambda: "ended: rank 2 is ?[2Jlost" in observer.text())
    assert observer.process.wait(10) == 0  # --linger 1


def test_garbage_is_refused(stream, observer):
    stream.begin()
    observer.until(lambda: "stage 'meta'" in observer.text())
    stream.round(1, support_losses=[1.0] * 4097)
    with stream.lock:
        for frames in ([b"round"], [b"round", b"\xff" * 50], [b"", b""], [b"round", os.urandom(1000)], [b"a", b"b", b"c"]):
            stream.pub.send_multipart(frames)
    stream.round(2, support_losses=[1.0] * 501)
    observer.until(lambda: observer.rounds() == [2])
    assert observer.end() == 65
    assert "more than 4096 numbers in 'support_losses'; ignored" in observer.text() and "\x1b" not in observer.text()


def heard(folder):
    path = folder / "heard"
    return path.read_text().splitlines() if path.exists() else []


def on(folder):
    """Options of a command for everything, which writes down what it is told."""
    script = f'echo "$METALOOP_EVENT $METALOOP_RUN $METALOOP_ROUND $METALOOP_TEXT" >>{folder}/heard'
    return [word for what in ("end", "fault", "alarm") for word in ("--on", what, script)]


def make_older(stream, seconds):
    """All that was told so far was told earlier."""
    for i, (kind, body) in enumerate(stream.history):
        events = stream.pb.Events.FromString(body)
        events.events[0].time -= seconds
        stream.history[i] = [kind, events.SerializeToString()]


def test_commands_of_the_user(stream, port, tmp_path):
    """Each event once, in order; what was over before the observer came is no news. Nothing in a text is a command."""
    stream.begin()
    stream.tell("rank", what="lost", rank=1, host="a", text="rank 1 was lost long ago")
    make_older(stream, 1000)
    watcher = Observer(tmp_path, port, *on(tmp_path), "--on", "end", "exit 3")
    watcher.until(lambda: "lost long ago" in watcher.text())
    stream.round(2)
    stream.tell("rank", what="lost", rank=2, host="b", text="rank 2 is lost; $(touch x) `touch x`")
    stream.tell("watch", stage="meta", stage_index=0, round=2, target="t", collapsed=1)
    stream.tell("end", status=0, digest="abc")
    watcher.process.wait(60)
    assert heard(tmp_path) == ["fault played 2 rank 2 is lost; $(touch x) `touch x`", "alarm played 2 target 't': collapsed",
                               "end played 2 done  digest abc"], watcher.text()
    assert "the command of --on ended with 3" in watcher.text()


def test_a_command_that_lasts_holds_up_nothing(stream, port, tmp_path):
    stream.begin()
    watcher = Observer(tmp_path, port, "--on", "fault", f"echo begun >>{tmp_path}/heard; while ! [ -e {tmp_path}/go ]; do sleep 0.05; done")
    watcher.until(lambda: "stage 'meta'" in watcher.text())
    for n in range(2):
        stream.tell("rank", what="lost", rank=1 + n, host="a", text=f"rank {1 + n} is lost")
    stream.round(50)
    watcher.until(lambda: 50 in watcher.rounds() and heard(tmp_path) == ["begun"])
    (tmp_path / "go").write_text("")
    watcher.until(lambda: heard(tmp_path) == ["begun", "begun"])


@pytest.mark.parametrize("args, says", [
    (["--on", "ende", "true"], "--on 'ende': end, fault or alarm"),
    (["--on", "end"], "--on needs two values"),
    (["--on"], "--on needs two values"),
])
def test_commands_given_wrongly(args, says):
    result = cli.execute([OBSERVE, *args])
    assert result.rc == 64 and says in result.err, result


def test_curve(tmp_path, port):
    """Beside a publisher with a key, an observer with keys sees it; without them, nothing."""
    server, secret = zmq.curve_keypair()
    own, own_secret = zmq.curve_keypair()
    (tmp_path / "server.public").write_text(f"metaloop-public-key {server.decode()}\n")
    (tmp_path / "own.secret").write_text(f"metaloop-secret-key {own_secret.decode()}\n")
    os.chmod(tmp_path / "own.secret", 0o600)

    def prepare(socket):
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = server, secret

    p = publisher.Publisher(port, prepare=prepare)
    p.begin()
    keys = ("--key", tmp_path / "own.secret", "--server-key", tmp_path / "server.public")
    (tmp_path / "plain").mkdir()
    seeing, plain = Observer(tmp_path, port, *keys), Observer(tmp_path / "plain", port)
    seeing.until(lambda: "stage 'meta'" in seeing.text())
    plain.until(lambda: "wants keys" in plain.text())
    assert "stage" not in plain.text()
    seeing.end(), plain.end()
    p.close()
    os.chmod(tmp_path / "own.secret", 0o644)
    result = cli.run("tcp://127.0.0.1:1", *keys, program=OBSERVE)
    assert result.rc == 78 and "own.secret" in result.err, result


def test_refused_then_let_in(tmp_path):
    """An observer that is refused is told why, once, and sees the run as soon as its key is on the coordinator's list."""
    for name in ("server", "alice", "other"):
        assert cli.run("keygen", tmp_path / name).rc == 0
    (tmp_path / "observers").mkdir()
    shutil.copy(tmp_path / "other.public", tmp_path / "observers")
    more = f'server_key = "{tmp_path}/server.secret"  allowed = "{tmp_path}/observers"'
    with watched.Run(tmp_path, more=more) as run:
        run.await_round(5)
        watching = {}
        for name, server, says in (("alice", "server", "does not know the key"), ("other", "alice", "has another key")):
            (tmp_path / f"watch-{name}").mkdir()
            watching[name] = Observer(tmp_path / f"watch-{name}", run.port, "--key", tmp_path / f"{name}.secret",
                                      "--server-key", tmp_path / f"{server}.public")
            watching[name].until(lambda: says in watching[name].text())
        shutil.copy(tmp_path / "alice.public", tmp_path / "observers")
        watching["alice"].until(lambda: len(watching["alice"].rounds()) > 100)
        assert watching["alice"].text().count("does not know the key") == 1
        assert watching["other"].text().count("has another key") == 1 and not watching["other"].rounds()
        os.unlink(tmp_path / "observers" / "alice.public")
        late = {}
        for name, damage in (("alice", None), ("other", "not a key")):
            time.sleep(1)  # the list is read once a second
            if damage:  # who may watch is not known: nobody may
                (tmp_path / "observers" / "bad.public").write_text(damage)
            (tmp_path / f"late-{name}").mkdir()
            late[name] = Observer(tmp_path / f"late-{name}", run.port, "--key", tmp_path / f"{name}.secret",
                                  "--server-key", tmp_path / "server.public")
            late[name].until(lambda: "does not know the key" in late[name].text())
        os.unlink(tmp_path / "observers" / "bad.public")
        late["other"].until(lambda: late["other"].rounds())
        time.sleep(1)  # what is wrong is told once a second at most
        result = run.stop()
        assert result.rc == 75 and result.err.count("bad.public") == 1, result


def test_something_else_at_the_endpoint(tmp_path, port):
    """A server of another kind is told apart from no server."""
    with socket.create_server(("127.0.0.1", port)) as server:
        observer = Observer(tmp_path, port)
        server.settimeout(0.2)

        def hung_up_on():
            try:
                with server.accept()[0] as s:
                    s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            except TimeoutError:
                pass
            return "does not answer as a coordinator does" in observer.text()

        observer.until(hung_up_on)
        assert "no publisher" not in observer.text().split("does not answer")[1]


def test_endpoints_that_cannot_be():
    for endpoint in ("nonsense", "tcp://host", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "udp://127.0.0.1:5"):
        result = cli.run(endpoint, program=OBSERVE)
        assert result.rc == 64 and endpoint in result.err, result


def test_beside_a_real_run(tmp_path, port):
    """From before its beginning and from its middle: the numbers of metrics.jsonl, none missing, none twice; a killed
    coordinator that resumes goes on in the same file."""
    conf = cli.small(tmp_path, replace={"rounds = 8 ": "rounds = 1200 ", "every = 4 ": "every = 50 ", "tasks = 6": "tasks = 24"})
    train = [cli.METALOOP, "train", conf, "--set", f"metrics.endpoint=tcp://127.0.0.1:{port}"]
    early = Observer(tmp_path, port)
    early.until(lambda: "no publisher" in early.text())
    run = subprocess.Popen(train, env=cli.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    early.until(lambda: len(early.rounds()) > 200, 60)
    run.kill()
    run.wait()
    (tmp_path / "late").mkdir()
    run = subprocess.Popen([*train, "--resume"], env=cli.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    early.until(lambda: max(early.rounds()) > 600, 60)
    late = Observer(tmp_path / "late", port)
    assert run.wait(100) == 0
    assert early.process.wait(20) == 0 and late.process.wait(20) == 0
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        truth = [(e["round"], e["loss"]) for e in map(json.loads, f) if e["kind"] == "round"]
    for o in (early, late):
        assert [(e["round"], e["loss"]) for e in o.events("round")] == truth


def test_every_line_of_metrics_arrives(tmp_path, port):
    """All kinds of events that a run of MAML and ADDA writes, key by key: the schema lacks none."""
    o = Observer(tmp_path, port)
    o.until(lambda: "no publisher" in o.text())
    cli.done("train", cli.small(tmp_path, RUN), "--set", "stage.meta.rounds=1000", "--set", f"metrics.endpoint=tcp://127.0.0.1:{port}")
    assert o.process.wait(20) == 0
    assert o.events("lost") == []
    with open(tmp_path / "run" / "metrics.jsonl") as f:
        lines = list(map(json.loads, f))
    assert {"stage", "round", "adaptation", "inputs", "watch", "evaluation", "end"} <= {e["kind"] for e in lines}
    for kind in {e["kind"] for e in lines}:
        told = o.events(kind)
        truth = [e for e in lines if e["kind"] == kind]
        assert len(told) == len(truth), kind
        for a, b in zip(told, truth):
            assert {k: a.get(k, "not there") for k in b} == b
