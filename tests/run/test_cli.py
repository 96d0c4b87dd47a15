"""What the command line promises: help, results on standard output, and what bad input gets: a sentence
that names the thing, an exit status from core/base/err.h, and no hang on any rank."""
import glob
import json
import os
import re
import subprocess

import numpy as np
import pytest

import cli

EXAMPLES = os.path.join(cli.ROOT, "examples")
VERBS = "train", "evaluate", "check", "gradient", "bench", "inspect", "pack", "list", "replay"
RANKS = pytest.mark.parametrize("ranks", [None, 3])
USAGE, DATA, NOINPUT, CANTCREAT, IO, CONFIG = 64, 65, 66, 73, 74, 78


def refused(rc, *args, says=(), **how):
    """The command ends with exit status rc, and standard error holds every piece of text of `says`."""
    result = cli.run(*args, **how)
    assert result.rc == rc, result
    for piece in says:
        assert str(piece) in result.err, f"standard error does not hold '{piece}'{result!r}"
    return result


def changed(folder, old, new):
    return cli.small(folder, replace={old: new})


@pytest.fixture
def conf(tmp_path):
    return cli.small(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a small finished run, and what it said at its end."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, cli.done("train", cli.small(folder), "--json").json()


# ---- words ----

def test_help():
    assert "train" in cli.done("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb):
    assert verb in cli.done(verb, "--help").out


def test_no_arguments():
    refused(USAGE, says=["--help"])


@RANKS
def test_wrong_verb(ranks, conf):
    refused(USAGE, "trian", conf, says=["trian", "'train'"], ranks=ranks)


@RANKS
def test_wrong_option(ranks, conf):
    refused(USAGE, "train", conf, "--resum", says=["--resum", "'--resume'"], ranks=ranks)


@pytest.mark.parametrize("args", [["train"], ["evaluate", "{conf}"], ["gradient", "{conf}"], ["inspect"],
                                  ["train", "{conf}", "--run"], ["evaluate", "{conf}", "--checkpoint", "x",
                                                                 "--episodes", "many"]])
def test_wrong_arguments(args, conf):
    refused(USAGE, *[a.format(conf=conf) for a in args], says=["'"])


@pytest.mark.parametrize("what, one", [("methods", "maml"), ("methods", "fomaml"), ("models", "conv4"),
                                       ("formats", "sinusoid"), ("formats", "npz"), ("keys", "inner_rate")])
def test_list(what, one):
    assert re.search(rf"\b{one}\b", cli.done("list", what).out)


def test_list_wrong_word():
    refused(USAGE, "list", "metods", says=["'methods'"])


NEAREST = [  # status, arguments behind the verb, what is wrong, what is meant
    (USAGE, ["--stage", "metta"], "unknown stage 'metta'", "meta"),
    (CONFIG, ["--set", "stage.meta.method=mamll"], "unknown method 'mamll'", "maml"),
    (CONFIG, ["--set", "stage.meta.data=glyfs"], "uses data 'glyfs'", "glyphs"),
    (CONFIG, ["--set", "stage.meta.model=modle"], "uses model 'modle'", "model"),
    (CONFIG, ["--set", "stage.meta.evaluate=glyps"], "uses data 'glyps'", "glyphs"),
    (CONFIG, ["--set", "evaluate.data=glyps"], "uses data 'glyps'", "glyphs"),
    (CONFIG, ["--set", "data.glyphs.domain=glyps"], "uses data 'glyps'", "glyphs"),
    (CONFIG, ["--set", "data.glyphs.format=foldr"], "unknown format 'foldr'", "folder"),
    (CONFIG, ["--set", "data.glyphs.style=chlak"], "unknown style 'chlak'", "chalk"),
    (CONFIG, ["--set", "data.glyphs.rotations=drwa"], "'rotations' is 'drwa'", "draw"),
    (CONFIG, ["--set", "model.type=conv"], "'type' is 'conv'", "conv4"),
    (CONFIG, ["--set", "model.type=layers", "--set", "model.layers=flaten,head"], "unknown layer 'flaten'", "flatten"),
    (CONFIG, ["--set", "model.type=layers", "--set", "model.layers=dense filtres=3,head"], "unknown key 'filtres'",
     "filters"),
    (CONFIG, ["--set", "stage.meta.optimizer=adma"], "'optimizer' is 'adma'", "adam"),
    (CONFIG, ["--set", "stage.mta.way=3"], "no stage 'mta'", "meta"),
    (CONFIG, ["--set", "data.glyps.size=14"], "no data 'glyps'", "glyphs"),
    (CONFIG, ["--set", "stge.meta.way=3"], "unknown section 'stge'", "stage"),
    (CONFIG, ["--set", "progress.evry=3"], "unknown key 'evry'", "every"),
    (USAGE, ["--set-key"], "no option '--set-key'", None),
    (USAGE, ["--gradient"], "no option '--gradient'", "--gradients"),
]


@pytest.mark.parametrize("rc, args, wrong, meant", NEAREST)
def test_nearest_word(rc, args, wrong, meant, tmp_path):
    """Wherever a name is looked up, the one that was meant is named."""
    conf = changed(tmp_path, "size = 14", "size = 14  first = 5")
    refused(rc, "check", conf, *args, says=[wrong] + ([f"did you mean '{meant}'?"] if meant else []))


@pytest.mark.parametrize("rc, args, words", [
    (USAGE, ["--stage", "xyz"], ["meta"]), (CONFIG, ["--set", "stage.meta.method=qqqqqqqq"], ["maml", "adda", "kd"]),
    (CONFIG, ["--set", "data.glyphs.format=jpeg"], ["npy", "folder", "idx"]),
    (CONFIG, ["--set", "stage.meta.data=xyz"], ["glyphs"])])
def test_no_near_word(rc, args, words, conf):
    """If no name is near, the message lists what there is."""
    said = refused(rc, "check", conf, *args, says=["; there is "]).err.split("; there is ")[1].strip().split(", ")
    assert set(words) <= set(said)


def test_stages_and_teachers_by_their_names(tmp_path):
    """A stage before it, and the teacher's layer."""
    path = changed(tmp_path, "evaluate {", """stage body {{ method = "pretrain"  data = "few"  rounds = 1 }}
stage student {{ method = "fitnet"  data = "few"  start = "bdoy" }}
data few {{ format = "glyphs"  size = 14  first = 5 }}
evaluate {{""".replace("{{", "{").replace("}}", "}"))
    refused(CONFIG, "check", path, says=["start 'bdoy' is not an earlier stage", "did you mean 'body'?"])
    start = ["--set", "stage.student.start="]
    refused(CONFIG, "check", path, *start, "--set", "stage.student.anchor=bdy", says=["did you mean 'body'?"])
    refused(CONFIG, "check", path, *start, "--set", "stage.student.hint=cov4",
            says=["the teacher has no layer 'cov4'", "did you mean 'conv4'?"])


# ---- configuration ----

BAD_CONF = [  # the piece of the small configuration, what replaces it, its line, what the error says
    ("way = 3", "wya = 3", 5, ["wya", "'way'"]),
    ("way = 3", 'way = "three"', 5, ["way", "three"]),
    ("way = 3", "way = -3", 5, ["way", "-3"]),
    ("shot = 1", "shot = 0", 5, ["shot"]),
    ("inner_rate = 0.4", "inner_rate = nan", 6, ["inner_rate"]),
    ("rounds = 8", "rounds = 8.5", 6, ["rounds", "8.5"]),
    ('optimizer = "adam"', 'optimizer = "adma"', 6, ["adma", "adam"]),
    ('method = "maml"', 'method = "malm"', None, ["malm", "maml"]),
    ('data = "glyphs"', 'data = "glyfs"', None, ["glyfs", "glyphs"]),
    ('type = "conv4"', 'type = "conv5"', 4, ["conv5", "conv4"]),
    ("evaluate {", "evalute {", 7, ["evalute", "'evaluate'"]),
    ("stage meta {", "stage meta", None, ["small.conf"]),
    ("directory =", "directory", 1, ["small.conf"]),
    ("rounds = 8 }", "rounds = 8", None, ["small.conf"]),
]


@pytest.mark.parametrize("old, new, line, says", BAD_CONF)
def test_bad_configuration(old, new, line, says, tmp_path):
    pieces = [p.replace("{", "{{").replace("}", "}}") for p in (old, new)]
    path = cli.small(tmp_path, cli.SMALL.replace(*pieces))
    refused(CONFIG, "train", path, says=says + ([f"{path}:{line}:"] if line else []))


def test_bad_configuration_on_every_rank(tmp_path):
    path = changed(tmp_path, "way = 3", "wya = 3")
    refused(CONFIG, "train", path, says=[f"{path}:5:", "'way'"], ranks=3)


TWO_MODELS = """model { type = "mlp"  widths = {"5"} }
model wide { type = "mlp"  widths = {"9"} }
stage first { method = "maml"  data = "glyphs"  way = 3  query = 2  tasks = 4  rounds = 2 }"""


def test_each_stage_trains_its_model(tmp_path):
    path = changed(tmp_path, 'model { type = "conv4"  filters = 4 }', TWO_MODELS)
    size = [14 * 14 * n + n + 3 * n + 3 for n in (5, 9)]
    plan = cli.done("check", path, "--set", "stage.meta.model=wide").out
    assert re.findall(r"(\d+) parameters", plan) == [str(n) for n in size]
    plan = cli.done("check", path, "--set", "stage.first.model=wide", "--set", "model.wide.widths=7").out
    assert re.findall(r"(\d+) parameters", plan) == [str(14 * 14 * 7 + 7 + 3 * 7 + 3), str(size[0])]
    cli.done("train", path, "--set", "stage.meta.model=wide", ranks=3)
    refused(CONFIG, "check", path, "--set", "stage.meta.model=wied", says=["'wied'", "'wide'"])
    refused(CONFIG, "check", path, "--set", "stage.meta.model=wide", "--set", "model.wide.type=layers",
            says=["stage 'meta', model 'wide'", "'layers' is empty"])


@pytest.mark.parametrize("value, says", [("stage.meta.wya=3", "way"), ("stage.mata.way=3", "meta"),
                                         ("stage.meta.way=three", "three"), ("way=3", "way")])
def test_bad_set(value, says, conf):
    refused(CONFIG, "check", conf, "--set", value, says=[says])


def test_set_without_a_value(conf):
    assert cli.run("check", conf, "--set", "stage.meta.way").rc in (USAGE, CONFIG)


@RANKS
def test_missing_configuration(ranks, tmp_path):
    refused(NOINPUT, "train", tmp_path / "none.conf", says=[tmp_path / "none.conf"], ranks=ranks)


def test_configuration_that_is_none(tmp_path):
    path = tmp_path / "bytes.conf"
    path.write_bytes(bytes(range(256)) * 40)
    refused(CONFIG, "check", path, says=[path])


# ---- data ----

def npz(path, counts, size=14):
    """Random images, counts[i] of class i."""
    labels = np.arange(len(counts), dtype=np.uint16).repeat(counts)
    images = np.random.default_rng(1).integers(0, 256, (len(labels), size, size)).astype(np.uint8)
    np.savez(path, images=images, labels=labels)
    return path


def with_npz(folder, more=""):
    return changed(folder, 'format = "glyphs"  size = 14', f'format = "npz"  path = "set.npz"  {more}')


def test_trains_on_a_file(tmp_path):
    npz(tmp_path / "set.npz", [5] * 6)
    found = cli.done("train", with_npz(tmp_path), "--data-root", tmp_path, "--json", ranks=2).json()
    assert found["rounds"] == 8
    other = cli.done("train", with_npz(tmp_path), "--run", tmp_path / "other", "--json",
                     env={"METALOOP_DATA": tmp_path}).json()
    assert other["digest"] == found["digest"]


@RANKS
def test_missing_data(ranks, tmp_path):
    refused(NOINPUT, "train", with_npz(tmp_path), "--data-root", tmp_path, ranks=ranks,
            says=[tmp_path / "set.npz", f"the data root is '{tmp_path}'", "METALOOP_DATA"])


@RANKS
def test_truncated_data(ranks, tmp_path):
    data = npz(tmp_path / "set.npz", [5] * 6).read_bytes()
    (tmp_path / "set.npz").write_bytes(data[:len(data) // 2])
    refused(DATA, "train", with_npz(tmp_path), "--data-root", tmp_path, says=[tmp_path / "set.npz"], ranks=ranks)


def test_data_that_is_none(tmp_path):
    (tmp_path / "set.npz").write_bytes(b"not an archive at all" * 20)
    refused(DATA, "check", with_npz(tmp_path), "--data-root", tmp_path, says=[tmp_path / "set.npz"])


@RANKS
def test_class_with_too_few_images(ranks, tmp_path):
    """shot + query is 3: class 2 has 2."""
    npz(tmp_path / "set.npz", [5, 5, 2, 5])
    refused(CONFIG, "train", with_npz(tmp_path), "--data-root", tmp_path, ranks=ranks,
            says=["'glyphs'", "class '2'", "2 samples", "needs 3"])


def test_class_with_too_few_images_is_named(tmp_path):
    npz(tmp_path / "set.npz", [5, 5, 2, 5])
    (tmp_path / "names.txt").write_text("alpha\nbeta\ngamma\ndelta\n")
    refused(CONFIG, "check", with_npz(tmp_path, 'names = "names.txt"'), "--data-root", tmp_path, says=["gamma"])


@RANKS
def test_way_beyond_the_classes(ranks, tmp_path):
    npz(tmp_path / "set.npz", [5, 5])
    refused(CONFIG, "train", with_npz(tmp_path), "--data-root", tmp_path, says=["way is 3", "2 classes"], ranks=ranks)


# ---- results ----

def test_train_says_what_it_did(trained):
    folder, found = trained
    assert found["rounds"] == 8
    assert re.fullmatch(r"[0-9a-f]{16}", found["digest"])
    assert found["loss"] > 0 and 0 <= found["accuracy"] <= 1
    assert os.path.getsize(os.path.join(cli.ROOT, found["checkpoint"])) > 0
    with open(folder / "run" / "metrics.jsonl") as f:
        assert len([json.loads(line) for line in f]) >= 8


def test_checkpoints_that_are_kept(tmp_path, conf):
    cli.done("train", conf, "--set", "checkpoint.every=1", "--set", "checkpoint.keep=2")
    assert len(glob.glob(str(tmp_path / "run" / "*.safetensors"))) == 2


def test_results_go_to_standard_output_only(tmp_path, conf):
    result = cli.done("train", conf, "--json", ranks=2)
    assert len(result.out.strip().split("\n")) == 1
    assert result.err.strip() != ""


def test_evaluate(trained):
    folder, found = trained
    said = cli.done("evaluate", folder / "small.conf", "--checkpoint", found["checkpoint"], "--episodes", 10,
                    "--json").json()
    assert said["episodes"] == 10 and 0 <= said["accuracy"] <= 1 and said["ci95"] >= 0 and said["loss"] > 0


def test_check_prints_the_plan(conf):
    out = cli.done("check", conf).out
    for word in ("meta", "maml", "conv1.weight", "head.weight"):
        assert word in out


def test_inspect(trained):
    out = cli.done("inspect", trained[1]["checkpoint"]).out
    assert "conv1.weight" in out and "head.bias" in out and trained[1]["digest"] in out


def test_more_ranks_than_tasks(tmp_path, conf):
    alone = cli.done("train", conf, "--json", "--set", "stage.meta.tasks=1").json()
    four = cli.done("train", conf, "--json", "--set", "stage.meta.tasks=1", "--run", tmp_path / "four", ranks=4).json()
    assert alone["digest"] == four["digest"]


def test_second_run_in_one_directory(tmp_path, conf):
    cli.done("train", conf)
    kept = {p: open(p, "rb").read() for p in glob.glob(str(tmp_path / "run" / "*.safetensors"))}
    result = cli.run("train", conf)
    assert result.rc not in (0, 1) and result.rc > 0, result
    assert str(tmp_path / "run") in result.err and "--resume" in result.err
    assert kept and all(open(p, "rb").read() == data for p, data in kept.items())


# ---- checkpoints and tasks ----

@RANKS
def test_checkpoint_of_another_model(ranks, trained, tmp_path):
    other = changed(tmp_path, "filters = 4", "filters = 8")
    refused(DATA, "evaluate", other, "--checkpoint", trained[1]["checkpoint"],
            says=[trained[1]["checkpoint"], "conv1.weight"], ranks=ranks)


@RANKS
def test_missing_checkpoint(ranks, tmp_path, conf):
    refused(NOINPUT, "evaluate", conf, "--checkpoint", tmp_path / "none.safetensors", says=["none.safetensors"],
            ranks=ranks)


def spoiled(trained, path, at):
    """A copy of the checkpoint cut or flipped at a fraction of its length."""
    data = bytearray(open(os.path.join(cli.ROOT, trained[1]["checkpoint"]), "rb").read())
    data[int(len(data) * abs(at))] ^= 0x10
    path.write_bytes(data if at > 0 else data[:int(len(data) * -at)])
    return path


@pytest.mark.parametrize("at", [0.9, 0.6, 0.0001, -0.9, -0.5, -0.01, -0.0001])
def test_torn_or_flipped_checkpoint(at, trained, tmp_path, conf):
    path = spoiled(trained, tmp_path / "bad.safetensors", at)
    refused(DATA, "evaluate", conf, "--checkpoint", path, says=[path])
    refused(DATA, "inspect", path, says=[path])


@pytest.mark.parametrize("what", ["params", "task"])
def test_gradient_of_what_does_not_fit(what, tmp_path):
    """A fixture's file in place of another's."""
    folder = os.path.join(cli.ROOT, "tests", "torch")
    files = {"params": f"{folder}/conv4-mean-5way-1/params.safetensors",
             "task": f"{folder}/conv4-mean-5way-1/task.safetensors"}
    files[what] = f"{folder}/mlp-20way-1/{what}.safetensors"
    refused(DATA, "gradient", f"{folder}/conv4-mean-5way-1/conf", "--stage", "meta", "--params", files["params"],
            "--task", files["task"], "--out", tmp_path / "out.safetensors", says=[files[what]])
    assert not os.path.exists(tmp_path / "out.safetensors")


def test_gradient_of_an_unknown_stage(tmp_path):
    folder = os.path.join(cli.ROOT, "tests", "torch", "conv4-mean-5way-1")
    result = cli.run("gradient", f"{folder}/conf", "--stage", "mata", "--params", f"{folder}/params.safetensors",
                     "--task", f"{folder}/task.safetensors", "--out", tmp_path / "out.safetensors")
    assert result.rc in (USAGE, CONFIG) and "mata" in result.err and "meta" in result.err, result


# ---- where it cannot write ----

@RANKS
def test_unwritable_directory(ranks, tmp_path, conf):
    """Below a regular file, where not even root can make a directory."""
    (tmp_path / "file").write_text("")
    refused(CANTCREAT, "train", conf, "--run", tmp_path / "file" / "run", says=[tmp_path / "file"], ranks=ranks)


def test_unwritable_output(tmp_path):
    folder = os.path.join(cli.ROOT, "tests", "torch", "conv4-mean-5way-1")
    refused(CANTCREAT, "gradient", f"{folder}/conf", "--stage", "meta", "--params", f"{folder}/params.safetensors",
            "--task", f"{folder}/task.safetensors", "--out", tmp_path / "none" / "out.safetensors", says=["none"])


@pytest.fixture
def full_disk(tmp_path):
    """A directory of 16 KiB: room for a manifest, not for a checkpoint."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "full"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)],
                           stderr=subprocess.PIPE, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@RANKS
def test_full_disk(ranks, tmp_path, full_disk, conf):
    """It ends with the exit status of an unwritable file, or goes on and says so; no partial checkpoint."""
    result = cli.run("train", conf, "--run", full_disk / "run", "--set", "model.filters=16", ranks=ranks)
    assert result.rc in (0, IO), result
    assert str(full_disk) in result.err and "No space left" in result.err, result
    assert glob.glob(str(full_disk / "run" / "*.safetensors")) == []


# ---- the real data ----

@pytest.fixture
def data_root():
    root = cli.environment().get("METALOOP_DATA")
    if not root or not os.path.isdir(os.path.join(root, "omniglot")):
        pytest.skip("METALOOP_DATA does not name a directory with omniglot/ in it")
    return root


@pytest.mark.parametrize("name", sorted(n for n in os.listdir(EXAMPLES) if n.endswith(".conf") and n != "folder.conf"))
def test_examples_check(name, data_root):
    folders = {"icons": "icons", "fashion": "fashion-mnist", "assays.conf": "assays", "meters.conf": "meters"}
    folder = folders.get(name.split("-")[0], "omniglot")
    if not os.path.isdir(os.path.join(data_root, folder)):
        pytest.skip(f"METALOOP_DATA has no {folder}/ (docs/data.md)")
    cli.done("check", os.path.join(EXAMPLES, name))


def test_omniglot_trains(data_root, tmp_path):
    found = cli.done("train", os.path.join(EXAMPLES, "omniglot-5w1s.conf"), "--run", tmp_path / "run",
                     "--set", "stage.meta.rounds=3", "--set", "evaluate.episodes=20", "--json", ranks=2).json()
    assert found["rounds"] == 3 and np.isfinite(found["loss"])
