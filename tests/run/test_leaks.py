"""What is measured is new: `check --leaks` finds a class or an image that training has, too."""
import cli
import numpy as np
import pytest

CONF = """
run {{ name = "leaks"  directory = "{run}" }}
cluster {{ threads = 1 }}
data train {{ format = "npy"  path = "train.npy"  labels = "train_l.npy"  {train} }}
data other {{ format = "npy"  path = "other.npy"  labels = "other_l.npy"  names = "other.txt" }}
data test {{ format = "npy"  path = "test.npy"  labels = "test_l.npy"  {test} }}
model {{ type = "mlp"  widths = {{4}} }}
{stages}
evaluate {{ data = {{"{on}"}}  episodes = 2 }}
metrics {{ endpoint = "" }}
"""
NAMED = 'names = "{}.txt"'
FEW_SHOT = 'stage few { method = "fomaml"  data = "train"  way = 2  shot = 1  query = 1  rounds = 1  tasks = 1 }'
WHOLE = 'stage whole { method = "pretrain"  data = "train"  batch = 4  rounds = 1 }'


def put(folder, name, seed, names):
    """Three images of each class."""
    x = np.random.default_rng(seed).integers(0, 256, (3 * len(names), 6, 6)).astype(np.uint8)
    np.save(folder / f"{name}.npy", x)
    np.save(folder / f"{name}_l.npy", np.arange(len(x)) % len(names))
    (folder / f"{name}.txt").write_text("".join(f"{n}\n" for n in names))
    return x


@pytest.fixture
def sets(tmp_path):
    for seed, (name, names) in enumerate([("train", "abc"), ("other", "def"), ("test", "xyz")]):
        put(tmp_path, name, seed, names)
    return tmp_path


def ask(folder, *words, stages=FEW_SHOT, train=NAMED.format("train"), test=NAMED.format("test"), on="test", verb="check"):
    (folder / "leaks.conf").write_text(CONF.format(run=folder / "run", stages=stages, train=train, test=test, on=on))
    return cli.run(verb, folder / "leaks.conf", "--data-root", folder, *words)


def share_image(folder, kind="bytes"):
    """Image 4 of test, of class y, becomes image 7 of train, of class b."""
    x, y = np.load(folder / "train.npy"), np.load(folder / "test.npy")
    y[4] = x[7]
    np.save(folder / "test.npy", y if kind == "bytes" else (y / 255).astype(np.float32))


def test_nothing_shared(sets):
    result = ask(sets, "--leaks")
    assert result.rc == 0 and result.out == "stage 'few': 'train' and 'test' share no class and no image (9 and 9 images)\n", result
    assert not result.err


@pytest.mark.parametrize("verb", ["check", "train"])
def test_shared_class_is_told(verb, sets):
    """Cheap, so always: once, and no error."""
    put(sets, "test", 5, "xbz")
    result = ask(sets, verb=verb)
    assert result.rc == 0 and result.err.count("warning: stage 'few' is measured on 'test', which has the class 'b' of 'train'") == 1, result


def test_shared_class_is_an_error_of_leaks(sets):
    put(sets, "test", 5, "xbz")
    result = ask(sets, "--leaks")
    assert result.rc == 65 and "'train', on which it is trained, and 'test', on which it is measured, share the class 'b'" in result.err, result


@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize("stages,turns", [(FEW_SHOT, ""), (WHOLE, ""), (FEW_SHOT, '  rotations = "classes"')])
def test_shared_image(stages, turns, kind, sets):
    if stages == WHOLE:  # whose classes are the same
        put(sets, "test", 5, "abc")
    share_image(sets, kind)
    result = ask(sets, "--leaks", stages=stages, train=NAMED.format("train") + turns)
    last = "b" if stages == WHOLE else "y"
    rotated = "/rot000" if turns else ""
    assert result.rc == 65 and f"train.npy' image 7 of class 'b{rotated}' is '" in result.err, result
    assert f"test.npy' image 4 of class '{last}'" in result.err and not result.out, result
    assert ask(sets, stages=stages).rc == 0


def test_same_section(sets):
    result = ask(sets, "--leaks", on="train")
    assert result.rc == 65 and "stage 'few' is measured on 'train', on which it is trained" in result.err, result
    assert "warning" not in ask(sets, on="train").err


def test_an_earlier_stage_counts(sets):
    """The second stage starts from the first, which saw the image."""
    share_image(sets)
    stages = FEW_SHOT + "\n" + FEW_SHOT.replace("few", "next").replace('"train"', '"other"') + '\n'
    first = stages.replace("rounds = 1", 'rounds = 1  evaluate = {"other"}', 1)
    result = ask(sets, "--leaks", stages=first)
    assert result.rc == 65 and "stage 'next': 'train', on which it is trained, and 'test'" in result.err, result


def test_classes_without_names(sets):
    """Class 0 of two files need not be one."""
    result = ask(sets, "--leaks", train="", test="")
    assert result.rc == 0 and "share no image; classes without names are not compared" in result.out, result
