"""Runs of one name are told apart by identity; names of any kind are read whole; control characters reach no view."""
import csv
import json
import os
import re
import subprocess
import time

import pytest

import cli
import tfevents
from observing import OBSERVE, Server, free_port

openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")
IDS = "1a2b3c4d5e6f7081", "1a2b3c4d99999999"


def lines(loss, id=None, name="fs"):
    head = [f'{{"kind":"run","run_id":"{id}","name":{json.dumps(name)},"seed":1,"version":"x"}}'] if id else []
    return head + ['{"kind":"stage","stage":"a","stage_index":0,"rounds":3,"method":"maml"}',
                   *(f'{{"kind":"round","stage":"a","stage_index":0,"round":{i},"loss":{loss}}}' for i in (1, 2, 3))]


def run_make(folder, loss, id=None, name="fs", configuration=None):
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("\n".join(lines(loss, id, name)) + "\n", encoding="utf-8")
    text = 'run { name = "fs" }\n' if configuration is None else configuration
    (folder / "configuration.conf").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(params=["with ids", "older"])
def two(request, tmp_path):
    """Two runs of one name; older directories have no id."""
    ids = IDS if request.param == "with ids" else (None, None)
    return [run_make(tmp_path / name, loss, id) for name, loss, id in (("one", 1, ids[0]), ("two", 2, ids[1]))]


def observe(*args, **how):
    return cli.done(*args, program=OBSERVE, **how)


def replays(runs):
    return [word for run in runs for word in ("--replay", run)]


def boards(folder):
    """{directory: losses} of TensorBoard's files."""
    found = {}
    for name in os.listdir(folder):
        file, = os.listdir(folder / name)
        found[name] = {v for e in tfevents.read(folder / name / file) for t, v in e.values.items() if t == "a/loss"}
    return found


def test_one_directory_each_whatever_the_order(two, tmp_path):
    observe(*replays(two), "--tensorboard", tmp_path / "tb")
    observe(*replays(two[::-1]), "--tensorboard", tmp_path / "other")
    observe(*replays(two[1:]), "--tensorboard", tmp_path / "alone")
    found = boards(tmp_path / "tb")
    assert sorted(map(sorted, found.values())) == [[1.0], [2.0]]
    assert all(re.fullmatch("fs-[0-9a-f]{16}", name) for name in found)
    assert boards(tmp_path / "other") == found
    (name, losses), = boards(tmp_path / "alone").items()
    assert losses == {2.0} == found[name]


