"""`metaloop predict`: what it answers, from what, and what it says to wrong input."""
import json
import os
import re
import shlex
import shutil
import sys
import zipfile

import numpy as np
import pytest

import cli
import pictures
import predicting
from predicting import predict

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

TRAINED = {f"t{k:02}": k for k in range(10)}
NEW = {"ant": 20, "bee": 21, "cat": 22, "dog": 23}

CONFIGURATION = """
run {{ name = "{name}"  seed = 3  directory = "{name}" }}
data train {{ format = "folder"  path = "train" }}
data held {{ format = "folder"  path = "held" }}
model {{ {model} }}
stage s {{ data = "train"  rate = 0.005  {stage} }}
evaluate {{ data = {{"held"}}  episodes = 10  query = 4 }}
"""
CONV4 = 'type = "conv4"  filters = 8'
FEW = "way = 4  shot = 2  query = 3  tasks = 4  rounds = 12"
RUNS = {
    "maml": (CONV4, f'method = "maml"  {FEW}  inner_steps = 2  inner_rate = 0.3'),
    "running": (CONV4 + '  statistics = "running"', f'method = "maml"  {FEW}  inner_steps = 2  inner_rate = 0.3'),
    "ranges": (CONV4, f'method = "fomaml"  {FEW}  inner_steps = 2  inner_rate = 0.3  way_max = 6'),
    "protonet": (CONV4, f'method = "protonet"  {FEW}'),
    "wide": ('type = "layers"  layers = {"conv filters=2 kernel=3 stride=8", "batchnorm", "relu", "flatten", "head"}',
             f'method = "fomaml"  {FEW}  inner_steps = 1  inner_rate = 0.1'),
    "whole": (CONV4, 'method = "pretrain"  batch = 40  rounds = 40'),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images, and a run of each method on them. The training images are gone when it predicts."""
    root = tmp_path_factory.mktemp("predict")
    pictures.write(root / "train", TRAINED, range(12))
    pictures.write(root / "held", TRAINED, range(20, 28))
    pictures.write(root / "support", NEW, range(3))
    pictures.write(root / "query", NEW, range(10, 16))
    for name, (model, stage) in RUNS.items():
        (root / f"{name}.conf").write_text(CONFIGURATION.format(name=name, model=model, stage=stage))
        size = ["--set", "data.train.resize=64", "--set", "data.held.resize=64"] if name == "wide" else []
        cli.done("train", root / f"{name}.conf", "--data-root", root, *size, cwd=root)
    (root / "train").rename(root / "gone")
    return root


def table(place, run, *words):
    """The rows of --csv, and the probabilities as an array."""
    head, rows = predicting.rows(place, run, *words)
    return [head, *rows], np.array([row[3:] for row in rows], float)


def softmax(y):
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def pixels(path):
    """As the loader gives them: numbers of 0 to 1, channels first."""
    k, i = NEW[path.parent.name], int(path.stem)
    return (np.clip(pictures.drawing(k, i), 0, 255).astype(np.uint8) / np.float32(255))[None].astype(np.float32)


def images(place, folder):
    found = sorted((place / folder).glob("*/*.png"))
    names = sorted(NEW)
    return np.stack([pixels(p) for p in found]), np.array([names.index(p.parent.name) for p in found], np.int64)


@pytest.mark.parametrize("run", ["maml", "running", "protonet", "ranges"])
def test_answers_are_those_of_evaluation(place, run):
    """`gradient` adapts and measures as evaluation does; its outputs after the last step give the same probabilities."""
    task = {}
    for part in ("support", "query"):
        task[f"{part}.x"], task[f"{part}.y"] = images(place, part)
    safetensors_io.save(place / "task.safetensors", task)
    checkpoint = max((place / run).glob("*.safetensors"))
    cli.done("gradient", place / f"{run}.conf", "--params", checkpoint, "--task", place / "task.safetensors", "--out",
             place / "g.safetensors", "--data-root", place, "--set", "data.train.path=gone", cwd=place)
    outputs = safetensors_io.load(place / "g.safetensors")["logits"][:, :4]  # of "ranges": those that stand for a class
    rows, p = table(place, run, "--support", "support", "--query", "query", "--set", "evaluate.query=6")
    assert rows[0] == ["file", "label", "probability", *sorted(NEW)]
    assert [row[0] for row in rows[1:]] == [f"query/{n}/{i:03}.png" for n in sorted(NEW) for i in range(10, 16)]
    assert np.abs(p - softmax(outputs.astype(float))).max() < 2e-9


@pytest.mark.parametrize("run", ["maml", "protonet"])
def test_inductive_answers_depend_on_no_other_query(place, run):
    """By the support's statistics an image alone has the bits that it has among others, and other bits than by theirs;
    a saved model goes on so, until it is asked for the other protocol. The support itself, as one batch of queries, has the
    same statistics by either."""
    alone, words = f"{run}-alone.safetensors", ["--protocol", "inductive"]
    rows, p = table(place, run, "--support", "support", "--query", "query", "--save", alone, *words)
    _, one = table(place, run, "--support", "support", "query/cat/012.png", *words)
    at = [r[0] for r in rows[1:]].index("query/cat/012.png")
    assert np.array_equal(one, p[at:at + 1])
    _, together = table(place, run, "--support", "support", "--query", "query")
    assert np.abs(p - together).max() > 1e-3
    assert np.array_equal(table(place, alone, "--query", "query")[1], p)
    _, own = table(place, run, "--support", "support", "--query", "support", "--set", "evaluate.query=3")
    assert np.abs(table(place, alone, "--query", "support")[1] - own).max() < 1e-5
    assert np.array_equal(table(place, alone, "--query", "query", "--protocol", "transductive")[1], together)
    assert predict(place, alone, "--query", "query").out.splitlines()[-1].startswith("24 samples, inductive; accuracy")


# ---- the same answers, however they are asked for ----

@pytest.mark.parametrize("run", ["maml", "protonet"])
def test_saved_model_answers_without_the_support(place, run):
    assert predict(place, run, "--support", "support", "--save", "adapted.safetensors").out == ""
    with_support = predict(place, run, "--support", "support", "--query", "query", "--csv")
    saved = predict(place, "adapted.safetensors", "--query", "query", "--csv")
    assert saved.rc == 0 and saved.out == with_support.out != "", saved
    again = predict(place, "adapted.safetensors", "--support", "support", "--query", "query")
    assert again.rc == 64 and "is adapted to its classes already" in again.err, again


@pytest.mark.parametrize("text,says", [
    ("", "names no classes"), ("[]", "names no classes"), ('{"classes": []}', "names no classes"),
    ('{"classes": ["a", 1]}', "names no classes"), ('{"classes": ["a", "b", "c", "d", "e"]}', "names 5 classes, the model tells 4"),
])
def test_damaged_saved_model(place, text, says):
    assert predict(place, "maml", "--support", "support", "--save", "whole.safetensors").rc == 0
    arrays, texts = safetensors_io.load(place / "whole.safetensors", with_texts=True)
    texts = {k: v for k, v in texts.items() if "digest" not in k and k != "theta"}
    safetensors_io.save(place / "damaged.safetensors", arrays, {**texts, "adapted": text})
    said = predict(place, "damaged.safetensors", "--query", "query")
    assert said.rc == 65 and says in said.err and "damaged.safetensors" in said.err, said


def test_threads_and_places_change_nothing(place):
    """Independent answers: by one thread or three, from folders, an archive or single files."""
    with zipfile.ZipFile(place / "query.zip", "w") as z:
        for path in sorted((place / "query").rglob("*.png")):
            z.write(path, path.relative_to(place))
    words = ["--support", "support", "--set", "evaluate.query=2"]
    rows, p = table(place, "running", *words, "--query", "query", "--threads", "1")
    for where in (["--query", "query.zip"], sorted(str(q.relative_to(place)) for q in place.glob("query/*/*.png"))):
        others, q = table(place, "running", *words, *where, "--threads", "3")
        assert [r[0].replace("query.zip/", "") for r in others[1:]] == [r[0] for r in rows[1:]]
        assert np.array_equal(p, q), where


def test_batches_are_mixed_if_they_are_normalised_together(place):
    """Two batches of 12, each drawn from all classes; each image is answered once, in the order of the files."""
    words = ["--support", "support", "--query", "query"]
    whole, p = table(place, "maml", *words, "--set", "evaluate.query=6")
    halves, q = table(place, "maml", *words, "--set", "evaluate.query=3")
    assert [r[0] for r in whole] == [r[0] for r in halves] and not np.array_equal(p, q)
    _, unmixed = table(place, "maml", *words[:2], "query/ant", "query/bee", "--set", "evaluate.query=3")
    assert not np.array_equal(q[:12], unmixed)
    right = [r[0].split("/")[1] == r[1] for r in halves[1:]]
    assert np.mean(right) > 0.5 and "transductive" in predict(place, "maml", *words).err


def test_many_passes(place):
    """Queries that do not fit into memory together are read in passes; each is answered once."""
    words = ["--support", "support", "--set", "evaluate.query=6"]
    few, _ = table(place, "wide", *words, "--query", "query")
    many, p = table(place, "wide", *words, *["query"] * 180)
    files = [r[0] for r in few[1:]]
    assert sorted(r[0] for r in many[1:]) == sorted(files * 180)
    assert [r[0] for r in many[1:]] != files * 180  # one pass would have kept the order
    assert np.isfinite(p).all()


def test_memory_does_not_grow_with_the_queries(place):
    def peak(times):
        words = ["--checkpoint", "running", "--support", "support", "--threads", "2", "--csv", *["query"] * times]
        pid = os.posix_spawn(cli.METALOOP, ["metaloop", "predict", *words], cli.environment(),
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        return usage.ru_maxrss
    os.chdir(place)
    assert peak(2000) < peak(400) + 600  # KiB; a name for each query would be twice as much


# ---- whole sets, models of targets ----

def test_whole_set_accuracy_is_that_of_evaluate(place):
    """Every image is answered alone, so it is the same number; the model knows its classes' names."""
    measured = cli.done("evaluate", place / "whole.conf", "--checkpoint", max((place / "whole").glob("*.safetensors")),
                        "--data-root", place, "--set", "data.train.path=gone", "--json", cwd=place).json()
    done = predict(place, "whole", "--query", "held", "--json", "--out", "answers.jsonl")
    assert done.rc == 0 and done.out == "", done
    lines = [json.loads(line) for line in (place / "answers.jsonl").read_text().splitlines()]
    assert lines[-1] == {"queries": 80, "protocol": "inductive", "labelled": 80,
                         "accuracy": pytest.approx(measured["accuracy"], abs=1e-12)}
    assert lines[-1]["accuracy"] > 0.3
    first = lines[0]
    assert first["file"] == "held/t00/020.png" and first["class"] == "t00"
    assert sorted(first["probabilities"]) == sorted(TRAINED)
    assert first["probability"] == max(first["probabilities"].values()) == first["probabilities"][first["label"]]
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-7)


