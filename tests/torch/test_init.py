"""`stage.NAME.init`: what a stage takes from a file, under which names, and what is refused."""
import json
import os
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

CONF = """
run {{ name = "init"  seed = 7  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
model {{ type = "layers"  layers = {{"conv filters=4 kernel=3 pad=1", "relu", "maxpool", "conv filters=6 kernel=3 pad=1", "batchnorm",
         "relu", "maxpool", "flatten", "dense features=10", "relu", "head"}} }}
stage fine {{ method = "pretrain"  data = "ink"  batch = 8  rounds = 1  rate = 0.01  init = "{directory}.safetensors" }}
evaluate {{ every = 0  episodes = 4 }}
checkpoint {{ every = 4  keep = 3 }}
metrics {{ endpoint = "" }}
"""
OURS = {"conv1.weight": (4, 1, 3, 3), "conv1.bias": (4,), "conv2.weight": (6, 4, 3, 3), "conv2.bias": (6,),
        "bn1.weight": (6,), "bn1.bias": (6,), "bn1.running_mean": (6,), "bn1.running_var": (6,),
        "fc1.weight": (10, 54), "fc1.bias": (10,), "head.weight": (4, 10), "head.bias": (4,)}
MODULES = {"conv1": "features.3", "conv2": "features.10", "bn1": "features.11", "fc1": "classifier.0", "head": "classifier.2"}
DATA, NOINPUT, CONFIG = 65, 66, 78


def state(names=None, shapes=OURS, **other):
    """A state dict of numbers from 0.1 to 0.3, its modules called as `names` has them."""
    rng = np.random.default_rng(3)
    made = {}
    for name, shape in {**shapes, **other}.items():
        module, dot, leaf = name.rpartition(".")
        made[(names or {}).get(module, module) + dot + leaf] = rng.uniform(0.1, 0.3, shape).astype(np.float32)
    return made


def theirs(**other):
    return state(MODULES, **other)


def check(tmp_path, arrays, *sets, how=cli.done, replace=None, verb="check"):
    path = cli.small(tmp_path, CONF, replace=replace or {})
    if arrays is not None:
        safetensors_io.save(tmp_path / "run.safetensors", arrays)
    return how(verb, path, "--json", *(w for s in sets for w in ("--set", s)))


def trained(tmp_path, arrays, *sets, **how):
    """The parameters after one round at rate 0: what the stage began with. Statistics move."""
    done = check(tmp_path, arrays, "stage.fine.rate=0", *sets, verb="train", **how)
    return safetensors_io.load(done.json()["checkpoint"])


def refused(code, tmp_path, arrays, *sets, says, **how):
    result = check(tmp_path, arrays, *sets, how=cli.run, **how)
    assert result.rc == code and all(s in result.err for s in says), result
    assert result.err.count("\n") == 1, result


