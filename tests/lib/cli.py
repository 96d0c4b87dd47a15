"""How the tests run metaloop: alone or under mpirun, never for longer than a limit."""
import json
import os
import signal
import subprocess
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
METALOOP = os.path.join(ROOT, "build", "metaloop")
METALOOP64 = os.path.join(ROOT, "build64", "metaloop")
TIMEOUT = 120

SMALL = """
run {{ name = "small"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data glyphs {{ format = "glyphs"  size = 14 }}
model {{ type = "conv4"  filters = 4 }}
stage meta {{ method = "maml"  data = "glyphs"  way = 3  shot = 1  query = 2  tasks = 6
             inner_steps = 1  inner_rate = 0.4  optimizer = "adam"  rate = 0.01  rounds = 8 }}
evaluate {{ every = 0  episodes = 6 }}
checkpoint {{ every = 4  keep = 3 }}
"""


class Result:
    def __init__(self, command, rc, out, err, timed_out):
        self.command, self.rc, self.out, self.err, self.timed_out = command, rc, out, err, timed_out

    def json(self):
        """The object on the last line of standard output."""
        return json.loads(self.out.strip().split("\n")[-1])

    def __repr__(self):  # what pytest shows of a failed assertion
        how = "timed out" if self.timed_out else f"exit status {self.rc}"
        return f"\n$ {' '.join(self.command)}\n{self.out[-3000:]}{self.err[-3000:]}[{how}]"


def environment(extra=None):
    """What mpirun needs on any machine, root or not (Open MPI refuses root and more ranks than cores)."""
    env = dict(os.environ)
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    env.update(OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1",
               OMPI_MCA_hwloc_base_binding_policy="none", OMPI_MCA_btl_vader_single_copy_mechanism="none",
               OMPI_MCA_mpi_warn_on_fork="0", OPENBLAS_NUM_THREADS="1")
    if env.get("METALOOP_DATA"):
        env["METALOOP_DATA"] = os.path.join(ROOT, env["METALOOP_DATA"])
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


def members(session):
    """The processes of a session: mpirun puts each rank into a process group of its own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(pid))
    return found


def end(process):
    """SIGTERM, so that mpirun can tidy up; then SIGKILL to whatever is left of its session."""
    for signum, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        for pid in [process.pid] if signum == signal.SIGTERM else members(process.pid):
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass
        limit = time.monotonic() + seconds
        while members(process.pid) and time.monotonic() < limit:
            process.poll()
            time.sleep(0.02)
    process.wait()


def execute(command, env=None, timeout=TIMEOUT, cwd=None):
    """Runs a command in a session of its own, output into files: nothing that it leaves can hang us."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   env=environment(env), cwd=cwd or ROOT, start_new_session=True)
        timed_out = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            if process.returncode is None or members(process.pid):
                end(process)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Result(command, process.returncode, *texts, timed_out)


def run(*args, ranks=None, env=None, timeout=TIMEOUT, cwd=None, program=METALOOP):
    """build/metaloop ARGS, under mpirun -n RANKS where given. Running past the timeout is a failure."""
    command = [program, *map(str, args)]
    if ranks is not None:
        command = ["mpirun", "-n", str(ranks), *command]
    result = execute(command, env, timeout, cwd)
    assert not result.timed_out, result
    return result


def done(*args, **how):
    """run(), which has to succeed."""
    result = run(*args, **how)
    assert result.rc == 0, result
    return result


def small(folder, text=SMALL, **changes):
    """Writes the small configuration into folder, with 'old': 'new' pieces of text changed; its path."""
    text = text.format(directory=os.path.join(folder, "run"))
    for old, new in changes.pop("replace", {}).items():
        assert old in text, f"'{old}' is not in the configuration"
        text = text.replace(old, new)
    assert not changes
    path = os.path.join(folder, "small.conf")
    with open(path, "w") as f:
        f.write(text.lstrip())
    return path