def test_model_of_each_target(place, tmp_path):
    """The section chooses the model, and how images are read; the accuracy is that of the last evaluation."""
    (tmp_path / "d.conf").write_text(CONFIGURATION.format(name="d", model=CONV4, stage='method = "pretrain"  batch = 40  rounds = 30').replace(
        "evaluate {", """data dark { format = "folder"  path = "gone"  invert = true }
data old { format = "folder"  path = "gone"  thicken = 1 }
stage t { method = "adda"  data = "train"  target = {"dark", "old"}  batch = 16  rounds = 2  steps = 2  layers = {"bn3"}
          discriminator = {8}  guard = "off"  evaluate = {"dark", "old"} }
evaluate {"""))
    done = cli.done("train", tmp_path / "d.conf", "--data-root", place, "--set", "data.train.path=gone", "--json", cwd=tmp_path).json()
    for e in done["evaluations"]:
        said = predict(place, tmp_path / "d", "--query", "gone", "--domain", e["data"], "--json")
        assert said.rc == 0 and said.json()["accuracy"] == pytest.approx(e["accuracy"], abs=1e-12), said
    said = predict(place, tmp_path / "d", "--query", "gone")
    assert said.rc == 64 and "has a model for each of its 2 targets: choose one with --domain" in said.err, said
    said = predict(place, tmp_path / "d", "--query", "gone", "--stage", "s")
    assert said.rc == 65 and "stage 's', a file of stage 't'" in said.err, said


