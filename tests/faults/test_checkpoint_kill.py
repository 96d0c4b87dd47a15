"""Killed at every system call of a checkpoint's writing: the newest valid one loads, and the run goes on to the same bits."""
import glob
import json
import os
import shutil

import cli
import kill

CONF = {"rounds = 8": "rounds = 20", "every = 4  keep = 3": "every = 2  keep = 1", "tasks = 6": "tasks = 500"}
AT = 18  # the round whose checkpoint is hit: by then the thread has made more calls of each name than the main one


def test_every_call_of_a_write(tmp_path):
    kill.need_strace()
    source = kill.prepare(tmp_path)
    shutil.copytree(source, tmp_path / "first" / "run")
    points = kill.write_points(str(tmp_path / "first"))
    for name, ordinal in points:
        kill.kill_writer(source, tmp_path / "killed", name, ordinal)
    print(f"{len(points)} kill points")
    assert len(points) > 30


# ---- the whole program ----

def train(folder, conf, *options):
    run = folder / "run"
    return kill.traced_train(conf, [run, run / f"checkpoint-00-{AT:09d}.safetensors.tmp-{kill.PID}-0",
                                    run / f"checkpoint-00-{AT - 2:09d}.safetensors"], options)


def thread_points(folder, conf):
    """The digest of a run, and the calls of its thread that writes, from the temporary of round AT to the removal of the
    checkpoint before. A checkpoint may be put off, on a busy machine: then once more."""
    for _ in range(20):
        shutil.rmtree(folder / "run", ignore_errors=True)
        result = train(folder, conf, "-o", folder / "log")
        assert result.rc == 0, result
        found = kill.calls(folder / "log")
        begin = next((i for i, c in enumerate(found) if c[1] == "openat" and f".tmp-{kill.PID}-0" in c[3]), None)
        end = next((i for i, c in enumerate(found) if begin and i > begin and c[1] == "unlink"), None)
        if end:
            break
    assert end, f"no checkpoint of round {AT}, or a process id other than {kill.PID}"
    thread = found[begin][0]
    # newfstatat: the main thread, too, looks at the directory in every round, and would be hit first
    points = [c[1:3] for c in found[begin:end + 1] if c[0] == thread and c[1] != "newfstatat"]
    for name, ordinal in points:
        others = max((c[2] for c in found if c[0] != thread and c[1] == name), default=0)
        assert ordinal > others, f"the main thread would be hit first, it makes {others} calls of {name}"
    return result.json()["digest"], points


def chosen(points, every):
    """All of them, or of each name the first, the middle and the last."""
    if every:
        return points
    kept = []
    for name in dict.fromkeys(p[0] for p in points):
        same = [p for p in points if p[0] == name]
        kept += dict.fromkeys([same[0], same[len(same) // 2], same[-1]])
    return kept


def kill_train(folder, conf, digest, name, ordinal):
    """Whether it was hit: a checkpoint that was put off shifts the calls, and then perhaps there are not as many."""
    where = f"killed at {name} number {ordinal}"
    result = train(folder, conf, "-o", os.devnull, "-e", f"inject={name}:signal=KILL:when={ordinal}")
    assert result.rc == 0 or result.rc in kill.KILLED, f"{where}{result!r}"
    newest = max(glob.glob(str(folder / "run" / "checkpoint-00-*.safetensors")), default="there is none")
    resumed = cli.done("train", conf, "--resume", "--json")
    assert f"from '{newest}'" in resumed.err, f"{where}{resumed!r}"
    assert "warning" not in resumed.err, f"{where}{resumed!r}"
    assert resumed.json()["digest"] == digest, f"{where}{resumed!r}"
    assert not glob.glob(str(folder / "run" / "*.tmp-*")), where
    with open(folder / "run" / "metrics.jsonl") as f:
        rounds = [e["round"] for e in map(json.loads, f) if e["kind"] == "round"]
    assert rounds == list(range(1, 21)), f"{where}: {rounds}"
    shutil.rmtree(folder / "run")
    return result.rc != 0


def kill_points_of_train(folder, every):
    """Kills a training run at the calls of one checkpoint, each in one of three runs; how many were hit."""
    kill.need_namespace()
    conf = cli.small(folder, replace=CONF)
    digest, points = thread_points(folder, conf)
    points = chosen(points, every)
    shutil.rmtree(folder / "run")
    hit = sum(any(kill_train(folder, conf, digest, *point) for _ in range(3)) for point in points)
    assert hit >= 0.7 * len(points), f"only {hit} of {len(points)} calls were hit"
    return hit


def test_calls_of_a_training_run(tmp_path):
    n = kill_points_of_train(tmp_path, every=False)
    print(f"{n} kill points")
    assert n > 10
