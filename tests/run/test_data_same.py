"""Every rank has the same data, a run has them to its end, and a resume goes on with them."""
import json
import os

import cli
import numpy as np
import pytest
from supervised import Supervised, wait_for

CONF = """
run {{ name = "same"  directory = "{run}" }}
cluster {{ threads = 1 }}
data d {{ format = "npy"  path = "x.npy"  labels = "l.npy"  names = "n.txt" }}
model {{ type = "mlp"  widths = {{4}} }}
stage pre {{ method = "pretrain"  data = "d"  tasks = 2  batch = 8  rounds = {rounds} }}
checkpoint {{ every = 20 }}
metrics {{ endpoint = "" }}
"""


def write_set(folder, change=None):
    os.makedirs(folder, exist_ok=True)
    r = np.random.default_rng(1)
    x, labels, names = r.integers(0, 256, (24, 6, 6)).astype(np.uint8), np.arange(24, dtype=np.uint8) % 3, "cat dog owl"
    if change == "labels":
        labels = labels[::-1]
    if change == "pixels":
        x[-1, -1, -1] ^= 1
    if change == "size":
        x, labels = x[:-1], labels[:-1]
    if change == "names":
        names = "cat owl dog"
    if change == "shape":
        x = x.reshape(24, 4, 9)
    np.save(os.path.join(folder, "x.npy"), x)
    np.save(os.path.join(folder, "l.npy"), labels)
    with open(os.path.join(folder, "n.txt"), "w") as f:
        f.write(names.replace(" ", "\n") + "\n")


def configuration(folder, rounds=4):
    path = folder / "same.conf"
    path.write_text(CONF.format(run=folder / "run", rounds=rounds))
    return path


@pytest.mark.parametrize("change,says", [
    (None, None), ("labels", "the labels or their order differ"), ("pixels", "the pixels differ"),
    ("size", "the number of samples differs"), ("names", "the class names or their order differ"),
])
def test_ranks_with_other_data(change, says, tmp_path):
    """The data root is relative: each rank finds its own, as each node does."""
    write_set(tmp_path / "here")
    write_set(tmp_path / "there", change)
    program = [cli.METALOOP, "train", str(configuration(tmp_path)), "--quiet", "--data-root", "."]
    result = cli.execute(["mpirun", "-n", "2", "-wdir", str(tmp_path / "here"), *program,
                          ":", "-n", "1", "-wdir", str(tmp_path / "there"), *program])
    if not says:
        assert result.rc == 0, result
        return
    assert result.rc == 65, result
    for word in ["data 'd'", "rank 2 on host", says]:
        assert word in result.err, result


def test_manifest_names_the_data(tmp_path):
    write_set(tmp_path)
    cli.done("train", configuration(tmp_path), "--data-root", tmp_path)
    [d] = json.loads((tmp_path / "run" / "manifest.json").read_text())["data"]
    assert (d["name"], d["classes"], d["samples"], d["shape"], d["sampled"]) == ("d", 3, 24, [6, 6, 1], False)
    assert len(d["digest"]) == 16


def shrink(path):
    os.truncate(path, 200)


def replace(path):
    write_set(path.parent / "other", "pixels")
    os.rename(path.parent / "other" / "x.npy", path)


def rewrite(path):
    with open(path, "r+b") as f:
        f.seek(300)
        f.write(b"\x07\x07\x07\x07\x07")


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("change,says", [(shrink, ""), (replace, "is not the file that this run began with"), (rewrite, "was modified after")])
def test_file_that_changes_under_a_run(change, says, ranks, tmp_path):
    """Ends with 65 by name, without a restart; what was saved before is usable."""
    write_set(tmp_path)
    args = ["train", configuration(tmp_path, rounds=1000000), "--data-root", tmp_path, "--quiet"]
    with Supervised(str(tmp_path), "-n", str(ranks), *args) as running:
        wait_for(lambda: list((tmp_path / "run").glob("checkpoint-*.safetensors")))
        change(tmp_path / "x.npy")
        result = running.result()
    said = result.err
    assert result.rc == 65, result
    assert "x.npy'" in said and says in said and "--resume continues from it" in said, said
    assert "restart 1" not in said, said
    if change is not rewrite:
        return
    write_set(tmp_path)
    rounds = int(sorted((tmp_path / "run").glob("checkpoint-*"))[-1].name.split("-")[-1].split(".")[0])
    cli.done("train", configuration(tmp_path, rounds + 3), "--data-root", tmp_path, "--resume", "--quiet")