def test_old_and_new_head(place, tmp_path):
    """lwf: each section is answered by the head of its classes, by their names."""
    (tmp_path / "l.conf").write_text(CONFIGURATION.format(name="l", model=CONV4, stage='method = "pretrain"  batch = 40  rounds = 20').replace(
        "evaluate {", """data new { format = "folder"  path = "query" }
stage t { method = "lwf"  data = "new"  batch = 16  rounds = 10  old = {"train"}  evaluate = {"new", "train"} }
evaluate {"""))
    done = cli.done("train", tmp_path / "l.conf", "--data-root", place, "--set", "data.train.path=gone", "--json", cwd=tmp_path).json()
    for e, where in zip(done["evaluations"], ("query", "gone")):
        said = predict(place, tmp_path / "l", "--query", where, "--domain", e["data"], "--json")
        assert said.rc == 0 and said.json()["accuracy"] == pytest.approx(e["accuracy"], abs=1e-12), said


def test_names_that_are_no_utf8(place, tmp_path):
    (tmp_path / b"\xff.png".decode("utf8", "surrogateescape")).write_bytes(pictures.png(pictures.drawing(20, 1)))
    said = predict(place, "protonet", "--support", "support", "--query", tmp_path, "--json", "--out", tmp_path / "o")
    assert said.rc == 0 and json.loads((tmp_path / "o").read_text().splitlines()[0])["file"].endswith("/?.png"), said
    for name, k in ((b"a", 20), (b"b\xff", 21)):
        pictures.write(tmp_path / "support", {name.decode("utf8", "surrogateescape"): k}, range(2))
    said = predict(place, "protonet", "--support", tmp_path / "support", "--save", tmp_path / "s")
    assert said.rc == 65 and "it is not UTF-8" in said.err and not (tmp_path / "s").exists(), said


