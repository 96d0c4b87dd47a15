"""Whose run is it? One owner of a directory, one identity in all its files, and a restart that runs what was started."""
import json
import os
import re
import shutil
import signal
import subprocess

import numpy as np
import pytest

import cli
import kill
from supervised import Supervised, checkpoints_of, first_line, identity_of, is_running, rounds_of, wait_for

USAGE, DATA, CANTCREAT, IO, CONFIG = 64, 65, 73, 74, 78
QUIET = {"checkpoint {{": 'metrics {{ endpoint = "" }}\ncheckpoint {{'}
ENDLESS = {**QUIET, "rounds = 8": "rounds = 1000000"}
OTHER = "--set", "stage.meta.rate=0.5"


@pytest.fixture
def conf(tmp_path):
    return cli.small(tmp_path, text=cli.SMALL.replace("checkpoint {{", QUIET["checkpoint {{"]))


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """Of the small run, and of the one at another rate."""
    path = cli.small(tmp_path_factory.mktemp("digests"), text=cli.SMALL.replace("checkpoint {{", QUIET["checkpoint {{"]))
    return tuple(cli.done("train", path, "--json", "--overwrite", *more).json()["digest"] for more in ((), OTHER))


class Holder:
    """A run without end in one process, for as long as the with lasts."""

    def __init__(self, conf, *args):
        self.command = [cli.METALOOP, "train", conf, "--quiet", "--set", "stage.meta.rounds=1000000", *map(str, args)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=cli.environment(), cwd=cli.ROOT, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return self.process

    def __exit__(self, *failure):
        self.process.kill()
        self.process.communicate()


def metadata(path):
    with open(path, "rb") as f:
        return json.loads(f.read(int.from_bytes(f.read(8), "little")))["__metadata__"]


def events(run, kind):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return [o for o in map(json.loads, f) if o["kind"] == kind]


def snapshot_of(folder):
    """Every file with its bytes."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            found[name] = f.read()
    return found


# ---- one owner ----

def test_a_second_start_is_refused(tmp_path, conf):
    run = tmp_path / "run"
    with Holder(conf) as holder:
        wait_for(lambda: len(checkpoints_of(run)) >= 2)
        wanted = identity_of(run)
        for args in ([], ["--resume"], ["--overwrite"], ["--overwrite", "--run", str(tmp_path / "link")]):
            if not os.path.islink(tmp_path / "link"):
                os.symlink(run, tmp_path / "link")
            result = cli.run("train", conf, *args)
            assert result.rc == CANTCREAT and f"process {holder.pid} on host" in result.err and wanted in result.err, result
        assert identity_of(run) == wanted and is_running(holder.pid)
    assert cli.run("train", conf, "--resume", "--set", "stage.meta.rounds=1000000", "--time-limit", "1").rc == 75


def test_a_second_supervised_start_is_refused_at_once(tmp_path, conf):
    with Holder(conf) as holder:
        wait_for(lambda: checkpoints_of(tmp_path / "run"))
        with Supervised(tmp_path, "-n", 2, "train", conf, "--overwrite", "--json") as second:
            result = second.result()
        assert result.rc == CANTCREAT and f"process {holder.pid} " in result.err and "restart" not in result.err, result


def without_locks(conf, *args):
    """metaloop train on a file system without locks: strace answers for it."""
    lock = os.path.join(os.path.dirname(conf), "run", "run.lock")
    return ["strace", "-f", "-qq", "-o", os.devnull, "-P", lock, "-e", "trace=fcntl", "-e", "inject=fcntl:error=ENOLCK",
            cli.METALOOP, "train", conf, *map(str, args)]


def test_a_file_system_without_locks(tmp_path, conf):
    """The text of run.lock decides, on the same host; what a killed run has left there blocks no other."""
    kill.need_strace()
    cli.done("train", conf, "--set", "stage.meta.rounds=2")
    with Holder(conf, "--resume") as holder:
        wait_for(lambda: f"pid={holder.pid}\n" in (tmp_path / "run" / "run.lock").read_text())
        result = cli.execute(without_locks(conf, "--overwrite"))
        assert result.rc == CANTCREAT and f"process {holder.pid} on host" in result.err, result
    result = cli.execute(without_locks(conf, "--overwrite"))
    assert result.rc == 0 and "has no locks" in result.err, result


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("elsewhere", path)], ids=["directory", "FIFO", "link"])
def test_a_lock_that_is_no_file(make, tmp_path, conf):
    os.mkdir(tmp_path / "run")
    make(tmp_path / "run" / "run.lock")
    result = cli.run("train", conf)
    assert result.rc == CANTCREAT and "run.lock' is not a regular file: remove it" in result.err, result
    assert not os.path.exists(tmp_path / "run" / "elsewhere")


# ---- one identity ----

def test_one_id_in_all_files(tmp_path, conf):
    run = tmp_path / "run"
    cli.done("train", conf)
    first = identity_of(run)
    assert re.fullmatch("[0-9a-f]{16}", first)
    line = first_line(run)
    assert line == {"kind": "run", "run_id": first, "name": "small", "seed": 7, "version": line["version"]}
    assert {metadata(p)["run_id"] for p in checkpoints_of(run)} == {first}
    assert f"run={first}\n" in (run / "run.lock").read_text()
    cli.done("train", conf, "--resume", "--set", "stage.meta.rounds=9")
    assert [o["run_id"] for o in events(run, "run")] == [first, first] and identity_of(run) == first
    cli.done("train", conf, "--overwrite")
    assert identity_of(run) != first and {metadata(p)["run_id"] for p in checkpoints_of(run)} == {identity_of(run)}


def test_two_runs_alike_are_two_runs(tmp_path, conf):
    for name in "ab":
        cli.done("train", conf, "--run", tmp_path / name)
    assert identity_of(tmp_path / "a") != identity_of(tmp_path / "b")


@pytest.mark.parametrize("wrong", ["0123456789abcde", "0123456789ABCDEF", "../../etc/passwd"])
def test_an_id_that_is_none(wrong, conf):
    result = cli.run("train", conf, env={"METALOOP_RUN_ID": wrong})
    assert result.rc == USAGE and "METALOOP_RUN_ID" in result.err, result


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path, conf, digests):
    """Copied in by hand, newer than its own."""
    cli.done("train", conf)
    cli.done("train", conf, "--run", tmp_path / "stranger", "--set", "stage.meta.rounds=12", "--set", "run.seed=8")
    strange = checkpoints_of(tmp_path / "stranger")[-1]
    shutil.copy(strange, tmp_path / "run")
    result = cli.done("train", conf, "--resume", "--json")
    assert result.json()["digest"] == digests[0], result
    assert os.path.basename(strange) in result.err and identity_of(tmp_path / "stranger") in result.err, result
    assert os.path.exists(tmp_path / "run" / f"{os.path.basename(strange)}.other")


def replace_metrics(run, what, other):
    """Puts another run's metrics, a FIFO or a directory in their place."""
    os.unlink(run / "metrics.jsonl")
    if what == "another run's":
        shutil.copy(other / "metrics.jsonl", run)
    elif what == "a FIFO":
        os.mkfifo(run / "metrics.jsonl")
    else:
        os.mkdir(run / "metrics.jsonl")


@pytest.mark.parametrize("what", ["another run's", "a FIFO", "a directory"])
def test_metrics_that_are_not_this_runs_are_set_aside(what, tmp_path, conf, digests):
    """Nothing is appended to them, and no run waits for a FIFO's other end; the run goes on."""
    run = tmp_path / "run"
    cli.done("train", conf, "--run", tmp_path / "other", *OTHER)
    cli.done("train", conf, "--set", "stage.meta.rounds=4")
    wanted = identity_of(run)
    replace_metrics(run, what, tmp_path / "other")
    result = cli.done("train", conf, "--resume", "--json")
    assert result.json()["digest"] == digests[0] and "set aside as metrics.jsonl.other" in result.err, result
    assert os.path.exists(run / "metrics.jsonl.other") and {o["run_id"] for o in events(run, "run")} == {wanted}


def test_metrics_that_become_a_fifo_under_a_run(tmp_path, conf):
    run = tmp_path / "run"
    with Holder(conf) as holder:
        wait_for(lambda: checkpoints_of(run))
        os.mkfifo(tmp_path / "fifo")
        os.replace(tmp_path / "fifo", run / "metrics.jsonl")
        wait_for(lambda: os.path.exists(run / "metrics.jsonl.other") and rounds_of(run))
        assert holder.poll() is None


def test_a_run_of_before_there_were_ids(tmp_path, conf, digests):
    """It resumes, is given an id, and still knows its old checkpoints when the new one is damaged."""
    run = tmp_path / "run"
    cli.done("train", conf, "--set", "stage.meta.rounds=4")
    with open(run / "manifest.json") as f:
        manifest = json.load(f)
    del manifest["run_id"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    lines = (run / "metrics.jsonl").read_text().split("\n")
    (run / "metrics.jsonl").write_text("\n".join(line for line in lines if '"run"' not in line))
    forget_id(checkpoints_of(run)[-1])
    cli.done("train", conf, "--resume", "--set", "stage.meta.rounds=6")
    given = identity_of(run)
    newest = checkpoints_of(run)[-1]
    assert metadata(newest)["run_id"] == given
    with open(newest, "r+b") as f:
        f.truncate(1000)
    result = cli.done("train", conf, "--resume", "--json")
    assert "resuming meta at round 4" in result.err and result.json()["digest"] == digests[0], result
    assert identity_of(run) == given


def forget_id(path):
    """Writes a checkpoint as it was before there were ids: without any digest of the file."""
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        header, data = json.loads(f.read(n)), f.read()
    for key in ("run_id", "digest", "digest_kind", "tensor_digests"):
        header["__metadata__"].pop(key, None)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


# ---- what a start that was cut short leaves ----

@pytest.mark.parametrize("call, name", [("unlink", "checkpoint-00-000000008.safetensors"),
                                        ("unlink", "checkpoint-00-000000004.safetensors"), ("unlinkat", ""),
                                        ("openat", "metrics.jsonl"), ("newfstatat", "metrics.jsonl")])
def test_killed_before_there_is_a_checkpoint(call, name, tmp_path, conf, digests):
    """In the middle of erasing, and later: --resume begins the new run; of the old one's checkpoints none is used."""
    kill.need_strace()
    cli.done("train", conf)
    killed = cli.execute(["strace", "-f", "-qq", "-o", os.devnull, "-P", str(tmp_path / "run" / name), "-e", f"trace={call}",
                          "-e", f"inject={call}:signal=KILL:when=1", cli.METALOOP, "train", conf, "--overwrite", *OTHER])
    assert killed.rc in kill.KILLED, killed
    result = cli.done("train", conf, "--resume", "--json", *OTHER)
    assert result.json()["digest"] == digests[1] and "no checkpoint to resume from" in result.err, result


@pytest.mark.parametrize("when", ["at once", "with a rank"])
def test_mpirun_killed_at_the_start_of_an_overwrite(when, tmp_path, conf, digests):
    """The restart begins the new run again, whatever of the old one is still there."""
    cli.done("train", conf)
    with Supervised(tmp_path, "-n", 2, "train", conf, "--overwrite", "--json", "--quiet", *OTHER) as run:
        pid = run.rank0()[0] if when == "with a rank" else None
        try:
            os.kill(pid or run.mpirun(), signal.SIGKILL)
        except ProcessLookupError:
            pass
        result = run.result()
    assert result.rc == 0 and result.json()["digest"] == digests[1], result
    assert metadata(checkpoints_of(tmp_path / "run")[-1])["run_id"] == identity_of(tmp_path / "run")


# ---- a restart runs what was started ----

LONG = {"rounds = 8": "rounds = 400", "every = 4": "every = 20", "threads = 1": "threads = 1  lease = 1"}


@pytest.mark.parametrize("what", ["edited", "removed", "half"])
def test_the_configuration_changes_under_a_run(what, tmp_path):
    path = cli.small(tmp_path, replace=LONG)
    wanted = cli.done("train", path, "--json", "--quiet", "--run", tmp_path / "reference", "--set", "stage.meta.tasks=4")
    with Supervised(tmp_path, "-n", 3, "train", path, "--json", "--quiet", "--set", "stage.meta.tasks=4") as run:
        pid, job = run.rank0()
        wait_for(lambda: len(checkpoints_of(tmp_path / "run")) >= 2)
        text = open(path).read()
        if what == "removed":
            os.unlink(path)
        else:
            with open(path, "w") as f:
                f.write(text[:len(text) // 2] if what == "half" else
                        text.replace("rate = 0.01", "rate = 0.02").replace("way = 3", "way = 4"))
        mine = identity_of(tmp_path / "run")
        os.kill(pid, signal.SIGKILL)
        run.rank0(after=job)
        result = run.result()
    assert result.rc == 0 and result.json()["digest"] == wanted.json()["digest"], result
    assert identity_of(tmp_path / "run") == mine and "resuming meta" not in result.out
    assert "rate = 0.01\n" in (tmp_path / "run" / "configuration.conf").read_text()
    assert len({o["run_id"] for o in events(tmp_path / "run", "run")}) == 1


# ---- resumed by hand with other values ----

@pytest.mark.parametrize("change, says", [
    ("stage.meta.optimizer=sgd", 'stage.meta.optimizer "adam" -> "sgd"'),
    ("run.seed=8", "run.seed 7 -> 8"),
    ("data.glyphs.size=16", "data.glyphs.size 14 -> 16"),
    ("model.filters=5", "model.filters 4 -> 5"),
    ("stage.meta.way=4", "stage.meta.way 3 -> 4"),
    ("stage.meta.tasks=7", "stage.meta.tasks 6 -> 7"),
    ("stage.meta.rounds=7", "stage.meta.rounds 8 -> 7 (it stands at round 8)"),
    ("stage.meta.inner_rate=0.3", "stage.meta.inner_rate 0.4 -> 0.3"),
])
def test_what_a_resumed_run_cannot_change(change, says, finished):
    conf, run = finished
    before = snapshot_of(run)
    result = cli.run("train", conf, "--resume", "--set", change)
    assert result.rc == CONFIG and says in result.err, result
    after = snapshot_of(run)
    before.pop("run.lock"), after.pop("run.lock")
    assert before == after


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    conf = cli.small(folder, text=cli.SMALL.replace("checkpoint {{", QUIET["checkpoint {{"]))
    cli.done("train", conf)
    return conf, folder / "run"


def test_what_a_resumed_run_may_change(tmp_path, conf):
    """A warning and an event each, and only where something has changed."""
    cli.done("train", conf)
    changes = {"stage.meta.rate": ("0.01", "0.02"), "stage.meta.rounds": ("8", "10"), "cluster.lease": ("10", "9")}
    sets = [word for key, (_, now) in changes.items() for word in ("--set", f"{key}={now}")]
    result = cli.done("train", conf, "--resume", *sets)
    said = dict(re.findall(r"warning: (\S+) (\S+ -> \S+)\n", result.err))
    assert said == {key: " -> ".join(pair) for key, pair in changes.items()}, result
    told = {o["key"]: (o["before"], o["now"]) for o in events(tmp_path / "run", "changed")}
    assert told == changes
    assert "->" not in cli.done("train", conf, "--resume", *sets).err


STAGES = cli.SMALL.replace("checkpoint {{", QUIET["checkpoint {{"]).replace("rounds = 8 }}", """rounds = 3 }}
stage more {{ method = "maml"  data = "glyphs"  way = 3  shot = 1  query = 2  tasks = 2  inner_steps = 1
             rate = 0.01  rounds = 3 }}""")


@pytest.mark.parametrize("change, says", [
    ({"rounds = 3 }": "rounds = 9 }"}, "stage.meta.rounds 3 -> 9 (that stage is done)"),
    ({"stage more": "stage other"}, "stages meta, more -> meta, other"),
])
def test_stages_that_are_done_stay_as_they_were(change, says, tmp_path):
    conf = cli.small(tmp_path, text=STAGES)
    cli.done("train", conf)
    text = open(conf).read()
    for old, new in change.items():
        text = text.replace(old, new, 1)
    with open(conf, "w") as f:
        f.write(text)
    result = cli.run("train", conf, "--resume")
    assert result.rc == CONFIG and says in result.err, result


def test_resume_and_overwrite_exclude_each_other(conf):
    result = cli.run("train", conf, "--resume", "--overwrite")
    assert result.rc == USAGE and "--overwrite" in result.err, result


def test_other_data_under_the_same_name(tmp_path):
    """The file's bytes have changed, its path has not; mended, the run goes on."""
    images = np.random.default_rng(1).integers(0, 255, (24, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", np.repeat(np.arange(4, dtype=np.uint8), 6))
    text = cli.SMALL.replace("checkpoint {{", QUIET["checkpoint {{"]).replace(
        'format = "glyphs"  size = 14', 'format = "npy"  path = "x.npy"  labels = "y.npy"')
    args = "train", cli.small(tmp_path, text=text.replace("conv4\"  filters = 4", 'mlp"')), "--resume", "--data-root", tmp_path
    cli.done(*args, "--set", "stage.meta.rounds=4")
    np.save(tmp_path / "x.npy", images[::-1])
    result = cli.run(*args)
    assert result.rc == DATA and "data 'glyphs' is not what the run" in result.err, result
    np.save(tmp_path / "x.npy", images)
    assert "resuming meta at round 4" in cli.done(*args).err


def test_workers_wait_for_a_slow_disk(tmp_path, conf):
    """Each of the first three looks at the manifest takes longer than workers wait for a coordinator that says nothing."""
    kill.need_strace()
    args = [cli.METALOOP, "train", conf, "--resume", "--set", "cluster.lease=0.3"]
    cli.done(*args[1:], "--set", "stage.meta.rounds=4")
    slow = ["strace", "-f", "-qq", "-o", os.devnull, "-P", str(tmp_path / "run" / "manifest.json"), "-e", "trace=openat", "-e",
            "inject=openat:delay_enter=2000000:when=1..3"]
    result = cli.execute(["mpirun", "-n", "1", *slow, *args, ":", "-n", "2", *args])
    assert result.rc == 0 and "silent" not in result.err and "resuming meta at round 4" in result.err, result


# ---- names and paths ----

@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "../../x", "a\nb", "a\x7f", "a\u0085b", ""])
def test_a_name_is_no_path(name, tmp_path, conf):
    result = cli.run("check", conf, "--set", f"run.name={name}")
    assert result.rc == CONFIG and "run.name" in result.err, result


def test_the_configuration_of_a_run_goes_on_with_it(tmp_path, conf, digests):
    elsewhere = tmp_path / "else where"
    cli.done("train", conf, "--run", elsewhere, "--set", "stage.meta.rounds=4")
    result = cli.done("train", elsewhere / "configuration.conf", "--resume", "--json", "--set", "stage.meta.rounds=8")
    assert result.json()["digest"] == digests[0] and rounds_of(elsewhere) == 8, result
    assert not os.path.exists(tmp_path / "run")


# ---- deleted and moved under a run ----

def ends(process):
    _, text = process.communicate(timeout=cli.TIMEOUT)
    return text


def test_a_deleted_directory_is_made_again(tmp_path, conf):
    run = tmp_path / "run"
    with Holder(conf) as process:
        wait_for(lambda: checkpoints_of(run))
        mine = identity_of(run)
        os.rename(run, tmp_path / "away")  # at once, so that nothing is written while it goes
        while os.path.exists(tmp_path / "away"):  # the run may be writing into it
            shutil.rmtree(tmp_path / "away", ignore_errors=True)
        wait_for(lambda: checkpoints_of(run) or process.poll() is not None)
        if process.poll() is not None:  # it was seen while it had the other name
            assert process.returncode == IO and "has been moved" in ends(process)
            return
        process.send_signal(signal.SIGTERM)
        text = ends(process)
    assert process.returncode == 75 and "created again" in text, text
    assert identity_of(run) == mine == first_line(run)["run_id"]
    assert cli.run("train", conf, "--resume", "--time-limit", "1", "--set", "stage.meta.rounds=1000000").rc == 75


def test_a_moved_directory_is_where_the_run_ends(tmp_path, conf):
    run, away = tmp_path / "run", tmp_path / "away"
    with Holder(conf) as process:
        wait_for(lambda: checkpoints_of(run))
        mine = identity_of(run)
        os.rename(run, away)
        text = ends(process)
    assert process.returncode == IO and f"has been moved to '{away}'" in text and "saved as" in text, text
    saved = checkpoints_of(away)[-1]
    assert saved in text and metadata(saved)["run_id"] == mine and not os.path.exists(run), text
    assert re.search("digest [0-9a-f]{16}", text)[0].split()[1] == metadata(saved)["theta"]


def test_metrics_that_are_deleted_are_begun_again(tmp_path, conf):
    run = tmp_path / "run"
    with Holder(conf) as process:
        wait_for(lambda: checkpoints_of(run))
        os.unlink(run / "metrics.jsonl")
        wait_for(lambda: rounds_of(run) > 0 or process.poll() is not None)
        assert process.poll() is None and first_line(run)["run_id"] == identity_of(run)
