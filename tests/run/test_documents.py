"""What the documents say is so: their commands run, and the keys, options, files and lines that they name are there."""
import csv
import glob
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import pytest

import cli
import observing
import stream

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

PAGES = sorted(os.path.relpath(p, cli.ROOT) for p in glob.glob(os.path.join(cli.ROOT, "docs", "*.md"))) + ["README.md"]
VERBS = re.findall(r"^  (\w+) ", cli.done("--help").out, re.M)
OBSERVE = os.path.join(cli.ROOT, "build", "metaloop-observe")
RUN = os.path.join(cli.ROOT, "launch", "run")
EACH = pytest.mark.parametrize("page", PAGES)


def text_of(page):
    with open(os.path.join(cli.ROOT, page)) as f:
        return f.read()


def help_of(*command):
    return cli.execute([*command, "--help"]).out


def keys():
    """{section: its keys}"""
    found, section = {}, None
    for line in cli.done("list", "keys").out.split("\n"):
        if re.match(r"\w", line):
            section = found.setdefault(line.split()[0], set())
        elif re.match(r"    \w", line):
            section.add(line.split()[0])
    return found


# ---- defaults ----

def test_every_key_is_documented():
    """make docs/configuration.md writes it."""
    assert text_of("docs/configuration.md") == "# Configuration\n\n" + cli.done("list", "keys", "--markdown").out


def test_defaults(tmp_path):
    """What a configuration without a key means. A default that changes changes everybody's results: where that is
    meant, `metaloop check CONF --print-config` of the two lines below writes the file."""
    (tmp_path / "least.conf").write_text('data d { }\nstage s { data = "d" }\n')
    assert cli.done("check", tmp_path / "least.conf", "--print-config").out == text_of("tests/lib/defaults.conf")


def test_run_directory_holds_the_defaults(tmp_path):
    """Every key of the effective configuration that the small one does not set is the default."""
    cli.done("train", cli.small(tmp_path), "--set", "metrics.endpoint=")
    said = (tmp_path / "run" / "configuration.conf").read_text()
    small = dict(re.findall(r"(\w+) = (\S+)", cli.SMALL))
    plain = text_of("tests/lib/defaults.conf")
    for section in ("stage", "evaluate", "checkpoint", "cluster", "progress"):
        found, want = (dict(re.findall(r"^    (\w+) = (.*)$", re.search(rf"^{section}\b.*?^}}", t, re.M | re.S)[0], re.M))
                       for t in (said, plain))
        assert found.keys() == want.keys()
        for key in found:
            if key not in small and key != "data":
                assert found[key] == want[key], key


# ---- what is named ----

def rows_of(page):
    """The first word of each row of a page's tables, if it is code."""
    return re.findall(r"^\| `(\w+)` \|", text_of(page), re.M)


def test_every_method_has_a_row():
    """Few-shot methods in methods.md, also of what they cost; the others in transfer.md."""
    names = re.findall(r"^(\w+) ", cli.done("list", "methods").out, re.M)
    few_shot = rows_of("docs/methods.md")
    assert len(set(few_shot)) * 2 == len(few_shot)
    assert sorted({*few_shot, *rows_of("docs/transfer.md")}) == sorted(names)


def test_every_loss_is_described():
    """With its own keys, in methods.md."""
    section = text_of("docs/methods.md").split("## Losses")[1].split("\n## ")[0]
    losses = re.findall(r"^(\w+) ", cli.done("list", "losses").out, re.M)
    keys = [k for k, owner in re.findall(r"^    (\w+) .*?  (\w+): ", cli.done("list", "keys").out, re.M) if owner in losses]
    assert len(keys) >= 3 and [name for name in losses + keys if f"`{name}`" not in section] == []


def test_keys_of_methods_are_named():
    """Each in the row of the method whose own it is."""
    words, named = {"rates": "constant", "inner_optimizer": "adam"}, 0
    for line in re.findall(r"^\| `\w+` \|.*\|$", text_of("docs/methods.md").split("## ")[0], re.M):
        method, *_, own = (cell.strip(" `") for cell in line.strip("|").split("|"))
        for key in re.findall(r"\w+", own):
            result = cli.run("check", "cluster.conf", "--set", f"stage.meta.{key}={words.get(key, 1)}")
            assert f"'{key}' is a key of method {method}, not of 'maml'" in result.err, result
            named += 1
    assert named == 7


@EACH
def test_links(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page)):
        if not re.match(r"\w+:", link):
            path = os.path.normpath(os.path.join(cli.ROOT, os.path.dirname(page), link))
            assert os.path.exists(path), f"{page} links to {link}"