def test_a_query_without_classes_has_no_accuracy(place):
    done = predict(place, "protonet", "--support", "support", "--query", "query/ant")
    assert done.rc == 0 and "6 samples" in done.out and "accuracy" not in done.out, done
    assert done.out.splitlines()[0].split() == ["file", "label", "probability", "next"]


def test_any_number_of_classes_and_images(place):
    """A prototype can be of one image; classes have as many as they have."""
    pictures.write(place / "uneven", {"ant": 20}, [1])
    pictures.write(place / "uneven", {"bee": 21, "cat": 22}, range(5))
    rows, p = table(place, "protonet", "--support", "uneven", "--query", "query")
    assert rows[0][3:] == ["ant", "bee", "cat"] and p.shape == (24, 3)


def test_ways_of_a_range(place):
    """A head of 6 outputs tells 4 classes apart by 4 of them."""
    rows, p = table(place, "ranges", "--support", "support", "--query", "query")
    assert rows[0][3:] == sorted(NEW) and np.allclose(p.sum(axis=1), 1, atol=1e-7)
    assert predict(place, "ranges", "--support", "support", "--save", "r.safetensors").rc == 0
    again, q = table(place, "r.safetensors", "--query", "query")
    assert np.array_equal(p, q)
    pictures.write(place / "three", {"ant": 20, "bee": 21, "cat": 22}, [1])
    said = predict(place, "ranges", "--support", "three", "--query", "query")
    assert said.rc == 65 and "was trained to tell 4 to 6 apart" in said.err, said


# ---- images that look otherwise ----

@pytest.mark.parametrize("change,says", [
    (lambda x: 255 - x, "the background is dark"),
    (lambda x: x / 255, "is white 255 in these images?"),
    (lambda x: np.kron(x, np.ones((5, 5))), "images have 80 to 80 x 80 to 80 pixels"),
    (lambda x: np.kron(x, np.ones((1, 2))), "images have 16 to 16 x 32 to 32 pixels"),
    (lambda x: np.stack([x, x, x], axis=2), "images are in colour, those of training section 'train' were grey"),
    (lambda x: x, None),
])
def test_images_that_look_otherwise_are_told(place, tmp_path, change, says):
    for name, k in NEW.items():
        (tmp_path / f"{name}.png").write_bytes(pictures.png(change(pictures.drawing(k, 30))))
    done = predict(place, "protonet", "--support", "support", "--query", tmp_path)
    assert done.rc == 0, done
    warned = [line for line in done.err.splitlines() if line.startswith("warning")]
    assert len(warned) == (says is not None) and (says is None or says in warned[0]), done


# ---- wrong input ----