def test_one_key_each_in_the_csv(two, tmp_path):
    observe(*replays(two), "--csv", tmp_path / "x.csv")
    with open(tmp_path / "x.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["name"] == "loss"]
    keys = {(r["run"], r["run_id"]): set() for r in rows}
    for r in rows:
        keys[r["run"], r["run_id"]].add(r["value"])
    assert sorted(map(sorted, keys.values())) == [["1"], ["2"]]
    assert {name for name, _ in keys} == {"fs"}


def test_one_entry_each_over_http(two):
    s = Server(*replays(two))
    s.until(lambda runs: all(r["state"] == "no end" for r in runs))
    runs = s.json("/api/run")["runs"]
    assert [r["name"] for r in runs] == ["fs", "fs"]
    assert len({r["run_id"] for r in runs}) == 2 == len({r["label"] for r in runs})
    body = s.get("/metrics")[2].decode()
    families = {f.name: f.samples for f in openmetrics.text_string_to_metric_families(body)}
    assert {(m.labels["run"], m.labels["run_id"]): m.value for m in families["metaloop_loss"]} == \
        {("fs", r["run_id"]): value for r, value in zip(runs, (1, 2))}
    s.close()


def test_one_prefix_each_in_lines(two):
    prefixes = set(re.findall(r"^\[(.*?)\]", observe(*replays(two)).out, re.M))
    assert len(prefixes) == 2 and all(re.fullmatch("fs [0-9a-f]{16}", p) for p in prefixes)


def test_copies_of_one_run_are_two(tmp_path):
    runs = [run_make(tmp_path / name, 1, IDS[0]) for name in ("one", "copy")]
    observe(*replays(runs), "--tensorboard", tmp_path / "tb")
    assert sorted(boards(tmp_path / "tb")) == [f"fs-{IDS[0]}", f"fs-{IDS[0]}-2"]


def test_the_same_directory_twice_is_refused(tmp_path):
    run = run_make(tmp_path / "one", 1)
    (tmp_path / "link").symlink_to("one")
    for other in (run, tmp_path / "link", f"{tmp_path}/./one/"):
        result = cli.run("--replay", run, "--replay", other, program=OBSERVE)
        assert result.rc == 64 and "same run directory" in result.err, result


@pytest.mark.parametrize("name", ["..", ".", "../../x", "a/b", "/etc", "~", "x\x07y", "-", "a\\b", "é" * 40, "n" * 300])
def test_no_name_leaves_the_directory(tmp_path, name):
    run = run_make(tmp_path / "one", 1, "../" * 20 + "id", name)
    observe("--replay", run, "--tensorboard", tmp_path / "tb")
    one, = os.listdir(tmp_path / "tb")
    assert re.search("-[0-9a-f]{16}$", one) and sorted(os.listdir(tmp_path)) == ["one", "tb"]


NAMES = ['a"b', "a'b", "back\\slash", 'name = "no"', "{ }", "# no comment", "/* nor this */", "ünïcödé 模型", "$x", "a=b;c"]


def quoted(name):
    return '"' + "".join("\\" + c if c in '"\\$' else c for c in name) + '"'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["line", "manifest", "configuration"])
def test_names_are_read_whole(tmp_path, name, where):
    text = f'# run {{ name = "no" }}\n/* run {{ name = "no" }} */\ndata a {{ path = "run {{ name = no" }}\n' \
           f'model {{ name = "no" }}\nrun {{\n    seed = 1 // name = "no"\n    name = {quoted(name)}\n}}\nx {{ run {{ name = "no" }} }}\n'
    run = run_make(tmp_path / "one", 1, IDS[0] if where == "line" else None, name, text if where == "configuration" else "")
    if where == "manifest":
        (run / "manifest.json").write_text(json.dumps({"name": name, "run_id": IDS[0]}))
    observe("--replay", run, "--csv", tmp_path / "x.csv")
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as f:
        assert {r["run"] for r in csv.DictReader(f) if r["kind"] == "round"} == {name}


def test_broken_configurations_give_no_name(tmp_path):
    for i, text in enumerate(["run {", 'run { name = "x', "run { name", "run { name =", "}}}", "run = name = x", '"', "/*", "\\",
                              'run { name = "\\', "name = x", 'run name { }']):
        run = run_make(tmp_path / str(i), 1, configuration=text)
        observe("--replay", run, "--csv", tmp_path / "x.csv")


# ---- control characters ----

BAD = [*map(chr, range(1, 32)), "\x7f", *map(chr, range(0x80, 0xa0)), *map(chr, range(0x202a, 0x202f)), *map(chr, range(0x2066, 0x206a))]
EVIL = "a" + "".join(BAD) + "z"


def is_harmless(text, but=""):
    return not [c for c in text if c in BAD and c not in but]


def evil_run(folder):
    folder.mkdir()
    evil = json.dumps(EVIL)
    kinds = [f'{{"kind":"{kind}","stage":{evil},"stage_index":{i},"method":{evil},"round":1,"step":0,"rank":1,"rounds":3,'
             f'"loss":1,"data":{evil},"target":{evil},"host":{evil},"text":{evil},"what":{evil},"collapsed":1}}'
             for i, kind in enumerate(("stage", "round", "evaluation", "watch", "rank", "failed", "log", "new"))]
    head = f'{{"kind":"run","run_id":{evil},"name":{evil},"version":{evil}}}'
    end = f'{{"kind":"end","status":1,"reason":{evil},"digest":{evil}}}'
    (folder / "metrics.jsonl").write_text("\n".join([head, *kinds, end]) + "\n")
    return folder


