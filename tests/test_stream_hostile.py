"""Observers cannot hurt: stopped ones, ones that write garbage, thousands of connections, floods of requests. The run ends
with the same digest, and its coordinator does not grow."""
import os
import random
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
def digest(tmp_path_factory):
    """Of the run that nobody watches."""
    folder = tmp_path_factory.mktemp("alone")
    with stream.Run(folder, rounds=ROUNDS, args=["--set", "metrics.endpoint=", "--quiet"]) as run:
        return run.result().json()["digest"]


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
        threads = scheduling(run.process.pid)
        assert run.stop().rc == 75
    last = {name: how for name, how in threads.items() if name.startswith(("metrics", "ZMQ"))}
    assert len(last) >= 2 and set.union(*last.values()) == {(os.SCHED_BATCH, 19)}, threads
    mine = set.union(*(how for name, how in threads.items() if name not in last))
    assert mine == {(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))}, threads


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
            before, round_before = resident(run.process.pid), len(run.rows())
            time.sleep(8)
            after, round_after = resident(run.process.pid), len(run.rows())
            assert round_after > round_before + 100
            assert after < before + 8, (before, after)
            assert after < 300
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
        context = zmq.Context()
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
        before, rounds = resident(run.process.pid), len(run.rows())
        observer = stream.Observer(run.port)
        observer.watch(lambda: observer.complete and len(observer.of("round")) > 2000)
        time.sleep(3)
        assert resident(run.process.pid) < before + 150
        assert len(run.rows()) > rounds + 10
        observer.close()
        context.destroy(linger=0)
        assert run.stop().rc == 75