def test_every_parameter_begins_as_in_the_file(tmp_path):
    """By equal names, "module." in front, in any order of tensors; on three ranks as on one."""
    arrays = {f"module.{k}": v for k, v in reversed(state().items())}
    arrays["module.bn1.num_batches_tracked"] = np.array(7)
    found = trained(tmp_path, arrays)
    told = check(tmp_path, None).json()["init"][0]
    assert told["paired"] == "name" and told["left"] == [] and told["drawn"] == {}
    assert told["taken"] == {k: f"module.{k}" for k in OURS}
    for name, value in state().items():
        assert "running" in name or np.array_equal(found[name], value), name
    path, digests = tmp_path / "small.conf", []
    for ranks in None, 3:
        digests.append(cli.done("train", path, "--json", "--run", tmp_path / f"of-{ranks}", ranks=ranks).json()["digest"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("kind", ["F64", "F16", "BF16"])
def test_other_precisions(kind, tmp_path):
    arrays = {k: v.astype({"F64": np.float64, "F16": np.float16}.get(kind, np.float32)) for k, v in state().items()}
    if kind == "BF16":
        halves = {k: (v.view(np.uint32) >> 16).astype(np.uint16) for k, v in arrays.items()}
        arrays = {k: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, v in arrays.items()}
        safetensors_io.save(tmp_path / "run.safetensors", halves, kinds="BF16")
    found = trained(tmp_path, None if kind == "BF16" else arrays)
    for name, value in arrays.items():
        assert "running" in name or np.array_equal(found[name], value.astype(np.float32)), name


@pytest.mark.parametrize("sort", [False, True])
def test_by_order_if_no_name_is_ours(sort, tmp_path):
    """torchvision's names: sorted by name (features.10 before features.3) as PyTorch's writer sorts, or in order."""
    arrays = theirs()
    found = trained(tmp_path, dict(sorted(arrays.items())) if sort else arrays)
    for name, value in state().items():
        assert "running" in name or np.array_equal(found[name], value), name
    told = check(tmp_path, None).json()["init"][0]
    assert told["paired"] == "order" and told["taken"]["bn1.weight"] == "features.11.weight"


def test_an_unknown_order_is_refused(tmp_path):
    """Sorted by name, two convolutions of one shape: neither is known to be the first."""
    text = CONF.replace("filters=6", "filters=4").replace('"conv filters=4 kernel=3 pad=1", "relu", "maxpool", ', '"conv filters=4 kernel=3 pad=1", '
                                                          '"relu", "maxpool", "conv filters=4 kernel=3 pad=1", ', 1)
    shapes = {"conv1.weight": (4, 1, 3, 3), "conv1.bias": (4,), "conv2.weight": (4, 4, 3, 3), "conv2.bias": (4,),
              "conv3.weight": (4, 4, 3, 3), "conv3.bias": (4,), "bn1.weight": (4,), "bn1.bias": (4,), "bn1.running_mean": (4,),
              "bn1.running_var": (4,), "fc1.weight": (10, 36), "fc1.bias": (10,), "head.weight": (4, 10), "head.bias": (4,)}
    names = {"conv1": "a.0", "conv2": "stem", "conv3": "blocks.1", "bn1": "norm", "fc1": "out.0", "head": "out.1"}
    arrays = state(names, shapes)
    path = cli.small(tmp_path, text)
    safetensors_io.save(tmp_path / "run.safetensors", arrays)
    assert cli.done("check", path, "--json").json()["init"][0]["paired"] == "order"
    safetensors_io.save(tmp_path / "run.safetensors", dict(sorted(arrays.items())))
    result = cli.run("check", path)
    assert result.rc == DATA and "nothing that fits the network" in result.err, result
    rules = ",".join(f"{b}={a}" for a, b in names.items())
    told = cli.done("check", path, "--json", "--set", f"stage.fine.init_map={rules}").json()["init"][0]
    assert told["taken"]["conv3.weight"] == "blocks.1.weight"


def test_a_map_and_a_head_of_another_size(tmp_path):
    arrays = theirs() | {"classifier.2.weight": np.ones((1000, 10), np.float32), "classifier.2.bias": np.ones(1000, np.float32),
                         "aux.weight": np.ones(3, np.float32)}
    rules = "init_map=" + ",".join(f"{b}={a}" for a, b in MODULES.items())
    told = check(tmp_path, arrays, "stage.fine." + rules).json()["init"][0]
    assert set(told["drawn"]) == {"head.weight", "head.bias"} and "[1000, 10]" in told["drawn"]["head.weight"]
    assert told["left"] == ["classifier.2.weight", "classifier.2.bias", "aux.weight"]
    found = trained(tmp_path, None, "stage.fine." + rules)
    assert np.array_equal(found["conv2.weight"], arrays["features.10.weight"]) and np.abs(found["head.weight"]).max() <= 1


def test_a_head_is_taken_whole_or_not(tmp_path):
    arrays = state() | {"head.weight": np.ones((4, 12), np.float32)}
    assert set(check(tmp_path, arrays).json()["init"][0]["drawn"]) == {"head.weight", "head.bias"}


def test_what_is_missing_is_drawn_anew_if_told(tmp_path):
    arrays = {k: v for k, v in state().items() if not k.startswith(("fc1", "head"))}
    refused(DATA, tmp_path, arrays, says=["'fc1.weight' [10, 54]", "init_strict"])
    told = check(tmp_path, arrays, "stage.fine.init_strict=false").json()["init"][0]
    assert set(told["drawn"].values()) == {"not in the file"} and len(told["drawn"]) == 4
    fresh = trained(tmp_path, arrays, "stage.fine.init_strict=false")
    assert np.array_equal(fresh["conv1.weight"], arrays["conv1.weight"]) and fresh["fc1.weight"].std() > 0.1


FIRST = {"stage fine": 'stage first { method = "pretrain"  data = "ink"  batch = 8  rounds = 1 }\nstage fine'}
REFUSED = {
    "nothing": (DATA, {"x.weight": np.ones((2, 2), np.float32)}, [], ["nothing that fits the network"]),
    "no file": (NOINPUT, None, [], ["cannot open", "run.safetensors"]),
    "shape": (DATA, state() | {"conv2.weight": np.ones((6, 4, 5, 5), np.float32)}, [], ["'conv2.weight' is [6, 4, 5, 5]"]),
    "not finite": (DATA, state() | {"fc1.bias": np.full(10, np.inf, np.float32)}, [], ["'fc1.bias'", "not finite, element 0"]),
    "whole numbers": (DATA, state() | {"fc1.bias": np.ones(10, np.int64)}, [], ["'fc1.bias' is I64"]),
    "a bias more": (DATA, state(), ['model.layers=conv filters=4 kernel=3 pad=1 bias=0,relu,maxpool,conv filters=6 kernel=3 pad=1,'
                                    'batchnorm,relu,maxpool,flatten,dense features=10,relu,head'], ["'conv1' has no bias"]),
    "normalized": (DATA, state() | {"normalize1.mean": np.ones(1, np.float32)}, [], ["normalize = {"]),
    "one name twice": (DATA, state() | {"module.fc1.bias": np.ones(10, np.float32)}, [], ["would both be 'fc1.bias'"]),
    "a rule for nothing": (CONFIG, state(), ["stage.fine.init_map=features.9=conv1"], ["no tensor or module 'features.9'"]),
    "no rule": (CONFIG, state(), ["stage.fine.init_map=conv1"], ["'conv1' is not theirs=ours"]),
    "start too": (CONFIG, state(), ["stage.fine.start=first"], ["'start' and 'init'"]),
    "heir": (CONFIG, state(), ["stage.fine.method=adda", "stage.fine.target=ink"], ["goes on with the network of an earlier stage"]),
    "statistics": (DATA, {k: v for k, v in state().items() if "running" not in k},
                   ["stage.fine.init_strict=false", "stage.fine.body_rate=0"], ["'bn1.running_mean'", "frozen"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tmp_path):
    code, arrays, sets, says = REFUSED[case]
    refused(code, tmp_path, arrays, *sets, says=["stage 'fine'", *says], replace=FIRST)


def test_a_resumed_run_needs_its_file_only_before_the_stage(tmp_path):
    """The file is another one: refused while its stage has not begun, of no account afterwards."""
    arrays, train = theirs(), dict(verb="train", replace=FIRST | {"rounds = 1 ": "rounds = 40 ", "every = 4  keep = 3": "every = 1  keep = 99"})
    done = check(tmp_path, arrays, **train).json()
    manifest = json.load(open(tmp_path / "run" / "manifest.json"))["init"]
    assert [m["stage"] for m in manifest] == ["fine"] and len(manifest[0]["digest"]) == 16
    path, run = tmp_path / "small.conf", tmp_path / "run"
    (run / "checkpoint-01-000000040.safetensors").unlink()
    (tmp_path / "run.safetensors").unlink()
    assert cli.done("train", path, "--resume", "--json").json()["digest"] == done["digest"]
    assert json.load(open(run / "manifest.json"))["init"] == manifest
    for checkpoint in run.glob("checkpoint-01-*"):
        checkpoint.unlink()
    safetensors_io.save(tmp_path / "run.safetensors", {k: v + 1 for k, v in arrays.items()})
    result = cli.run("train", path, "--resume")
    assert result.rc == DATA and "the init file of stage 'fine' is not what the run" in result.err, result
    result = cli.done("train", path, "--resume", "--other-data", "--json")
    assert "stage.fine.init" in result.err and result.json()["digest"] != done["digest"]
