"""launch/run under observation: its ranks are found, killed, signalled, and nothing of it may stay behind."""
import glob
import json
import os
import signal
import subprocess
import tempfile
import time

import cli
import fault

RUN = os.path.join(cli.ROOT, "launch", "run")


def wait_for(what, seconds=60):
    """Calls what() until it is true; its value."""
    limit = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < limit, f"waited {seconds} s"
        time.sleep(0.01)
    return found


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode().split("\0")
    except OSError:
        return [""]


def environment():
    """What a user has: launch/run is to find the rest."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "SLURM_", "OPENBLAS_"))}


class Supervised:
    """A launch/run in a session of its own. Use with `with`: what it leaves is ended, and is a failure if it is a process
    or shared memory."""

    def __init__(self, folder, *args, program=RUN, before=(), env=None, cwd=None, **popen):
        self.status = os.path.join(folder, "status")
        self.command = [*before, program, *map(str, args)]
        self.jobs = set()
        self.streams = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        how = dict(stdin=subprocess.DEVNULL, stdout=self.streams[0], stderr=self.streams[1], start_new_session=True)
        how.update(popen)
        self.process = subprocess.Popen(self.command, cwd=cwd or cli.ROOT,
                                        env={**environment(), "METALOOP_STATUS": self.status, **(env or {})}, **how)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        limit = time.monotonic() + 60  # ranks end within a second of their mpirun, if the machine has time for them
        while (left := self.processes()) and self.process.poll() is not None and time.monotonic() < limit:
            time.sleep(0.02)
        names = [command_of(pid) for pid in left]
        for pid in {*self.processes(), self.process.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        if failure[0] is None and self.process.returncode >= 0:
            assert not left, f"left behind after exit status {self.process.returncode}: {names}"
            assert not self.segments()
        for path in self.segments():
            os.unlink(path)

    def processes(self):
        """Everything that was started with this status file in its environment, wherever it is."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    mine = f"METALOOP_STATUS={self.status}".encode() in f.read().split(b"\0")
            except OSError:
                continue
            if mine and is_running(pid) and int(pid) != self.process.pid:
                found.append(int(pid))
        return found

    def segments(self):
        return [p for job in self.jobs for p in glob.glob(f"/dev/shm/vader_segment.*.{os.getuid()}.{job:x}.*")]

    def rank0(self, after=None):
        """(process id, job) of rank 0 when it has started, of another job than `after`."""
        def look():
            assert self.process.poll() is None, self.result()
            try:
                with open(self.status + ".rank0") as f:
                    pid, job = f.read().split()[:2]
            except (OSError, ValueError):
                return None
            return (int(pid), int(job)) if int(job) != after else None
        found = wait_for(look)
        self.jobs.add(found[1])
        return found

    def rank(self, number):
        """The process of a rank on this machine, or None."""
        return fault.rank_among(self.processes(), number)

    def mpirun(self):
        return wait_for(lambda: [pid for pid in self.processes() if command_of(pid)[0] == "mpirun"])[0]

    def workers(self):
        """Their process ids, on this machine."""
        return [pid for pid in children(self.mpirun()) if pid != self.rank0()[0]]

    def result(self, timeout=cli.TIMEOUT):
        timed_out = False
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        texts = []
        for stream in self.streams:
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
        result = cli.Result(self.command, self.process.poll(), *texts, timed_out)
        assert not timed_out, result
        return result

    def exit_report(self):
        with open(self.status) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)


def rounds_of(run):
    """The last round that metrics.jsonl of a run directory has; 0: none."""
    try:
        with open(os.path.join(run, "metrics.jsonl")) as f:
            lines = [json.loads(line) for line in f.read().split("\n")[:-1]]
    except OSError:
        return 0
    return max((o["round"] for o in lines if o["kind"] == "round"), default=0)


def checkpoints_of(run):
    return sorted(glob.glob(os.path.join(run, "checkpoint-*.safetensors")))


def identity_of(run):
    """The id of the run that a directory holds."""
    with open(os.path.join(run, "manifest.json")) as f:
        return json.load(f)["run_id"]


def first_line(run):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return json.loads(f.readline())