@EACH
def test_keys_that_are_named(page):
    """`section.key` and `section.NAME.key`."""
    there = keys()
    for section, key in re.findall(r"\b(%s)\.(?:[A-Za-z]+\.)?([a-z_0-9]+)\b(?=[`=\s])" % "|".join(there), text_of(page)):
        if key not in ("conf", "md", "py", "c", "h", "jsonl", "json"):
            assert key in there[section], f"{page} names {section}.{key}"


@EACH
def test_options_that_are_named(page):
    """Of metaloop, its observer, and the scripts; others' own are listed here."""
    others = {"--python", "--batch", "--signal", "--ntasks-per-node", "--enable-recovery", "--oversubscribe", "--logdir",
              "--help", "--version", "--hostfile", "--host"}
    there = set(re.findall(r"--[a-z][a-z-]*", "".join(help_of(cli.METALOOP, v) for v in VERBS) + help_of(OBSERVE) +
                           help_of(RUN)))
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text_of(page)):
        assert option in there | others, f"{page} names {option}"


@EACH
def test_commands_that_are_named(page):
    """Every command line of metaloop has a verb that there is, and options that the verb has."""
    lines = re.findall(r"(?:build/metaloop|launch/run(?: -n \d+| --host\S* \S+)*) ([a-z]+)([^`\n]*)", text_of(page))
    for verb, rest in lines:
        if not re.search(r"-", verb + rest) and verb not in VERBS:
            continue  # prose
        assert verb in VERBS, f"{page}: {verb}"
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest.split("   ")[0]):
            assert option in help_of(cli.METALOOP, verb) or option == "--help", f"{page}: {verb} {option}"


def test_targets_that_are_named():
    for page in PAGES:
        for target in re.findall(r"`make ([a-z][a-z-]*)", text_of(page)):
            result = subprocess.run(["make", "-n", target], cwd=cli.ROOT, capture_output=True, text=True)
            assert "No rule" not in result.stderr, f"{page} names make {target}"


def test_exit_statuses():
    """running.md's table has those of core/base/err.h."""
    there = set(re.findall(r"exit +(\d+)", text_of("core/base/err.h"))) | {"0"}
    table = text_of("docs/running.md").split("| exit status |")[1].split("\n\n")[0]
    named = set(re.findall(r"\b\d+\b", " ".join(row.split("|")[1] for row in table.split("\n")[2:] if "|" in row)))
    assert named == there
    for page in PAGES:
        for status in re.findall(r"exit(?:s with| status) (\d+)", text_of(page)):
            assert status in there | {"255"}, f"{page}: exit status {status}"  # 255 is ssh's


# ---- lines and objects ----

SHORT = ["--set", "stage.meta.rounds=4", "--set", "stage.meta.tasks=4", "--set", "stage.align.rounds=2", "--set",
         "evaluate.episodes=4", "--set", "model.filters=4", "--set", "data.source.size=14", "--set", "data.target.size=14",
         "--set", "metrics.endpoint="]


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    """The shape of the default run, both stages, tiny: its directory and what it printed."""
    folder = tmp_path_factory.mktemp("default")
    return folder, cli.done("train", "cluster.conf", "--run", folder / "run", "--json", *SHORT, ranks=2)


def named_in(text):
    return set(re.findall(r"`([a-z_0-9]+)`", text))


def nested(value):
    """The keys of an object and of all that is in it."""
    if isinstance(value, list):
        return set().union(*map(nested, value))
    return set(value).union(*map(nested, value.values())) if isinstance(value, dict) else set()


def test_keys_of_metrics_are_documented(default_run):
    named = named_in(text_of("docs/json.md"))
    with open(default_run[0] / "run" / "metrics.jsonl") as f:
        lines = [json.loads(line) for line in f]
    assert {"stage", "round", "evaluation", "adaptation", "watch", "checkpoint", "end"} <= {o["kind"] for o in lines}
    for o in lines:
        assert o["kind"] in named and nested(o) - {"kind"} <= named, (o["kind"], nested(o) - named)


def test_keys_of_results_are_documented(default_run):
    named = named_in(text_of("docs/json.md"))
    assert nested(default_run[1].json()) <= named
    said = cli.done("evaluate", "cluster.conf", *SHORT, "--stage", "align", "--json", "--checkpoint",
                    default_run[0] / "run" / "checkpoint-01-000000002.safetensors").json()
    assert nested(said) <= named


# ---- README's commands ----