def test_control_characters_reach_no_view(tmp_path):
    run = evil_run(tmp_path / "evil")
    other = run_make(tmp_path / "other", 1)
    assert is_harmless(observe("--replay", run, "--replay", other).out, "\n")
    observe("--replay", run, "--replay", other, "--csv", tmp_path / "x.csv", "--jsonl", tmp_path / "x.jsonl",
            "--tensorboard", tmp_path / "tb", "--png", tmp_path / "x.png")
    table = (tmp_path / "x.csv").read_text()
    assert "a???" in table and is_harmless(table, "\n")
    assert is_harmless((tmp_path / "x.jsonl").read_text(), "\n")
    for folder in os.listdir(tmp_path / "tb"):
        assert is_harmless(folder)
        file, = os.listdir(tmp_path / "tb" / folder)
        for e in tfevents.read(tmp_path / "tb" / folder / file):
            assert all(is_harmless(tag) for tag in e.values)
    s = Server("--replay", run, "--replay", other)
    s.until(lambda runs: runs[0]["state"] == "failed")
    texts = json.dumps(s.json("/api/run"), ensure_ascii=False) + s.get("/metrics")[2].decode()
    s.close()
    assert is_harmless(texts, "\n") and not re.search(r"\\u00[01][0-9a-f]|\\u007f", texts)


def test_csv_quotes_and_guards(tmp_path):
    """RFC 4180: comma and quote inside quotes, quotes doubled; what begins a formula has a ' in front."""
    run = run_make(tmp_path / "one", 1, IDS[0], 'a,"b"')
    with open(run / "metrics.jsonl", "a") as f:
        f.write('{"kind":"evaluation","stage_index":0,"round":3,"step":0,"data":"=1+2","loss":2}\n'
                '{"kind":"evaluation","stage_index":0,"round":3,"step":0,"data":"line\\nend","loss":2}\n')
    observe("--replay", run, "--csv", tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text().split("\n")
    assert text[0] == "run_id,run,kind,stage,round,of,step,name,value"
    assert f'{IDS[0]},"a,""b""",round,a,1,,,loss,1' in text
    assert f'{IDS[0]},"a,""b""",evaluation,a,3,\'=1+2,0,loss,2' in text
    assert f'{IDS[0]},"a,""b""",evaluation,a,3,line?end,0,loss,2' in text


def test_another_run_at_the_same_endpoint_has_a_directory_of_its_own(tmp_path):
    pytest.importorskip("zmq")
    import publisher

    port = free_port()
    p = publisher.Publisher(port, IDS[0])
    o = subprocess.Popen([OBSERVE, f"tcp://127.0.0.1:{port}", "--linger", "60", "--tensorboard", tmp_path / "tb", "--jsonl",
                          tmp_path / "x.jsonl"], stdin=subprocess.DEVNULL)
    try:
        p.begin()
        p.round(1)
        p.tell("end", digest="x", status=1)
        wait(lambda: (tmp_path / "x.jsonl").exists() and '"end"' in (tmp_path / "x.jsonl").read_text(), o)
        p.close()
        p = publisher.Publisher(port, IDS[1])
        p.begin()
        p.round(1)
        p.tell("end", digest="x", status=0)
        assert o.wait(60) == 0
    finally:
        o.kill()
        o.wait()
        p.close()
    assert sorted(os.listdir(tmp_path / "tb")) == [f"played-{id}" for id in IDS]


def wait(what, process):
    limit = time.monotonic() + 60
    while not what():
        assert time.monotonic() < limit and process.poll() is None
        time.sleep(0.05)
