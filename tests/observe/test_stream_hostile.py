"""Observers cannot hurt: stopped ones, ones that write garbage, thousands of connections, floods of requests. The run ends
with the same digest, and its coordinator does not grow."""
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import zmq

import cli
import stream
import supervised
import test_stream_closed as closed

ROUNDS = 12000
WATCHERS = """
import sys, time, zmq
port, n, seconds = map(int, sys.argv[1:])
context, poller = zmq.Context(), zmq.Poller()
for i in range(n):
    s, d = context.socket(zmq.SUB), context.socket(zmq.DEALER)
    s.connect(f"tcp://127.0.0.1:{port}"), d.connect(f"tcp://127.0.0.1:{port + 1}")
    s.subscribe(""), d.send(b"snapshot")
    poller.register(s), poller.register(d)
print("ready", flush=True)
got = 0
end = time.time() + seconds
while time.time() < end:
    for s, _ in poller.poll(200):
        s.recv_multipart()
        got += 1
print(got, flush=True)
context.destroy(linger=0)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The digests of all rounds of a run without observers."""
    folder = tmp_path_factory.mktemp("alone")
    with stream.Run(folder, rounds=ROUNDS, args=["--set", "metrics.endpoint=", "--quiet"]) as run:
        last = run.result().json()["digest"]
    digests = [row["digest"] for row in run.rows()]
    assert len(digests) == ROUNDS and digests[-1] == last
    return digests


@pytest.fixture
def digest(undisturbed):
    return undisturbed[-1]


def resident(pid):
    """MiB."""
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize() / 2**20


class Garbage(threading.Thread):
    """Writes nonsense to a port until told to stop."""

    def __init__(self, port, seed, pause=0.01):
        super().__init__(daemon=True)
        self.pause, self.port, self.random, self.stop, self.n = pause, port, random.Random(seed), False, 0
        self.start()

    def piece(self):
        greeting = b"\xff" + bytes(8) + b"\x7f\3\0NULL" + bytes(16) + bytes(32)
        ready = b"\4\x19\5READY\x0bSocket-Type\0\0\0\3" + self.random.choice([b"SUB", b"REQ", b"ABC"])
        noise = self.random.randbytes(self.random.randrange(1, 5000))
        return self.random.choice([
            noise, b"\xff" + noise, greeting + noise, greeting[:self.random.randrange(64)], greeting + ready + noise,
            greeting + ready + b"\2" + (1 << 62).to_bytes(8, "big") + noise,  # a frame of 2^62 bytes
            greeting + ready + b"\0\x09\1" + b"x" * 8 + noise, b"GET / HTTP/1.1\r\n\r\n"])

    def run(self):
        while not self.stop:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    s.settimeout(0.05)
                    s.sendall(self.piece())
                    s.recv(1000)
            except OSError:
                pass
            self.n += 1
            time.sleep(self.pause)


def watchers(run, n, seconds):
    return subprocess.Popen(["/usr/bin/python3", "-c", WATCHERS, str(run.port), str(n), str(seconds)],
                            stdout=subprocess.PIPE, text=True)


