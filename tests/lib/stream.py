"""An observer of the metrics stream, as docs/stream.md tells to write one; and runs to observe."""
import importlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

import zmq

import cli
import fault
import supervised

TEXT = """
run {{ name = "watched"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data sine {{ format = "sinusoid" }}
model {{ type = "mlp"  widths = {{"20", "20"}} }}
stage meta {{ method = "maml"  data = "sine"  shot = 5  query = 5  tasks = 4  inner_steps = 2  inner_rate = 0.01
             optimizer = "sgd"  rate = 0.0001  rounds = {rounds} }}
evaluate {{ every = 500  episodes = 6 }}
checkpoint {{ every = 500  keep = 3 }}
progress {{ every = 1000 }}
metrics {{ endpoint = "tcp://127.0.0.1:{port}" {more} }}
"""


def generate(folder):
    """Puts proto/metaloop_pb2.py into a folder."""
    subprocess.run(["protoc", f"--python_out={folder}", "proto/metaloop.proto"], cwd=cli.ROOT, check=True)


def schema():
    """The module that protoc makes of the schema."""
    if "metaloop_pb2" not in sys.modules:
        with tempfile.TemporaryDirectory() as folder:
            generate(folder)
            sys.path.insert(0, os.path.join(folder, "proto"))
            importlib.import_module("metaloop_pb2")
            sys.path.pop(0)
    return sys.modules["metaloop_pb2"]


def free_port():
    """The first of two neighbouring free ports."""
    while True:
        port = random.randrange(20000, 32000, 2)
        with socket.socket() as a, socket.socket() as b:
            try:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                pass


CONTEXTS = []  # for ever: one that is collected while a failed test still holds its sockets would wait for those without end


def new_context():
    CONTEXTS.append(zmq.Context())
    return CONTEXTS[-1]


def publisher_of(pid):
    """The process that serves the observers of a rank 0; None while there is none."""
    return next((child for child in supervised.children(pid) if supervised.command_of(child)[1:2] == ["publish"]), None)


class Run(fault.Job):
    """A run that is watched; by default so long that it has to be stopped."""

    def __init__(self, folder, rounds=1000000, more="", port=None, ranks=None, args=(), text=TEXT, env=None, launcher=None):
        self.folder, self.port = str(folder), port or free_port()
        os.makedirs(self.folder, exist_ok=True)
        self.directory = os.path.join(self.folder, "run")
        path = os.path.join(self.folder, "watched.conf")
        with open(path, "w") as f:
            f.write(text.format(directory=self.directory, rounds=rounds, port=self.port, more=more))
        before = launcher or (["mpirun", "-n", ranks] if ranks else [])
        super().__init__([*before, cli.METALOOP, "train", path, "--json", *args], env)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            cli.end(self.process)

    def rows(self, kind="round"):
        return [row for row in fault.metrics(self.folder) if row["kind"] == kind]

    def await_round(self, number):
        fault.await_round(self, self.folder, number)

    def publisher(self):
        """The process that serves observers, which may not be the first one."""
        return supervised.wait_for(lambda: publisher_of(self.rank(0) or self.process.pid))

    def stop(self):
        """SIGTERM, and what it says."""
        self.process.terminate()
        return self.wait()

    def result(self, rc=0, limit=cli.TIMEOUT):
        result = self.wait(limit)
        assert result.rc == rc and not result.timed_out, result
        return result