def png(gray):
    """The bytes of a grey picture."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    h, w = gray.shape
    rows = b"".join(b"\0" + row.tobytes() for row in gray)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def put_images(folder):
    rng = np.random.default_rng(1)
    for name in (f"{c}/{i}" for c in "abcde" for i in (1, 2)):  # as many classes as its tasks have
        path = folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (14, 14)).astype(np.uint8)))
    with tarfile.open(folder / "images.tar.gz", "w:gz") as f:
        f.add(folder / "images", "images")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that looks like the repository, with the default configuration made tiny and the files README names."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("build", "launch"):
        (folder / name).symlink_to(os.path.join(cli.ROOT, name))
    conf = text_of("cluster.conf")
    for old, new in (("rounds = 600", "rounds = 4"), ("tasks = 16", "tasks = 4"), ("filters = 32", "filters = 4"),
                     ('style = "', 'size = 14  style = "'), ("episodes = 600", "episodes = 4"), ("batch = 64", "batch = 8"),
                     ('endpoint = "tcp://127.0.0.1:5555"', 'endpoint = ""'), ("every = 300", "every = 2")):
        assert old in conf, old
        conf = conf.replace(old, new)
    (folder / "cluster.conf").write_text(conf)
    (folder / "hosts").write_text("localhost slots=2\n")
    put_images(folder)
    return folder


def use_block():
    """The commands of README's section Use, a list of words each."""
    block = re.search(r"^## Use\n+```\n(.*?)```", text_of("README.md"), re.M | re.S)[1]
    return [shlex.split(line, comments=True) for line in block.strip().split("\n")]


FEWER = {"4": "2", "stage.meta.rounds=1000": "stage.meta.rounds=4", "FILE": "runs/mine/checkpoint-00-000000004.safetensors",
         "runs/mine/checkpoint-00-000001000.safetensors": "runs/mine/checkpoint-00-000000004.safetensors",
         "TASKFILE": "tasks/task-000001-0000.bin"}
BEFORE = {  # what has to be there
    "gradient": lambda folder: put_task(folder),
    "replay": lambda folder: cli.done("check", "cluster.conf", "--stage", "meta", "--tasks", "1", "--out", "tasks", cwd=folder)}


def test_commands_of_readme(place):
    """As README has them, with fewer ranks and rounds and with files for its placeholders, in the order in which they
    stand there; every one ends with 0."""
    ran = set()
    for words in use_block():
        words = [FEWER.get(word, word) for word in words]
        verb = next(w for w in words if w in VERBS or w == "build/metaloop-observe")
        BEFORE.get(verb, lambda folder: None)(place)
        if verb == "build/metaloop-observe":
            words += ["--replay", "runs/mine", "--lines"]
        result = cli.execute(words, {"METALOOP_DATA": place}, cwd=place)
        assert result.rc == 0, result
        ran.add(verb)
    assert ran == set(VERBS) - {"keygen"} | {"build/metaloop-observe"}


def put_task(folder):
    rng = np.random.default_rng(2)
    labels = np.arange(5).repeat(1), np.arange(5).repeat(3)
    safetensors_io.save(folder / "T.safetensors", {
        "support.x": rng.random((5, 1, 14, 14)), "support.y": labels[0], "query.x": rng.random((15, 1, 14, 14)),
        "query.y": labels[1]})
    (folder / "P.safetensors").write_bytes((folder / "runs/mine/checkpoint-00-000000004.safetensors").read_bytes())


# ---- the picture of the tree ----

sys.path.insert(0, os.path.join(cli.ROOT, "docs"))
import draw_architecture
import lint_rooms


def included_rooms():
    """{(room, room that one of its files includes)}"""
    found = set()
    for room in {r.split("/")[0] for r in lint_rooms.ROOMS}:
        for path in glob.glob(os.path.join(cli.ROOT, room, "**", "*.[ch]"), recursive=True):
            path = os.path.relpath(path, cli.ROOT)
            for header in re.findall(r'^#include "([^"]+)"', text_of(path), re.M):
                if os.path.exists(os.path.join(cli.ROOT, header)):
                    found.add((lint_rooms.room_of(path), lint_rooms.room_of(header)))
    return {(a, b) for a, b in found if a != b}


def reached():
    """{(room, room that arrows lead to)}"""
    pairs = set(draw_architecture.ARROWS)
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


def test_picture_is_drawn():
    """docs/draw_architecture.py has written docs/architecture.svg, and the page shows it."""
    assert text_of("docs/architecture.svg") == draw_architecture.picture()
    assert "(architecture.svg)" in text_of("docs/architecture.md")


def test_rooms_of_the_picture():
    """They are those whose directions `make lint` holds, and folders of the tree."""
    assert set(draw_architecture.ROOMS) == set(lint_rooms.ROOMS)
    for room in draw_architecture.ROOMS:
        assert os.path.isdir(os.path.join(cli.ROOT, room)), room


def test_arrows_of_the_picture():
    """Each arrow is a direction that `make lint` allows, and every include of one room by another follows arrows."""
    for a, b in draw_architecture.ARROWS:
        assert b in lint_rooms.ROOMS[a], f"{a} may not include {b}"
    missing = included_rooms() - reached()
    assert not missing, sorted(missing)


