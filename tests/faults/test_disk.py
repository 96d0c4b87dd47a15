"""A disk that is full, read-only, failing or slow: the run ends with the right result, or with 74 and a message that names
the path; what stands under a checkpoint's name is whole, and so is every line of metrics.jsonl."""
import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import pytest

import cli
import kill

IO = 74
LIMIT = 60  # seconds until something has to show


def check(run):
    """No damaged checkpoint, no torn line; the checkpoints' rounds and the events."""
    rounds = []
    for path in sorted(glob.glob(f"{run}/*.safetensors")):
        assert sum(1 for _ in kill.tensors(path)) > 0
        cli.done("inspect", path)
        rounds.append(int(path.split("-")[-1].split(".")[0]))
    events = []
    if os.path.exists(f"{run}/metrics.jsonl"):
        text = open(f"{run}/metrics.jsonl").read()
        assert text == "" or text.endswith("\n")
        events = [json.loads(line) for line in text.splitlines()]
    return rounds, events


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """The digest of the undisturbed run."""
    return cli.done("train", cli.small(tmp_path_factory.mktemp("undisturbed")), "--json").json()["digest"]


# ---- full and read-only ----

@contextlib.contextmanager
def mounted(folder, *arguments):
    kill.need_root()
    mount = subprocess.run(["mount", *arguments, str(folder)], stderr=subprocess.PIPE, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path):
    """A file system of 32 MiB: the metrics of a fast run take two minutes to fill it."""
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=32m", "tmpfs") as folder:
        yield folder


class Running:
    """A long run whose standard error can be read while it lasts; SIGTERM ends it."""

    def __init__(self, folder):
        self.conf = cli.small(folder)
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [cli.METALOOP, "train", self.conf, "--set", "stage.meta.rounds=10000000", "--set", "checkpoint.every=50"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.err, env=cli.environment(),
            start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        cli.end(self.process)
        self.err.close()

    def said(self):
        self.err.seek(0)
        return self.err.read().decode()

    def wait(self, what):
        """Until what() is true; its value."""
        limit = time.monotonic() + LIMIT
        while not (value := what()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.02)
        return value

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


def newest(run):
    return max(glob.glob(f"{run}/*.safetensors"), default=None)


def same_as_undisturbed(folder, run):
    """Every round that metrics.jsonl tells of has the parameters of a run that nothing happened to."""
    rounds, events = check(run)
    told = {e["round"]: e["digest"] for e in events if e["kind"] == "round"}
    assert max(told) == rounds[-1]
    folder.mkdir()
    expected = cli.done("train", cli.small(folder), "--json", "--set", f"stage.meta.rounds={rounds[-1]}",
                        "--set", "checkpoint.every=1000000").json()["digest"]
    assert told[rounds[-1]] == expected


def fill(path):
    """Until nothing more fits."""
    with open(path, "wb", buffering=0) as f:
        for n in (1 << 20, 1 << 10):
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(n))


def test_full_and_free_again(disk, tmp_path):
    with Running(disk) as running:
        run = disk / "run"
        running.wait(lambda: newest(run))
        fill(disk / "filler")
        running.wait(lambda: "the checkpoint is tried again" in running.said())
        before = newest(run)
        running.wait(lambda: "training goes on without its lines" in running.said())
        check(run)
        os.remove(disk / "filler")
        running.wait(lambda: "checkpoints are written again" in running.said())
        running.wait(lambda: "metrics.jsonl' is written again" in running.said())
        running.wait(lambda: newest(run) > before)
        assert running.stop() == 75, running.said()
        said = running.said()
    assert said.count("No space left on device") == 2, said
    assert sum(e["events"] for e in check(run)[1] if e["kind"] == "lost") > 0
    same_as_undisturbed(tmp_path / "again", run)


def test_full_to_the_end(disk):
    """What was saved before it was full is there, whole, and named."""
    with Running(disk) as running:
        run = disk / "run"
        running.wait(lambda: newest(run))
        fill(disk / "filler")
        running.wait(lambda: "the checkpoint is tried again" in running.said())
        assert running.stop() == IO, running.said()
        last = running.said().strip().split("\n")[-1]
    assert re.search(r"cannot (write|create) '.*safetensors': No space left on device; tried 5 times; the last "
                     r"checkpoint is '.*safetensors'", last), last
    assert check(run)[0]


def test_full_with_workers(disk, tmp_path):
    """The attempts at the end take five seconds; workers that hear nothing for three leases leave."""
    conf = cli.small(tmp_path)
    cli.done("train", conf, "--run", disk / "run", "--set", "stage.meta.rounds=4", ranks=3)
    os.remove(newest(disk / "run"))
    fill(disk / "filler")
    size = os.path.getsize(disk / "filler")
    os.truncate(disk / "filler", size - 16 * 1024)  # for a manifest and some metrics
    result = cli.run("train", conf, "--run", disk / "run", "--resume", "--set", "cluster.lease=1", "--set",
                     "model.filters=16", ranks=3)
    assert result.rc == IO and "tried 5 times" in result.err and "silent" not in result.err, result
    assert check(disk / "run")[0] == []