@pytest.mark.parametrize("words,code,says", [
    (["maml", "--query", "query"], 64, "give them with --support DIR"),
    (["whole", "--support", "support", "--query", "query"], 64, "it takes no --support"),
    (["whole", "--save", "x.safetensors", "--query", "query"], 64, "here nothing is"),
    (["maml", "--support", "support"], 64, "needs --query DIR or FILES"),
    (["maml", "--support", "held", "--query", "query"], 65, "'held' holds 10 classes, stage 's' was trained to tell 4 apart"),
    (["maml", "--support", "query/ant", "--query", "query"], 65, "in no folder that would be its class"),
    (["maml", "--support", "nowhere", "--query", "query"], 66, "cannot open 'nowhere'"),
    (["maml", "--support", "support", "--query", "nowhere"], 66, "cannot open 'nowhere'"),
    (["maml", "--support", "empty", "--query", "query"], 65, "class 'dog' holds no"),
    (["maml", "--support", "support", "--query", "nothing"], 65, "'nothing' holds no image"),
    (["maml", "--support", "support", "--query", "broken"], 65, "broken:b.png"),
    (["maml", "--support", "support", "--query", "broken/b.png"], 65, "metaloop: 'broken/b.png' is not a complete PNG image"),
    (["alone-not.safetensors", "--query", "query", "--protocol", "inductive"], 64, "without the statistics of its support"),
    (["running", "--support", "support", "--query", "query", "--protocol", "transductive"], 64, "needs batch statistics"),
    (["maml", "--support", "support", "--query", "query", "--protocol", "both"], 64, "not 'both'"),
    (["maml", "--support", "support", "--query", "query", "--csv", "--json"], 64, "give one of them"),
    (["maml", "--support", "support", "--query", "query", "--domain", "hold"], 64, "no data section 'hold', did you mean"),
    (["maml", "--support", "support", "--query", "query", "--stage", "t"], 64, "unknown stage 't'"),
    (["nothing", "--query", "query"], 66, "'nothing' holds no checkpoint"),
    (["held/t00/020.png", "--query", "query"], 65, "020.png"),
])
def test_wrong_input_is_one_sentence(place, words, code, says):
    pictures.write(place / "empty", {"ant": 1, "bee": 2, "cat": 3}, range(2))
    for name in ("empty/dog", "nothing", "broken"):
        (place / name).mkdir(exist_ok=True)
    (place / "broken" / "b.png").write_bytes(pictures.png(np.zeros((16, 16)))[:60])
    if words[0] == "alone-not.safetensors":
        predict(place, "maml", "--support", "support", "--save", words[0])
    done = predict(place, words[0], *words[1:])
    errors = [line for line in done.err.splitlines() if line.startswith("metaloop: ")]
    assert done.rc == code and len(errors) == 1 and says in errors[0], done
    assert done.out == "", done


def test_other_files_are_counted(place, tmp_path):
    (tmp_path / "a.png").write_bytes(pictures.png(pictures.drawing(20, 1)))
    (tmp_path / "notes.txt").write_text("no image")
    done = predict(place, "protonet", "--support", "support", "--query", tmp_path)
    assert done.rc == 0 and "1 file is not read, the first is 'notes.txt'" in done.err, done

# ---- README's way from images to answers ----

def readme_commands():
    with open(os.path.join(cli.ROOT, "README.md")) as f:
        block = re.search(r"^## From a folder of images to answers\n+```\n(.*?)```", f.read(), re.M | re.S)[1]
    return [shlex.split(line, comments=True) for line in block.strip().split("\n")]


def test_readme_from_images_to_answers(tmp_path):
    """The three commands as README has them, on a small made set and with fewer rounds. The accuracy of the answers on
    held-back images is that of the evaluation, within both intervals."""
    for name in ("build", "launch"):
        (tmp_path / name).symlink_to(os.path.join(cli.ROOT, name))
    with open(os.path.join(cli.ROOT, "examples", "folder.conf")) as f:
        conf = f.read()
    for old, new in (("rounds = 1000", "rounds = 30"), ("filters = 64", "filters = 8"), ("rate = 0.001", "rate = 0.005"), ("episodes = 200", "episodes = 50")):
        assert old in conf
        conf = conf.replace(old, new)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "folder.conf").write_text(conf)
    photos = tmp_path / "photos"
    pictures.write(photos / "train", {f"t{k:02}": k for k in range(16)}, range(10), noise=90)
    test = {f"n{k}": 30 + k for k in range(5)}
    pictures.write(photos / "test", test, range(20), noise=90)
    pictures.write(photos / "known", test, range(20, 25), noise=90)
    pictures.write(photos / "unknown", test, range(30, 60), noise=90)
    for k, path in enumerate(sorted(photos.glob("*/*/*.png"))):
        if k % 3 == 0 and shutil.which("cjpeg"):
            pictures.to_jpeg(path)
    commands = readme_commands()
    assert [next(w for w in c if w in ("check", "train", "predict")) for c in commands] == ["check", "train", "predict"]
    said = [cli.execute(command, cwd=tmp_path) for command in commands]
    assert [r.rc for r in said] == [0, 0, 0], said
    mean, interval = map(float, re.search(r"accuracy ([\d.]+) \+- ([\d.]+) %", said[1].err).groups())
    found = re.search(r"^150 samples, inductive; accuracy ([\d.]+) % \((\d+) of 150 ", said[2].out, re.M)
    p = int(found[2]) / 150
    assert mean > 50 and abs(float(found[1]) - mean) < interval + 196 * (p * (1 - p) / 150 + 0.0004) ** 0.5, said
    assert len(said[2].out.splitlines()) == 152