@EACH
def test_files_that_are_named(page):
    """`room/file.c` and `room/` in the text are in the tree."""
    for path in re.findall(r"`((?:core|proto|worker|coordinator|observer|launch|tests|bench|docs|examples)/[a-z_0-9./-]*)`", text_of(page)):
        assert os.path.exists(os.path.join(cli.ROOT, path)), f"{page} names {path}"


# ---- the worked example ----

@pytest.fixture(scope="module")
def tree_with_example(tmp_path_factory):
    """A copy of the tree and of what is built of it, with the method of docs/adding.md in its file and in its table."""
    tree = tmp_path_factory.mktemp("example") / "tree"
    for part in "core", "proto", "worker", "coordinator", "observer", "launch", "build":
        shutil.copytree(os.path.join(cli.ROOT, part), tree / part, ignore=shutil.ignore_patterns("tests", "fuzz"))
    shutil.copy(os.path.join(cli.ROOT, "Makefile"), tree)
    name, code = re.search(r"<!-- example: (\S+) -->\n```c\n(.*?)```", text_of("docs/adding.md"), re.S).groups()
    (tree / name).write_text(code)
    table = tree / os.path.dirname(name) / "table.c"
    text = table.read_text()
    table.write_text(re.sub(r"(\nconst struct method_ops \*const method_table\[\] = \{)",
                            r"\nextern const struct method_ops method_tether;\n\1&method_tether, ", text))
    made = subprocess.run(["make", "-s", "build/metaloop"], cwd=tree, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return tree


def example(tree, *arguments, ranks=1):
    command = [tree / "launch" / "run", "-n", str(ranks)] if ranks > 1 else [tree / "build" / "metaloop"]
    result = cli.execute([*command, *arguments], cwd=tree)
    assert result.rc == 0, result
    return result


def test_example_is_there(tree_with_example):
    assert "tether" in example(tree_with_example, "list", "methods").out
    assert "pull back to theta_0" in example(tree_with_example, "list", "keys").out


def test_example_trains(tree_with_example, tmp_path):
    """The same bits on 1 and 3 ranks; without a pull it is first-order MAML, with one it is not."""
    def digest(ranks, *sets):
        conf = cli.small(tmp_path)
        return example(tree_with_example, "train", conf, "--json", "--overwrite", "--set", "metrics.endpoint=",
                       *[w for s in sets for w in ("--set", f"stage.meta.{s}")], ranks=ranks).json()["digest"]
    pulled = digest(1, "method=tether", "tether=0.5", "inner_steps=2")
    assert digest(3, "method=tether", "tether=0.5", "inner_steps=2") == pulled
    first_order = digest(1, "method=fomaml", "inner_steps=2")
    assert digest(1, "method=tether", "tether=0", "inner_steps=2") == first_order != pulled


def test_example_tells_its_metric(tree_with_example, tmp_path):
    """A number that only the method knows: in metrics.jsonl, the same on 1 and 3 ranks; in `inspect`; to observers, live and after."""
    def moved(name, tether, rounds=8, endpoint="", ranks=1):
        sets = ["stage.meta.method=tether", f"stage.meta.tether={tether}", "stage.meta.inner_steps=4",
                f"stage.meta.rounds={rounds}", f"metrics.endpoint={endpoint}"]
        example(tree_with_example, "train", cli.small(tmp_path), "--run", tmp_path / name, *[w for s in sets for w in ("--set", s)],
                ranks=ranks)
        return told(tmp_path / name / "metrics.jsonl")

    def told(path):
        with open(path) as f:
            return [e["moved"] for e in map(json.loads, f) if e["kind"] == "round"]
    pulled = moved("pulled", 2)
    assert 0 < pulled[0] < moved("free", 0)[0]

    port = stream.free_port()
    observer = observing.Observer(tmp_path, port)
    try:
        observer.until(lambda: "no publisher" in observer.text())
        long = moved("long", 2, rounds=400, endpoint=f"tcp://127.0.0.1:{port}", ranks=3)
        assert observer.process.wait(60) == 0
    finally:
        observer.process.kill()
    assert [e["moved"] for e in observer.events("round")] == long and long[:8] == pulled

    assert f", moved {pulled[-1]:.4g}" in example(tree_with_example, "inspect", tmp_path / "pulled").out
    page = observing.Server("--replay", tmp_path / "pulled")
    try:
        page.until(lambda runs: runs[0]["end"] == "done")
        assert "moved" in [chart["title"] for chart in page.json("/api/run")["runs"][0]["stages"][0]["charts"]]
    finally:
        page.close()
    cli.done("--replay", tmp_path / "pulled", "--csv", tmp_path / "out.csv", program=OBSERVE)
    with open(tmp_path / "out.csv", newline="") as f:
        assert [float(r["value"]) for r in csv.DictReader(f) if (r["kind"], r["name"]) == ("round", "moved")] == pulled