def scheduling(pid):
    """(policy, nice) of every thread, by its name."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            name, rest = f.read().rsplit(")", 1)
        fields = rest.split()  # from the third field of proc(5) on
        found.setdefault(name.split("(", 1)[1], set()).add((int(fields[38]), int(fields[16])))
    return found


def test_observers_come_last(tmp_path):
    """On busy cores, whatever is done for observers, threads of ZeroMQ included, waits for those that train."""
    with stream.Run(tmp_path) as run:
        run.await_round(20)
        last, threads = scheduling(run.publisher()), scheduling(run.process.pid)
        assert run.stop().rc == 75
    assert len(last) >= 2 and set.union(*last.values()) == {(os.SCHED_BATCH, 19)}, last
    assert set.union(*threads.values()) == {(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))}, threads
    assert not [name for name in threads if name.startswith(("metrics", "ZMQ"))]


def test_stopped_ones_and_garbage(tmp_path, digest):
    """28 observers, 12 of them stopped, and four that write garbage to both sockets."""
    with stream.Run(tmp_path, rounds=ROUNDS) as run:
        run.await_round(50)
        live = [watchers(run, 8, 600) for _ in range(2)]
        stopped = [watchers(run, 6, 600) for _ in range(2)]
        garbage = [Garbage(run.port + i % 2, i) for i in range(4)]
        try:
            for process in live + stopped:
                assert process.stdout.readline() == "ready\n"
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            result = run.result(limit=300)
        finally:
            for g in garbage:
                g.stop = True
            for process in live + stopped:
                process.kill()
    assert result.json()["digest"] == digest
    assert all(g.n > 5 for g in garbage), [g.n for g in garbage]
    assert [row["round"] for row in run.rows()] == list(range(1, ROUNDS + 1))


def test_memory_is_flat(tmp_path):
    """While 20 observers are stopped, 20 others watch, and garbage comes."""
    with stream.Run(tmp_path) as run:
        run.await_round(2500)  # the history has its size
        processes = [watchers(run, 10, 600) for _ in range(4)]
        garbage = [Garbage(run.port + i, i) for i in range(2)]
        try:
            for process in processes:
                assert process.stdout.readline() == "ready\n"
            for process in processes[:2]:
                process.send_signal(signal.SIGSTOP)
            time.sleep(8)  # what waits for the stopped ones has its size
            pids, round_before = (run.process.pid, run.publisher()), len(run.rows())
            before = [resident(pid) for pid in pids]
            time.sleep(8)
            after, round_after = [resident(pid) for pid in pids], len(run.rows())
            assert round_after > round_before + 100
            assert all(b < a + 8 for a, b in zip(before, after)), (before, after)
            assert max(after) < 300
        finally:
            for g in garbage:
                g.stop = True
            for process in processes:
                process.kill()
        assert run.stop().rc == 75


def test_a_thousand_connections_left(tmp_path, digest):
    """Opened, most without a word, and left open; new observers are served nevertheless."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    sockets = []
    try:
        with stream.Run(tmp_path, rounds=ROUNDS) as run:
            run.await_round(20)
            for i in range(1000):
                s = socket.socket()
                s.settimeout(5)
                s.connect(("127.0.0.1", run.port + i % 2))
                if i % 3:
                    s.sendall(b"\xff" + bytes(8) + b"\x7f\3\0NULL"[:i % 7 + 1])
                sockets.append(s)
            observer = stream.Observer(run.port)
            observer.watch(lambda: observer.complete and observer.of("round"))
            result = run.result(limit=300)
            observer.close()
        assert result.json()["digest"] == digest
    finally:
        for s in sockets:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_flood_of_requests(tmp_path):
    """Peers that ask for snapshots without end and never read, and one that asks for what there is not."""
    with stream.Run(tmp_path) as run:
        run.await_round(2500)
        context = stream.new_context()
        flood = []
        for _ in range(100):
            s = context.socket(zmq.DEALER)
            s.rcvhwm, s.linger = 1, 0
            s.connect(f"tcp://127.0.0.1:{run.port + 1}")
            flood.append(s)
        for _ in range(50):
            for s in flood:
                for message in ([b"snapshot"], [b"", b"snapshot"], [b"snapshot!"], [b""], [b"x" * 300] * 5):
                    try:
                        s.send_multipart(message, zmq.DONTWAIT)
                    except zmq.Again:
                        pass
        publisher, rounds = run.publisher(), len(run.rows())
        before = resident(publisher)
        observer = stream.Observer(run.port)
        observer.watch(lambda: observer.complete and len(observer.of("round")) > 2000)
        time.sleep(3)
        assert resident(publisher) < before + 150
        assert len(run.rows()) > rounds + 10
        observer.close()
        context.destroy(linger=0)
        assert run.stop().rc == 75


# ---- floods: libzmq 4.3.4 asserts where a peer asks faster than it is read, and leaves ----

GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\3\0NULL" + bytes(16) + bytes(32)