def test_read_only_for_a_while(disk, tmp_path):
    """A read-only mount over the run's directory; the metrics, open since before, go on below it."""
    with Running(disk) as running:
        run = disk / "run"
        running.wait(lambda: newest(run))
        with mounted(run, "--bind", str(run)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(run)], check=True)
            running.wait(lambda: "Read-only file system; training goes on" in running.said())
            before = newest(run)
        running.wait(lambda: "checkpoints are written again" in running.said())
        running.wait(lambda: newest(run) > before)
        assert running.stop() == 75, running.said()
        assert running.said().count("Read-only file system") == 1
    same_as_undisturbed(tmp_path / "again", run)


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_read_only_from_the_start(resume, disk):
    conf = cli.small(disk)
    if resume:
        cli.done("train", conf)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    before = check(disk / "run")[0]
    result = cli.run("train", conf, *resume)
    assert result.rc == IO and str(disk / "run") in result.err and "Read-only file system" in result.err, result
    assert check(disk / "run")[0] == before


# ---- input/output errors ----

def temporary(run, at):
    return run / f"checkpoint-00-{at:09d}.safetensors.tmp-{kill.PID}-0"


def inject(folder, path, calls, error="EIO", when="1+", replace=None):
    """A run with errors in these calls on one path, and the run's directory."""
    kill.need_namespace()
    options = ["-o", os.devnull] + [w for call in calls for w in ("-e", f"inject={call}:error={error}:when={when}")]
    result = kill.traced_train(cli.small(folder, replace=replace or {}), [path], options)
    assert result.rc in (0, IO), result
    return result


@pytest.mark.parametrize("call, error", [("openat", "EDQUOT"), ("write", "EIO"), ("write", "ENOSPC"), ("fsync", "EIO"),
                                         ("close", "EDQUOT"), ("rename", "EROFS")])
def test_error_in_mid_run(call, error, digest, tmp_path):
    run = tmp_path / "run"
    result = inject(tmp_path, temporary(run, 4), [call], error)
    assert result.rc == 0 and result.json()["digest"] == digest, result
    assert f"{4:09d}.safetensors': " in result.err and "training goes on" in result.err, result
    rounds, events = check(run)
    assert 8 in rounds and 4 not in rounds
    assert [e["at_round"] for e in events if e["kind"] == "checkpoint" and e["error"]] == [4]
    assert not glob.glob(f"{run}/*.tmp-*")


@pytest.mark.parametrize("call", ["openat", "fsync"])
def test_error_at_the_end(call, tmp_path):
    """Every attempt to save fails."""
    run = tmp_path / "run"
    result = inject(tmp_path, temporary(run, 8), [call])
    assert result.rc == IO and f"{8:09d}.safetensors': Input/output error; tried 5 times" in result.err, result
    assert check(run)[0] == [4]


@pytest.mark.parametrize("call", ["write", "rename"])
def test_error_at_the_end_once(call, digest, tmp_path):
    run = tmp_path / "run"
    result = inject(tmp_path, temporary(run, 8), [call], when="1")
    assert result.rc == 0 and result.json()["digest"] == digest, result
    assert check(run)[0] == [4, 8]


@pytest.mark.parametrize("name, calls", [("manifest.json", ["write"]), ("manifest.json", ["fsync"]),
                                         ("configuration.conf", ["rename"]), ("", ["mkdir"]), ("", ["fsync"])])
def test_error_at_the_start(name, calls, tmp_path):
    run = tmp_path / "run"
    path = run / f"{name}.tmp-{kill.PID}-0" if name else run
    result = inject(tmp_path, path, calls)
    assert result.rc == IO and str(run) in result.err and "Input/output error" in result.err, result
    assert not (run / name).is_file()
    assert not glob.glob(f"{run}/*.tmp-*")


def test_error_of_the_directory(digest, tmp_path):
    """Its fsync after the thread's first: a checkpoint that is there counts as not written."""
    result = inject(tmp_path, tmp_path / "run", ["fsync"], when="3+", replace={"every = 4": "every = 1"})
    rounds, _ = check(tmp_path / "run")
    assert rounds
    if result.rc == 0:
        assert result.json()["digest"] == digest
    else:
        assert "cannot sync the directory of" in result.err, result


