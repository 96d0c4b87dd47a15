"""What data seem to be, and are not: arrays of another order or scale, sets of one class."""
import cli
import numpy as np
import pytest

CONF = """
run {{ name = "seems"  directory = "{run}" }}
cluster {{ threads = 1 }}
data d {{ format = "npy"  path = "x.npy"  labels = "l.npy" }}
model {{ type = "mlp"  widths = {{4}} }}
stage {name} {{ method = "{method}"  data = "d"  rounds = 1  tasks = 1 {more} }}
evaluate {{ episodes = 2 }}
metrics {{ endpoint = "" }}
"""


def put(folder, images, labels=None):
    np.save(folder / "x.npy", images)
    np.save(folder / "l.npy", np.arange(len(images)) % 3 if labels is None else labels)


def ask(folder, verb="check", method="pretrain", more="batch = 4"):
    path = folder / "seems.conf"
    path.write_text(CONF.format(run=folder / "run", name="s", method=method, more=more))
    return cli.run(verb, path, "--data-root", folder, *(["--overwrite"] if verb == "train" else []))


def noise(*shape):
    return np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape,good", [
    ((9, 1, 16, 16), False), ((9, 3, 12, 12), False), ((9, 1, 28, 28), False), ((9, 3, 5, 7), False), ((9, 4, 20, 20), False),
    ((9, 16, 16, 1), True), ((9, 16, 16, 3), True), ((9, 1, 1, 1), True), ((9, 1, 5, 3), True), ((9, 12, 12), True),
])
def test_channels_first(shape, good, tmp_path):
    put(tmp_path, noise(*shape))
    result = ask(tmp_path)
    assert result.rc == (0 if good else 65), result
    assert good or "np.transpose(x, (0, 2, 3, 1))" in result.err, result


def test_channels_in_either_place_are_told(tmp_path):
    put(tmp_path, noise(9, 3, 32, 3))
    result = ask(tmp_path)
    assert result.rc == 0 and "np.transpose" in result.err, result


@pytest.mark.parametrize("verb,method,more", [
    ("check", "pretrain", "batch = 4"), ("train", "pretrain", "batch = 4"),
    ("train", "maml", "way = 2  shot = 1  query = 1"), ("check", "fomaml", "way = 2  shot = 1  query = 1")])
@pytest.mark.parametrize("scale,says", [("ones", "save 255 * x"), ("dim", "stretch it to 0 to 255"),
                                        ("small", "stretch it to 0 to 1"), ("full", None), ("floats", None)])
def test_small_range(scale, says, verb, method, more, tmp_path):
    x = noise(9, 6, 6)
    put(tmp_path, {"ones": x & 1, "dim": x % 15, "small": (x / 255 / 255).astype(np.float32), "full": x,
                   "floats": (x / 255).astype(np.float32)}[scale])
    result = ask(tmp_path, verb, method, more)
    assert result.rc == 0, result
    told = [line for line in result.err.splitlines() if line.startswith("warning: data 'd'")]
    assert len(told) == (1 if says else 0) and (not says or says in told[0]), result


def test_small_range_is_told_by_one_rank(tmp_path):
    put(tmp_path, noise(9, 6, 6) & 1)
    ask(tmp_path)
    result = cli.done("train", tmp_path / "seems.conf", "--data-root", tmp_path, ranks=3)
    assert result.err.count("save 255 * x") == 1, result


def test_large_numbers(tmp_path):
    put(tmp_path, noise(9, 6, 6).astype(np.float32))
    result = ask(tmp_path)
    assert result.rc == 65 and "x / 255" in result.err, result
    put(tmp_path, noise(9, 6, 6) / 255 - 0.5)
    result = ask(tmp_path)
    assert result.rc == 65 and "within 0 and 1" in result.err, result


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_pack_of_what_is_no_number(number, tmp_path):
    x = (noise(9, 6, 6) / 255).astype(np.float32)
    x[5, 2, 3] = number
    put(tmp_path, x)
    result = cli.run("pack", "x.npy", tmp_path / "out.npy", "--data-root", tmp_path, "--set", "data.source.format=npy",
                     "--set", "data.source.labels=l.npy")
    assert result.rc == 65 and "x.npy' image 5 " in result.err, result
    assert not (tmp_path / "out.npy").exists()


def test_one_class(tmp_path):
    put(tmp_path, noise(9, 6, 6), np.zeros(9, np.uint8))
    result = ask(tmp_path)
    assert result.rc == 65 and "data 'd' has one class" in result.err, result


def test_way_of_one(tmp_path):
    put(tmp_path, noise(9, 6, 6))
    result = ask(tmp_path, method="maml", more="way = 1  shot = 1  query = 1")
    assert result.rc == 78 and "way is 1" in result.err, result
