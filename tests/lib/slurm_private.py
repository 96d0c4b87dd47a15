"""A private Slurm (tests/slurm) for as long as it is needed."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import cli
from supervised import environment, wait_for

TOOLS = os.path.join(cli.ROOT, "tests", "faults", "slurm")
BATCH = os.path.join(cli.ROOT, "launch", "slurm.sbatch")


def why_not():
    """What keeps a private Slurm from running here; None: nothing."""
    missing = [p for p in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        return f"no {' '.join(missing)} here (make check-slurm installs Slurm)"
    if os.geteuid() != 0:
        return "a private Slurm needs root"
    if not os.path.ismount("/sys/fs/cgroup"):
        return "slurmd needs a mounted /sys/fs/cgroup"
    return None


def free_ports():
    """The first of two neighbours."""
    while True:
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            try:
                b.bind(("127.0.0.1", a.getsockname()[1] + 1))
            except OSError:
                continue
            return a.getsockname()[1]


class Slurm:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="slurm-")
        self.env = {**environment(), "SLURM_CONF": f"{self.folder}/slurm.conf",
                    "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        try:
            self.call(os.path.join(TOOLS, "up"), self.folder, str(free_ports()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        subprocess.run([os.path.join(TOOLS, "down"), self.folder], check=True)
        wait_for(lambda: not any(os.path.exists(f"{self.folder}/{d}.pid") for d in ("slurmd", "slurmctld", "munged")))
        shutil.rmtree(self.folder)

    def call(self, *command):
        done = subprocess.run(command, env=self.env, cwd=cli.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def submit(self, output, *args, options=()):
        """A job of launch/slurm.sbatch with these arguments; its number."""
        return self.call("sbatch", "--parsable", "-o", str(output), *options, BATCH, *map(str, args)).strip()

    def job(self, number):
        """What Slurm says of it."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call("scontrol", "show", "job", number)))

    def ends(self, number, seconds=cli.TIMEOUT, pause=0.1):
        """The job when Slurm has no more to do with it."""
        limit = time.monotonic() + seconds
        while (job := self.job(number))["JobState"] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED"):
            assert time.monotonic() < limit, job
            time.sleep(pause)
        return job
