"""Runs of several ranks that are disturbed while they run: signals to one rank, to mpirun, to launch/run."""
import glob
import json
import os
import subprocess
import tempfile
import time

import cli

RECOVERY = {"OMPI_MCA_orte_enable_recovery": "1"}

LONG = """
run {{ name = "long"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1  lease = 2 }}
data glyphs {{ format = "glyphs"  size = 14 }}
model {{ type = "conv4"  filters = 8 }}
stage meta {{ method = "maml"  data = "glyphs"  way = 3  shot = 1  query = 4  tasks = 16
             inner_steps = 1  inner_rate = 0.4  optimizer = "adam"  rate = 0.01  rounds = 240 }}
evaluate {{ every = 100  episodes = 60 }}
checkpoint {{ every = 20  keep = 3 }}
"""

# A stage of each kind that transfer adds: batches, blocks that travel with tasks of many steps, both kinds of tasks.
ADDA = """
run {{ name = "adda"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1  lease = 2 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
data outline {{ format = "glyphs"  size = 14  first = 4  style = "outline" }}
data slanted {{ format = "glyphs"  size = 14  first = 4  style = "slanted" }}
data dotted {{ format = "glyphs"  size = 14  first = 4  style = "dotted" }}
data thick {{ format = "glyphs"  size = 14  first = 4  style = "thick" }}
model {{ type = "mlp"  widths = {{"24", "16"}}  dropout = 10 }}
stage source {{ method = "pretrain"  data = "ink"  batch = 16  tasks = 4  rate = 0.01  rounds = 24 }}
stage last {{ method = "adda"  data = "ink"  target = {{"outline"}}  discriminator = {{"16"}}  batch = 32  tasks = 8
             rate = 0.001  rounds = 800 }}
evaluate {{ every = 5  episodes = 8 }}
checkpoint {{ every = 5  keep = 3 }}
"""
DOMAINS = ADDA.replace('target = {{"outline"}}', 'target = {{"outline", "slanted", "dotted", "thick"}}').replace(
    "tasks = 8", "steps = 400").replace("rounds = 800", "rounds = 4").replace("every = 5", "every = 1")
JOINT = """
run {{ name = "joint"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1  lease = 2 }}
data ink {{ format = "glyphs"  size = 14 }}
data outline {{ format = "glyphs"  size = 14  style = "outline" }}
model {{ type = "conv4"  filters = 4 }}
stage meta {{ method = "maml"  data = "ink"  way = 3  shot = 1  query = 4  tasks = 8  inner_steps = 1
             inner_rate = 0.4  rate = 0.01  rounds = 12 }}
stage last {{ method = "joint"  data = "ink"  target = {{"outline"}}  way = 3  shot = 1  query = 4  tasks = 8
             inner_steps = 1  inner_rate = 0.4  batches = 6  batch = 16  discriminator = {{"16"}}  rate = 0.002
             rounds = 800 }}
evaluate {{ every = 50  episodes = 30 }}
checkpoint {{ every = 20  keep = 3 }}
"""
TRANSFER = {"adda": (ADDA, 800, 8), "domains": (DOMAINS, 4, 4), "joint": (JOINT, 800, 14)}  # rounds and tasks of "last"


def environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return dict(e.split(b"=", 1) for e in f.read().split(b"\0") if b"=" in e)
    except OSError:
        return {}


def rank_among(pids, number):
    """The one of these processes that is that rank, or None."""
    mine = str(number).encode()
    return next((pid for pid in pids if environment_of(pid).get(b"OMPI_COMM_WORLD_RANK") == mine), None)


class Job:
    """A command in a session of its own; every rank it starts stays in that session."""

    def __init__(self, command, env=None, cwd=None):
        self.command = [str(c) for c in command]
        self.job = 0  # Open MPI's number, once a rank was looked for
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
                                        env=cli.environment(env), cwd=cwd or cli.ROOT, start_new_session=True)

    def rank(self, number):
        """The process of a rank, or None while (or when) there is none."""
        pid = rank_among(cli.members(self.process.pid), number)
        self.job = self.job or int(environment_of(pid).get(b"OMPI_MCA_ess_base_jobid", 0))
        return pid

    def alive(self):
        return self.process.poll() is None

    def send(self, number, signum):
        """Sends a signal to a rank; False if it is not there (any more)."""
        pid = self.rank(number)
        try:
            if pid:
                os.kill(pid, signum)
        except ProcessLookupError:
            return False
        return pid is not None

    def wait(self, limit=cli.TIMEOUT):
        timed_out = False
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        if timed_out or cli.members(self.process.pid):
            cli.end(self.process)
        for path in glob.glob(f"/dev/shm/vader_segment.*.{os.getuid()}.{self.job:x}.*"):
            os.unlink(path)  # killed ranks leave theirs
        texts = []
        for stream in (self.out, self.err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
            stream.close()
        return cli.Result(self.command, self.process.returncode, *texts, timed_out)


def metrics(folder):
    """The whole lines of a run's metrics.jsonl."""
    try:
        with open(os.path.join(folder, "run", "metrics.jsonl")) as f:
            return [json.loads(line) for line in f.read().split("\n")[:-1]]  # at once: it is being written
    except FileNotFoundError:
        return []


def round_rows(folder, stage=None):
    """Those of one stage, or all."""
    return [row for row in metrics(folder) if row["kind"] == "round" and stage in (None, row["stage"])]


def round_of(folder, stage=None):
    return max((row["round"] for row in round_rows(folder, stage)), default=0)


def await_round(job, folder, number, limit=60, stage=None):
    """Waits until the run has done that many rounds (or has ended)."""
    until = time.monotonic() + limit
    while job.alive() and round_of(folder, stage) < number:
        assert time.monotonic() < until, f"no round {number} within {limit} s"
        time.sleep(0.01)


def check_rounds(folder, rounds, tasks, stage=None):
    """Every round is there exactly once, with every task."""
    rows = round_rows(folder, stage)
    assert [row["round"] for row in rows] == list(range(1, rounds + 1))
    assert all(row["tasks"] + row["failed"] == tasks for row in rows)
