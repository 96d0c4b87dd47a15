"""What `inspect` says of a run's directory, and of files: short unless all is asked for."""
import fcntl
import json
import os
import re
import shutil
import struct

import numpy as np
import pytest

import cli

TWO = """
run {{ name = "two"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data few {{ format = "glyphs"  size = 14  first = 3 }}
data other {{ format = "glyphs"  size = 14  first = 3  style = "outline" }}
model {{ type = "mlp"  widths = {{"4"}} }}
stage first {{ method = "pretrain"  data = "few"  batch = 6  tasks = 2  rounds = 3 }}
stage second {{ method = "dan"  data = "few"  target = {{"other"}}  batch = 6  tasks = 2  rounds = 4
               evaluate = {{"few", "other"}} }}
evaluate {{ episodes = 4 }}
checkpoint {{ every = 2  keep = 9 }}
metrics {{ endpoint = "" }}
"""


def inspect(*args, how=cli.done):
    return how("inspect", *args).out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder / "run", cli.done("train", cli.small(folder, TWO), "--json").json()


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def lines(run, kind):
    with open(run / "metrics.jsonl") as f:
        return [o for o in map(json.loads, f) if o["kind"] == kind]


def test_a_finished_run(finished):
    run, result = finished
    out = inspect(run).split("\n")
    assert out[0].startswith(f"'{run}': run 'two'") and out[0].endswith(f"finished, digest {result['digest']}")
    with open(run / "manifest.json") as f:
        manifest = json.load(f)
    assert manifest["started"] in out[1] and manifest["version"] in out[1] and f"{manifest['ranks']} rank" in out[1]
    if "run_id" in manifest:
        assert f"id {manifest['run_id']}" in out[0]
    last = lines(run, "round")[-1]
    assert out[2] == f"  stage 'second' (2 of 2), round 4 of 4, loss {last['loss']:.4f}, accuracy {100 * last['accuracy']:.1f} %"
    for line, data in zip(out[3:5], ("few", "other")):
        e = [o for o in lines(run, "evaluation") if o["data"] == data][-1]
        assert line == (f"  data '{data}' after round 4 of stage 'second': accuracy {100 * e['accuracy']:.2f} "
                        f"+- {100 * e['accuracy_ci95']:.2f} %, loss {e['loss']:.4f} +- {e['loss_ci95']:.4f}")
    files = sorted(run.glob("checkpoint-*"))
    assert out[5] == f"  {len(files)} checkpoints, the newest valid one '{files[-1]}' (stage 'second', round 4)"
    assert out[6:] == [""]


def test_a_run_that_was_stopped(copied):
    kept = [line for line in (copied / "metrics.jsonl").read_text().split("\n") if '"kind":"end"' not in line]
    (copied / "metrics.jsonl").write_text("\n".join(kept))
    assert "not finished, and no process runs it: --resume continues it" in inspect(copied)
    for path in sorted(copied.glob("checkpoint-*"))[1:]:
        path.unlink()
    assert "\n  1 checkpoint, the newest valid one" in inspect(copied)


def test_a_run_that_goes_on_after_its_end(copied):
    """A stage that begins behind the end is no end."""
    with open(copied / "metrics.jsonl", "a") as f:
        f.write('{"kind":"stage","stage":"second","stage_index":1,"from_round":4,"rounds":9}\n{"kind":"rou')
    assert "not finished" in inspect(copied)


def test_a_run_that_lives(copied):
    """Who holds the lock of its directory is named."""
    fd = os.open(copied / "run.lock", os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"run=0123456789abcdef\nhost=elsewhere\npid=4321\n", 0)
        assert "finished, digest" in inspect(copied)
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
        fcntl.fcntl(fd, getattr(fcntl, "F_OFD_SETLK", 37), whole)
        assert ", live: process 4321 on host 'elsewhere'\n" in inspect(copied)
    finally:
        os.close(fd)


def test_a_damaged_checkpoint_is_named(copied):
    *_, before, newest = sorted(copied.glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-8])
    out = inspect(copied)
    assert f"  '{newest}'" in out and f"the newest valid one '{before}'" in out


def test_a_long_history_is_not_read(copied):
    """Only the end of it: the line that would tell another run's rounds lies before that."""
    text = (copied / "metrics.jsonl").read_text()
    said = inspect(copied)
    (copied / "metrics.jsonl").write_text('{"kind":"evaluation","data":"old","round":1,"stage":"x"}\n' +
                                          ('{"kind":"note","text":"' + "x" * 998 + '"}\n') * 1000 + text)
    assert inspect(copied) == said


def test_no_run(tmp_path):
    result = cli.run("inspect", tmp_path)
    assert result.rc == 65 and f"'{tmp_path}' holds no run" in result.err
    assert cli.run("inspect", tmp_path / "none").rc == 66


def test_checkpoint_short_and_whole(finished):
    run, result = finished
    path = sorted(run.glob("checkpoint-*"))[-1]
    short, whole = inspect(path), inspect(path, "--all")
    assert len(short.split("\n")) < 12 < len(whole.split("\n"))
    assert f"checkpoint of stage 'second' after round 4, parameters {result['digest']}, checked" in short
    assert "optimizer." not in short and "optimizer.exp_avg.fc1.weight" in whole and "configuration:" in whole
    names = re.findall(r"^  (\S+) +F32 \[", short, re.M)
    assert names == ["fc1.weight", "fc1.bias", "head.weight", "head.bias"]
    assert f"  {14 * 14 * 4 + 4 + 4 * 3 + 3} numbers in 4 tensors; " in short and "--all" in short


def test_files_are_counted_in_plain_english(tmp_path):
    np.savez(tmp_path / "one.npz", images=np.zeros((2, 8, 8), np.uint8))
    assert "archive, 1 file, " in inspect(tmp_path / "one.npz")
    np.savez(tmp_path / "many.npz", **{f"a{i:02d}": np.zeros(1) for i in range(12)})
    short, whole = inspect(tmp_path / "many.npz"), inspect(tmp_path / "many.npz", "--all")
    assert short.count(".npy") == 10 and "12 files" in short and "--all" in short
    assert whole.count(".npy") == 12 and "--all" not in whole
    sizes = [int(n) for n in re.findall(r"^  .* (\d+) bytes$", whole, re.M)]
    assert len(sizes) == 12 and f"12 files, {sum(sizes)} bytes" in whole
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 5), np.float32))
    assert inspect(tmp_path / "x.npy").strip() == f"'{tmp_path}/x.npy': npy, f4 [2, 3, 5]"


def test_tasks_of_batches_and_long_lists(finished, tmp_path):
    """Which samples a batch draws; of many ids the first."""
    conf = finished[0].parent / "small.conf"
    cli.done("check", conf, "--tasks", 1, "--out", tmp_path, "--set", "stage.second.batch=40", "--set", "data.other.first=2",
             "--set", "stage.second.evaluate=few")
    short, whole = inspect(tmp_path / "task-000001-0000.bin"), inspect(tmp_path / "task-000001-0000.bin", "--all")
    assert "40 samples, 40 of data 1" in short and "... of 40, --all" in short
    ids = {w: re.search(rf"^  {w} *((?: \d+)+)$", whole, re.M)[1].split() for w in ("source", "targets")}
    assert [len(v) for v in ids.values()] == [40, 40]
    assert " ".join(ids["source"][:30]) + " ..." in short
