"""metaloop-observe over a finished run: what it shows and writes, and what it makes of a hostile file."""
import csv
import glob
import json
import os
import resource
import shutil
import struct
import subprocess

import pytest

import cli
import tfevents

OBSERVE = os.path.join(cli.ROOT, "build", "metaloop-observe")

RUN = """
run {{ name = "watched"  seed = 3  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  style = "ink"  first = 4  size = 12 }}
data chalk {{ format = "glyphs"  style = "chalk"  first = 4  size = 12 }}
data all {{ format = "glyphs"  style = "ink"  size = 12 }}
model {{ type = "conv4"  filters = 4 }}
stage meta {{ method = "maml"  data = "all"  way = 3  shot = 1  query = 2  tasks = 4  inner_steps = 2  inner_rate = 0.4
             optimizer = "adam"  rate = 0.01  rounds = 30  evaluate = {{all}} }}
stage source {{ method = "pretrain"  data = "ink"  batch = 8  tasks = 2  rounds = 20  evaluate = {{ink, chalk}} }}
stage align {{ method = "adda"  start = "source"  anchor = "source"  data = "ink"  target = {{chalk}}  batch = 8  tasks = 2
              rounds = 20  discriminator = {{8}}  rate = 0.001  discriminator_rate = 0.002 }}
evaluate {{ every = 10  episodes = 6  steps = 2 }}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of three stages."""
    folder = tmp_path_factory.mktemp("run")
    cli.done("train", cli.small(folder, RUN))
    return str(folder / "run")


def observe(*args, **how):
    return cli.done(*args, program=OBSERVE, **how)


def metrics(run):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return [json.loads(line) for line in f]


def test_neither_mpi_nor_blas(run):
    out = subprocess.run(["ldd", OBSERVE], capture_output=True, text=True, check=True).stdout
    assert "libzmq" in out and "libmpi" not in out and "blas" not in out


def test_lines_tell_the_run(run):
    out = observe("--replay", run).out
    end = metrics(run)[-1]
    assert "stage 'meta' (maml): rounds 0 to 30" in out and "stage 'align' (adda)" in out
    assert "data 'chalk'" in out and " +- " in out
    assert out.rstrip().endswith(f"ended: done  digest {end['digest']}")
    assert "round 30/30" in out


def test_jsonl_is_the_file(run, tmp_path):
    observe("--replay", run, "--jsonl", tmp_path / "out.jsonl")
    with open(os.path.join(run, "metrics.jsonl"), "rb") as f:
        assert (tmp_path / "out.jsonl").read_bytes() == f.read()