def hello(kind):
    body = b"\5READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind + b"\x08Identity\0\0\0\0"
    return GREETING + b"\4" + bytes([len(body)]) + body


def flood(port, kind, message, until, peers=40, seconds=2):
    """Peers that say the message without end, read nothing, and are gone from one moment to the next: again and again, until
    until() is true, or twice."""
    for _ in range(2):
        sockets = []
        for _ in range(peers):
            s = socket.create_connection(("127.0.0.1", port), timeout=60)
            s.sendall(hello(kind))
            s.setblocking(False)
            sockets.append(s)
        end = time.monotonic() + seconds
        time.sleep(0.3)
        while time.monotonic() < end and not until():
            for s in sockets:
                try:
                    s.send(message * 200)
                except OSError:
                    pass
            time.sleep(0.002)
        for s in sockets:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\1\0\0\0")  # as if their process were killed
            s.close()
        time.sleep(0.5)
        if until():
            return


@pytest.mark.parametrize("offset, kind, message", [
    (1, b"DEALER", b"\0\x08snapshot"),
    (0, b"SUB", b"\0\x02\x01r\0\x02\0r\0\x09\x01" + b"x" * 8)],  # to what begins with r, no longer; to more, again
    ids=["requests", "subscriptions"])
def test_a_flood_and_gone(tmp_path, undisturbed, offset, kind, message):
    """Whatever becomes of the process that serves observers: the run goes on to the same bits, and new observers are served."""
    with stream.Run(tmp_path) as run:
        run.await_round(2500)
        first = run.publisher()
        flood(run.port + offset, kind, message, lambda: not supervised.is_running(first))
        serves_and_ends(run, undisturbed)


def serves_and_ends(run, undisturbed, keys=None):
    """An observer joins, hears the end of the run, and has its curve; the rounds are those of an undisturbed run."""
    observer = stream.Observer(run.port, keys=keys)
    has_all = lambda: observer.complete and observer.of("run") and len(observer.of("round")) > 1000
    observer.watch(has_all, limit=100)
    run.await_round(3000)
    observer.watch(has_all, limit=100)  # the flood may have ended the process that serves only now: its successor has been asked
    result = run.stop()
    observer.watch(lambda: observer.of("end"))
    observer.close()
    assert result.rc == 75, result
    digests = [row["digest"] for row in run.rows()][:ROUNDS]
    assert digests == undisturbed[:len(digests)]
    assert observer.of("round")[0].round == 1
    assert len(re.findall("the process that serves observers was ended by signal", result.err)) <= 4, result


ADMITTED = """
import sys, time, zmq
port, *keys = sys.argv[1:]
context, sockets = zmq.Context(), []
for _ in range(40):
    s = context.socket(zmq.DEALER)
    s.rcvhwm = 1
    s.curve_publickey, s.curve_secretkey, s.curve_serverkey = (key.encode() for key in keys)
    s.connect(f"tcp://127.0.0.1:{port}")
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in sockets:
        try:
            while True:
                s.send(b"snapshot", zmq.DONTWAIT)
        except zmq.Again:
            pass
"""


def test_a_flood_of_one_who_may_watch(tmp_path, undisturbed):
    """A key that is allowed, in a program that asks without end and is killed, three times."""
    server, alice = (closed.keygen(tmp_path / "keys", name) for name in ("server", "alice"))
    keys = closed.key_of(alice + ".public"), closed.key_of(alice + ".secret"), closed.key_of(server + ".public")
    with stream.Run(tmp_path, more=f'server_key = "{server}.secret"  allowed = "{alice}.public"') as run:
        run.await_round(2500)
        for _ in range(3):
            asker = subprocess.Popen([sys.executable, "-c", ADMITTED, str(run.port + 1), *(k.decode() for k in keys)],
                                     stdout=subprocess.PIPE, text=True)
            assert asker.stdout.readline() == "ready\n"
            time.sleep(1)
            asker.kill()
            asker.communicate()
        serves_and_ends(run, undisturbed, keys)
