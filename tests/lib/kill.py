"""Kills a program at chosen system calls, with strace's fault injection, and reads checkpoints independently of it."""
import collections
import glob
import json
import os
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

import cli

WRITER = os.path.join(cli.ROOT, "build", "tests", "lib", "checkpoint_writer")
CALL = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)")
KILLED = (-9, 137)
PID = 4  # of metaloop behind unshare and strace, in a process namespace


def need_strace():
    """Skips where strace is missing or may not trace."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: launch/install-deps test")
    probe = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], stderr=subprocess.PIPE, text=True)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


def need_namespace():
    """Skips where a process namespace, which makes process ids predictable, cannot be had."""
    need_strace()
    need_root()
    probe = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], stderr=subprocess.PIPE, text=True)
    if probe.returncode:
        pytest.skip(f"no process namespace here: {probe.stderr.strip()}")


def traced_train(conf, paths, options):
    """`metaloop train CONF --json` under strace with these options, which looks at calls on these paths only; its
    process id is PID."""
    watch = [word for path in paths for word in ("-P", str(path))]
    return cli.execute(["unshare", "--pid", "--fork", "--mount-proc", "strace", "-f", "-qq", *map(str, options), *watch,
                        cli.METALOOP, "train", conf, "--json"])


def calls(log):
    """The system calls of a strace log as (thread, name, ordinal of that name in the thread, arguments)."""
    found, counts = [], collections.Counter()
    with open(log, errors="replace") as f:
        for line in f:
            match = CALL.match(line)
            if match:
                thread, name, arguments = match.groups()
                counts[thread, name] += 1
                found.append((thread, name, counts[thread, name], arguments))
    return found


def tensors(path):
    """The values of a safetensors file, by numpy alone; every offset within the file."""
    data = open(path, "rb").read()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__")
    for name, t in header.items():
        begin, end = (8 + n + offset for offset in t["data_offsets"])
        assert end <= len(data)
        yield name, np.frombuffer(data[begin:end], {"F32": np.float32, "F64": np.float64}[t["dtype"]])


def rounds_there(folder):
    """The rounds of the checkpoints in folder, each of which holds exactly what checkpoint_writer gave it."""
    found = []
    for path in sorted(glob.glob(f"{folder}/*.safetensors")):
        number = int(path.split("-")[-1].split(".")[0])
        values = np.concatenate([x for _, x in tensors(path)])
        n = len(values) // 3
        expected = np.concatenate([np.arange(n), 100 + np.arange(2 * n)]) + 1000 * number
        assert (values == expected).all(), f"{path} is not what was written"
        found.append(number)
    return found


def writer(*args, strace=()):
    command = ["strace", *map(str, strace)] if strace else []
    return cli.execute([*command, WRITER, *map(str, args)])


def write_points(folder):
    """Every system call of one checkpoint's writing and pruning, and of the process's end, from a first log."""
    log = os.path.join(folder, "log")
    assert writer("write", os.path.join(folder, "run"), 4, 4, 2, strace=["-qq", "-o", log]).rc == 0
    found = calls(log)
    begin = next(i for i, c in enumerate(found) if c[1] == "access" and "/begin" in c[3])
    points = [(name, ordinal) for _, name, ordinal, _ in found[begin + 1:]]
    for name in ("openat", "write", "fsync", "close", "rename", "getdents64", "unlink", "exit_group"):
        assert name in [p[0] for p in points], f"no {name} in {points}"
    return points


def prepare(folder):
    """Rounds 1 to 3 of which 2 and 3 are kept."""
    os.makedirs(folder / "run")
    assert writer("write", folder / "run", 1, 3, 2).rc == 0
    assert rounds_there(folder / "run") == [2, 3]
    return folder / "run"


def kill_writer(source, folder, name, ordinal):
    """Round 4, killed at its ordinal-th call of name: what was good is there, the newest is good, and it goes on."""
    shutil.copytree(source, folder)
    where = f"killed at {name} number {ordinal}"
    result = writer("write", folder, 4, 4, 2, strace=["-qq", "-o", os.devnull, "-e", f"trace={name}", "-e",
                                                      f"inject={name}:signal=KILL:when={ordinal}"])
    assert result.rc in KILLED, f"{where}: it was not{result!r}"
    there = rounds_there(folder)
    assert there in ([2, 3], [2, 3, 4], [3, 4]), f"{where}: {there}"
    newest = writer("newest", folder)
    assert (newest.rc, newest.out, newest.err) == (0, f"{there[-1]}\n", ""), f"{where}{newest!r}"
    assert writer("clean", folder).rc == 0
    assert not glob.glob(f"{folder}/*.tmp-*"), where
    assert writer("write", folder, 5, 5, 2).rc == 0
    assert rounds_there(folder) in ([3, 5], [4, 5]), where
    shutil.rmtree(folder)