def test_csv_has_every_number(run, tmp_path):
    observe("--replay", run, "--csv", tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    got = {(r["stage"], int(r["round"])): float(r["value"]) for r in rows if r["kind"] == "round" and r["name"] == "loss"}
    assert got == {(e["stage"], e["round"]): e["loss"] for e in metrics(run) if e["kind"] == "round"}
    numbers = sum(isinstance(one, (int, float)) and k not in ("round", "step", "stage_index")
                  for e in metrics(run) for k, v in e.items() for one in (v if isinstance(v, list) else [v]))
    assert len(rows) == numbers
    got = {(r["stage"], int(r["round"]), int(r["step"])): float(r["value"]) for r in rows if r["name"] == "support_losses"}
    assert got == {(e["stage"], e["round"], k): v for e in metrics(run) if e["kind"] == "round" for k, v in enumerate(e["support_losses"])}
    assert {r["of"] for r in rows if r["kind"] == "evaluation"} == {"all", "ink", "chalk"}


def test_event_files_are_read_back(run, tmp_path):
    observe("--replay", run, "--tensorboard", tmp_path / "board")
    files = glob.glob(str(tmp_path / "board" / "watched-*" / "events.out.tfevents.*"))
    assert len(files) == 1
    events = tfevents.read(files[0])
    assert events[0].version == b"brain.Event:2" and all(e.version is None for e in events[1:])
    text = [v for e in events for t, v in e.values.items() if t == "configuration"]
    assert len(text) == 1 and 'method = "adda"' in text[0]
    scalars = {(tag, e.step): v for e in events for tag, v in e.values.items() if isinstance(v, float)}
    single = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
    for e in metrics(run):
        if e["kind"] == "round":
            assert scalars[e["stage"] + "/loss", e["round"]] == single(e["loss"])
            assert scalars[e["stage"] + "/communication", e["round"]] == single(e["communication"])
            for key in "support_losses", "support_accuracies":
                assert len(e[key]) == 2 * (e["stage"] == "meta")
                for k, value in enumerate(e[key]):
                    assert scalars[f"{e['stage']}/{key}/step{k}", e["round"]] == single(value)
        if e["kind"] == "evaluation":
            tag = f"{e['stage']}/evaluation/{e['data']}/step{e['step']}/accuracy"
            assert scalars[tag, e["round"]] == single(e["accuracy"])
    assert any(tag.startswith("align/watch/chalk/") for tag, _ in scalars)


def test_reader_of_event_files_notices(tmp_path, run):
    """The reader is worth something: a flipped bit anywhere is found."""
    observe("--replay", run, "--tensorboard", tmp_path / "board")
    file = glob.glob(str(tmp_path / "board" / "*" / "*"))[0]
    with open(file, "rb") as f:
        good = f.read()[:600]
    for at in range(0, 300, 7):
        with open(file, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
        with pytest.raises(tfevents.Broken):
            tfevents.read(file)


def test_crc32c_of_known_texts():
    assert tfevents.crc32c(b"123456789") == 0xE3069283
    assert tfevents.crc32c(bytes(32)) == 0x8A9136AA


def test_picture(run, tmp_path):
    observe("--replay", run, "--png", tmp_path / "curves.png")
    data = (tmp_path / "curves.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 20000
    width, height = struct.unpack(">II", data[16:24])
    assert width >= 960 and height > 3 * 300


def test_several_runs_are_told_apart(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    observe("--replay", run, "--replay", tmp_path / "copy", "--jsonl", tmp_path / "out.jsonl")
    with open(tmp_path / "out.jsonl") as f:
        events = [json.loads(line) for line in f]
    assert all(list(e)[:3] == ["kind", "run", "run_id"] and e["run"] == "watched" for e in events)
    assert len({e["run_id"] for e in events}) == 2
    assert len(events) == 2 * len(metrics(run))


HOSTILE = [
    (b'{"kind":"round"', "not JSON"),
    (b"[1]", "not an object"),
    (b'{"round":1}', "no 'kind'"),
    (b'{"kind":"x y"}', "no 'kind'"),
    (b'{"kind":"\\u001b[2J"}', "no 'kind'"),
    (b'{"kind":"round","a":{"b":1}}', "'a' is neither a number nor a text"),
    (b'{"kind":"round","a":[1,"x"]}', "'a' has an element that is not a number"),
    (b'{"kind":"round","a":[[1]]}', "'a' has an element that is not a number"),
    (b'{"kind":"round","a":[' + b"1," * 4096 + b"1]}", "more than 4096 numbers"),
    (b'{"kind":"round","a":[' + b"1," * 4000 + b'1],"b":[' + b"1," * 99 + b"1]}", "more than 4096 numbers"),
    (b'{"kind":"round","a b":1}', "not a word"),
    (b'{"kind":"round","a":1,"a":2}', "not JSON"),
    (b'{"kind":"round","a":1e999}', "not JSON"),
    (b'{"kind":"round","a":"\xff"}', "not JSON"),
    (b'{"kind":"log","text":"\\u0000"}', "not JSON"),
    (b"{" * 100000, "not JSON"),
    (b'{"kind":"log","text":"' + b"x" * (2 << 20) + b'"}', "longer than"),
    (b'{"kind":"x",' + b",".join(b'"a%d":1' % i for i in range(200)) + b"}", "more than"),
]


def test_hostile_lines_are_refused_by_number(tmp_path):
    good = b'{"kind":"stage","stage":"a","stage_index":0,"rounds":9,"method":"maml"}'
    for line, why in HOSTILE:
        (tmp_path / "metrics.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
        result = cli.run("--replay", tmp_path, program=OBSERVE)
        assert result.rc == 65, result
        assert "metrics.jsonl' line 2: " in result.err and why in result.err and "ignored" in result.err, result
        assert result.out.count("stage 'a'") == 2
        assert "\x1b" not in result.err


def test_senseless_events_change_nothing(tmp_path):
    """Values that no run has: neither a crash nor an escape sequence."""
    big, texts = 2**62, '"stage":"\\u001b[31mred\\u202e"'
    lines = [f'{{"kind":"{kind}",{texts},"stage_index":{index},"round":{n},"step":{n},"rank":{n},"rounds":{n},'
             f'"loss":{value},"failed":{n},"data":"\\u009b2J","text":"\\u001b]0;x\\u0007","what":"lost","events":{n}}}'
             for kind in ("stage", "round", "evaluation", "watch", "rank", "worker", "plan", "failed", "lost", "end", "new")
             for index in (0, -1, 63, 64, big) for n in (0, -1, 3, big, -big) for value in (1, "null", 1e308)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    for options in ([], ["--png", tmp_path / "p.png"], ["--tensorboard", tmp_path / "b"], ["--csv", tmp_path / "c"]):
        result = cli.run("--replay", tmp_path, *options, program=OBSERVE)
        assert result.rc == 0, result
        assert not any(ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c == "\u202e" for c in result.out)


def test_curves_are_bounded(tmp_path):
    """Many rounds: memory as for few."""
    with open(tmp_path / "metrics.jsonl", "w") as f:
        for i in range(200000):
            f.write(f'{{"kind":"round","stage":"a","stage_index":0,"round":{i},"loss":{1 / (i + 1)}}}\n')
    result = cli.execute(["/usr/bin/env", "bash", "-c", f"ulimit -v 400000; exec {OBSERVE} --replay {tmp_path}"])
    assert result.rc == 0 and "round 199999" in result.out, result


def test_replay_of_a_large_file_takes_no_memory(tmp_path):
    """40 MB, every view at once: what is kept does not grow with the file. A torn last line and a NUL byte are no trouble."""
    (tmp_path / "x").mkdir()
    with open(tmp_path / "x" / "metrics.jsonl", "wb") as f:
        f.write(b'{"kind":"stage","stage":"a","stage_index":0,"rounds":90000,"method":"maml"}\n')
        for i in range(1, 80001):
            f.write(b'{"kind":"round","stage":"a","stage_index":0,"round":%d,"loss":%d.5,%s"digest":"0123456789abcdef"}\n'
                    % (i, i, b"".join(b'"value_%d":0.123456789%d,' % (k, i) for k in range(15))))
            if i == 40000:
                f.write(b'{"kind":"round","stage_index":0,"round":1\0}\n')
        f.write(b'{"kind":"round","stage":"a","sta')
    assert os.path.getsize(tmp_path / "x" / "metrics.jsonl") > 30 << 20
    out = subprocess.run([OBSERVE, "--replay", tmp_path / "x", "--lines", "--png", tmp_path / "p.png"], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (60 << 20, 60 << 20)))
    assert out.returncode == 65 and "line 40002: not JSON" in out.stderr and "1 more" not in out.stderr, out.stderr
    assert "round 80000/90000" in out.stdout


def test_wrong_use():
    for args, rc, text in ((["--replya", "x"], 64, "did you mean '--replay'?"), (["--csv"], 64, "needs a value"),
                           (["--lines=1"], 64, "takes no value"), (["--every", "x"], 64, "not a number of seconds"),
                           (["--key", "k"], 64, "--server-key"), (["--replay", "nowhere"], 66, "no run directory 'nowhere'")):
        result = cli.run(*args, program=OBSERVE)
        assert result.rc == rc and text in result.err, result
    assert "usage:" in observe("--help").out


def test_outputs_that_cannot_be_written(run, tmp_path):
    for option in ("--jsonl", "--csv", "--png", "--tensorboard"):
        result = cli.run("--replay", run, option, tmp_path / "no" / "such" / "x", program=OBSERVE)
        assert result.rc == 73 and "no/such" in result.err, result
    if os.path.exists("/dev/full"):
        for option in ("--jsonl", "--csv"):
            assert cli.run("--replay", run, option, "/dev/full", program=OBSERVE).rc == 74