class Observer:
    """Joins at any time, has the history, notices gaps and heals them."""

    def __init__(self, port, keys=None, snapshot=None, topics=("",)):
        self.context = new_context()
        self.stream, self.dealer = self.context.socket(zmq.SUB), self.context.socket(zmq.DEALER)
        for s, at in ((self.stream, port), (self.dealer, snapshot or port + 1)):
            s.linger = 0
            if keys:
                s.curve_publickey, s.curve_secretkey, s.curve_serverkey = keys
            s.connect(f"tcp://127.0.0.1:{at}")
        for topic in topics:
            self.stream.subscribe(topic)
        self.stream.rcvhwm = 0
        self.seen, self.gaps, self.asked, self.snapshots, self.twice = {}, 0, None, 0, 0
        self.last, self.complete, self.incarnation, self.parts = 0, False, None, []
        self.drop = set()  # sequence numbers to lose on purpose
        self.events = schema().Events

    def close(self):
        self.context.destroy(linger=0)

    def ask(self):
        self.dealer.send(b"snapshot")
        self.asked = time.monotonic()

    def take(self, event):
        if event.incarnation != self.incarnation:
            if self.incarnation is not None:
                self.seen, self.last, self.complete = {}, 0, False
                self.ask()
            self.incarnation = event.incarnation
        kind = event.WhichOneof("what")
        if kind == "heartbeat":
            if self.complete and event.seq > self.last:
                self.gap()
            return
        if event.seq in self.drop:
            self.drop.discard(event.seq)
            return
        self.twice += event.seq in self.seen
        self.seen[event.seq] = event
        if self.complete and event.seq > self.last + 1:
            self.gap()
        elif self.complete:
            self.last = max(self.last, event.seq)

    def gap(self):
        self.gaps += 1
        self.complete = False
        self.ask()

    def answer(self, frame):
        for event in self.events.FromString(frame).events:
            if event.WhichOneof("what") != "complete":
                self.seen.setdefault(event.seq, event)
                continue
            self.snapshots += 1
            self.asked = None
            self.last = event.seq
            while self.last + 1 in self.seen:  # the stream went on meanwhile
                self.last += 1
            self.complete = max(self.seen, default=0) <= self.last
            if not self.complete:
                self.ask()

    def step(self, seconds=0.1):
        """Takes what comes."""
        poller = zmq.Poller()
        poller.register(self.stream, zmq.POLLIN)
        poller.register(self.dealer, zmq.POLLIN)
        if not self.complete and (self.asked is None or time.monotonic() - self.asked > 3):
            self.ask()
        ready = dict(poller.poll(seconds * 1000))
        for _ in range(1000):
            if self.stream not in ready or not self.stream.poll(0):
                break
            topic, payload = self.stream.recv_multipart()
            for event in self.events.FromString(payload).events:
                assert event.WhichOneof("what") == topic.decode()
                self.take(event)
        if self.dealer in ready:
            self.answer(self.dealer.recv())

    def watch(self, until, limit=60):
        """Until until() is true."""
        end = time.monotonic() + limit
        while not until():
            assert time.monotonic() < end, f"not within {limit} s: {self}"
            self.step()
        return self

    def of(self, kind):
        """The events of a kind, by sequence number."""
        return [getattr(self.seen[seq], kind) for seq in sorted(self.seen) if self.seen[seq].WhichOneof("what") == kind]

    def __repr__(self):
        kinds = [e.WhichOneof("what") for e in self.seen.values()]
        return f"complete {self.complete}, last {self.last}, " + str({k: kinds.count(k) for k in set(kinds)})


def thinned(rows, most=2000):
    """What the history keeps of a curve."""
    every = 1
    while (len(rows) + every - 1) // every > most:
        every *= 2
    kept = rows[::every]
    return kept if not rows or kept[-1] is rows[-1] else kept + [rows[-1]]


def same_value(mine, value):
    """NaN is what null is in the file; lists go by their places."""
    if isinstance(value, list):
        return len(mine) == len(value) and all(map(same_value, mine, value))
    if value is None:
        return mine != mine
    return abs(mine - value) <= 1e-8 * abs(value) if isinstance(value, float) else mine == value


def same(event, row):
    """Whether an event has what a line of metrics.jsonl has."""
    for key, value in row.items():
        assert key == "kind" or same_value(getattr(event, key), value), (key, getattr(event, key), value)
    return True


def json_of(path):
    with open(path) as f:
        return [json.loads(line) for line in f]