@pytest.mark.parametrize("calls", [["write"], ["write", "ftruncate"], ["fsync"]])
@pytest.mark.parametrize("when", ["3..5", "3+"])
def test_error_of_metrics(calls, when, digest, tmp_path):
    result = inject(tmp_path, tmp_path / "run" / "metrics.jsonl", calls, when=when)
    rounds, events = check(tmp_path / "run")
    assert rounds == [4, 8]
    if result.rc == 0:
        assert result.json()["digest"] == digest
    if "write" in calls:
        assert result.err.count("metrics.jsonl': Input/output error; training goes on") == 1, result
    if "write" in calls and when == "3..5":
        assert [e["events"] for e in events if e["kind"] == "lost"] == [3]


def test_error_of_reading(digest, tmp_path):
    """The newest one cannot be read: named and set aside, and the one before it is used."""
    kill.need_namespace()
    conf, run = cli.small(tmp_path), tmp_path / "run"
    cli.done("train", conf)
    newest_one = f"{run}/checkpoint-00-{8:09d}.safetensors"
    result = cli.execute(["strace", "-f", "-qq", "-o", os.devnull, "-P", newest_one, "-e", "inject=pread64:error=EIO",
                          cli.METALOOP, "train", conf, "--resume", "--json"])
    assert result.rc == 0 and result.json()["digest"] == digest, result
    assert f"cannot read '{newest_one}' at byte 0: Input/output error" in result.err, result
    assert "resuming meta at round 4 " in result.err, result
    assert check(run)[0] == [4, 8] and os.path.exists(f"{newest_one}.damaged")


# ---- a disk that takes its time ----

def test_nobody_waits_for_a_slow_disk(tmp_path):
    """fsync of the first checkpoint takes three seconds: all the rounds are done before it is."""
    kill.need_namespace()
    run = tmp_path / "run"
    result = kill.traced_train(cli.small(tmp_path, replace={"rounds = 8": "rounds = 60"}), [temporary(run, 4)],
                               ["-o", os.devnull, "-e", "inject=fsync:delay_enter=3s"])
    assert result.rc == 0, result
    rounds, events = check(run)
    kinds = [(e["kind"], e.get("round", e.get("at_round"))) for e in events]
    assert kinds.index(("checkpoint", 4)) > kinds.index(("round", 60))
    assert rounds == [4, 60]


def test_stuck_disk_at_the_end(tmp_path):
    """The last write takes longer than anybody is willing to wait for."""
    kill.need_strace()
    result = cli.execute(["strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=fsync:delay_enter=4s", kill.WRITER,
                          "stuck", str(tmp_path), "1"])
    assert result.rc == IO and f"{tmp_path}/checkpoint" in result.err and "within 1 s" in result.err, result
    assert check(tmp_path)[0] == []


# ---- what a resumed run finds ----

def damage(path, at=-1):
    data = bytearray(open(path, "rb").read())
    data[at] ^= 1
    open(path, "wb").write(data)


def test_damaged_newer_ones(digest, tmp_path):
    """Two damaged ones: named, set aside, and no reason to prune the good ones before them."""
    conf, run = cli.small(tmp_path, replace={"every = 4": "every = 1", "tasks = 6": "tasks = 60"}), tmp_path / "run"
    for n in 2, 4, 6, 8:  # each run waits for its last one; those on the way may be left out if the disk is slow
        done = cli.done("train", conf, "--resume", "--json", "--set", "checkpoint.keep=9", "--set", f"stage.meta.rounds={n}")
    expected, rounds = done.json()["digest"], check(run)[0]
    assert len(rounds) > 3
    for at in rounds[-2:]:
        damage(run / f"checkpoint-00-{at:09d}.safetensors")
    result = cli.done("train", conf, "--resume", "--json", "--set", "checkpoint.keep=2", "--set", "checkpoint.every=100")
    assert result.json()["digest"] == expected
    assert result.err.count("is damaged: tensor 'optimizer.exp_avg_sq.head.bias', bytes ") == 2, result
    assert f"resuming meta at round {rounds[-3]} " in result.err, result
    assert check(run)[0] == [rounds[-3], 8]
    assert len(glob.glob(f"{run}/*.damaged")) == 2


def test_nothing_good_left(digest, tmp_path):
    """All damaged: from the beginning, said, and the metrics tell every round once."""
    conf, run = cli.small(tmp_path), tmp_path / "run"
    cli.done("train", conf)
    for at in (4, 8):
        damage(run / f"checkpoint-00-{at:09d}.safetensors")
    result = cli.done("train", conf, "--resume", "--json")
    assert result.json()["digest"] == digest
    assert f"no checkpoint to resume from in '{run}': starting at round 0" in result.err, result
    rounds, events = check(run)
    assert rounds == [4, 8]
    assert [e["round"] for e in events if e["kind"] == "round"] == list(range(1, 9))
