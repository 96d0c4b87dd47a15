"""Keys and settings of the MAML family: what a method does not know is refused by name, and what it costs is printed."""
import json
import os
import re
import sys

import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

CONF = """
run { name = "family"  directory = "%s" }
data glyphs { format = "glyphs"  size = 16 }
model { type = "conv4"  filters = 4 }
stage meta { method = "%s"  data = "glyphs"  way = 3  shot = 2  query = 2  tasks = 3  rate = 0.01  rounds = 2 }
evaluate { episodes = 3 }
"""
OWN = {  # a method's own keys, with values that it takes
    "metasgd": {"rates": "constant"},
    "reptile": {"inner_optimizer": "adam", "inner_batch": "2"},
    "protonet": {"evaluate_way": "4"},
    "imaml": {"lambda": "1.5", "cg_steps": "3", "cg_damping": "0.5"},
}
METHODS = ["maml", "fomaml", "anil", "metasgd", "reptile", "protonet", "imaml"]
FOREIGN = [(m, key, value) for m in METHODS for owner, keys in OWN.items() if m != owner for key, value in keys.items()] + \
    [("protonet", "inner_steps", "3"), ("protonet", "inner_rate", "0.1")]


def conf(tmp_path, method, text=CONF):
    path = tmp_path / "conf"
    path.write_text(text % (tmp_path / "run", method))
    return path


def sets(**changes):
    return [word for key, value in changes.items() for word in ("--set", f"stage.meta.{key}={value}")]


@pytest.mark.parametrize("method", OWN)
def test_own_keys(method, tmp_path):
    cli.done("check", conf(tmp_path, method), *sets(**OWN[method]))


@pytest.mark.parametrize("method, key, value", FOREIGN)
def test_key_of_another_method(method, key, value, tmp_path):
    result = cli.run("check", conf(tmp_path, method), *sets(**{key: value}))
    assert result.rc == 78, result
    assert f"'{key}'" in result.err and f"'{method}'" in result.err, result


@pytest.mark.parametrize("key, value", [("lambda", "0"), ("lambda", "-1"), ("cg_steps", "0"), ("cg_damping", "-0.1"),
                                        ("inner_batch", "-1"), ("inner_optimizer", "adamw"), ("rates", "learned")])
def test_values_out_of_range(key, value, tmp_path):
    owner = next(m for m, keys in OWN.items() if key in keys)
    result = cli.run("check", conf(tmp_path, owner), *sets(**{key: value}))
    assert result.rc == 78 and key in result.err, result


def test_imaml_takes_no_dropout(tmp_path):
    """The Hessian is that of one function: masks that differ between steps have none."""
    text = CONF.replace('type = "conv4"  filters = 4', 'type = "mlp"  widths = {"8"}  dropout = 20')
    result = cli.run("check", conf(tmp_path, "imaml", text))
    assert result.rc == 78 and "imaml" in result.err and "dropout" in result.err, result
    cli.done("check", conf(tmp_path, "maml", text))


def test_protonet_takes_no_regression(tmp_path):
    text = CONF.replace('format = "glyphs"  size = 16', 'format = "sinusoid"').replace(
        'type = "conv4"  filters = 4', 'type = "mlp"  widths = {"8"}').replace("way = 3  ", "")
    result = cli.run("check", conf(tmp_path, "protonet", text))
    assert result.rc == 78 and "protonet" in result.err, result


def thread_bytes(path, **changes):
    """The work space of a thread that `check` prints, in MiB."""
    return float(re.search(r"work space +([\d.]+)", cli.done("check", path, *sets(**changes)).out)[1])


@pytest.mark.parametrize("method", ["imaml", "reptile", "fomaml"])
def test_memory_does_not_grow_with_steps(method, tmp_path):
    """By no more than the curve of losses and accuracies that it tells: 8 numbers a step, of 16 bytes at most."""
    path = conf(tmp_path, method)
    assert thread_bytes(path, inner_steps=500) <= thread_bytes(path, inner_steps=5) + 495 * 8 * 16 / 2**20 + 0.02


def test_memory_of_maml_grows_with_steps(tmp_path):
    """So that the figure above is one that can grow."""
    path = conf(tmp_path, "maml")
    assert thread_bytes(path, inner_steps=500) > 1.2 * thread_bytes(path, inner_steps=5)


@pytest.mark.parametrize("method", ["anil", "metasgd", "reptile", "imaml"])
def test_500_inner_steps(method, tmp_path):
    rate = {} if method == "metasgd" else {"inner_rate": 0.001}
    found = cli.done("train", conf(tmp_path, method), "--json", "--quiet", *sets(inner_steps=500, rounds=1, **rate)).json()
    assert found["rounds"] == 1 and found["loss"] > 0


@pytest.mark.parametrize("way", [2, 6])
def test_protonet_is_tested_with_another_way(way, tmp_path):
    """Accuracy of `way` classes, also more than the network's head has outputs."""
    path = conf(tmp_path, "protonet")
    trained = cli.done("train", path, "--json", "--quiet").json()["checkpoint"]
    found = cli.done("evaluate", path, "--checkpoint", trained, "--episodes", 40, "--json", *sets(evaluate_way=way)).json()
    assert found["episodes"] == 40
    assert 1 / way < found["accuracy"] <= 1


@pytest.mark.parametrize("method", METHODS)
def test_running_statistics_move(method, tmp_path):
    """Training leaves statistics that are neither those of the start nor those of another round."""
    path = conf(tmp_path, method)
    cli.done("train", path, "--json", "--quiet", "--set", "model.statistics=running", "--set", "checkpoint.every=1")
    found = [safetensors_io.load(tmp_path / "run" / f"checkpoint-00-{i:09d}.safetensors") for i in (1, 2)]
    for layer in range(1, 5):
        for part, start in (("mean", 0), ("var", 1)):
            first, second = (f[f"bn{layer}.running_{part}"] for f in found)
            assert (first != start).all() and (first != second).all(), (layer, part)


CHAIN = """
run { name = "chain"  seed = 5  directory = "%s" }
data ink { format = "glyphs"  size = 16 }
data chalk { format = "glyphs"  size = 16  style = "chalk" }
model { type = "conv4"  filters = 4 }
stage meta { method = "%s"  data = "ink"  way = 3  shot = 2  query = 2  tasks = 3  rounds = 2 }
stage align { method = "adda"  data = "ink"  target = {"chalk"}  discriminator = {"8"}  batch = 8  tasks = 2  rounds = 1 }
evaluate { episodes = 4  data = {"ink", "chalk"} }
"""
KEPT = {"anil": {}, "reptile": {"inner_optimizer": "adam", "inner_batch": 2, "inner_steps": 4},
        "protonet": {"evaluate_way": 4}, "imaml": {"lambda": 1.5, "inner_steps": 3}}


def evaluations(folder, stage, number):
    with open(folder / "run" / "metrics.jsonl") as f:
        rows = [json.loads(line) for line in f]
    return [(row["data"], row["loss"], row["accuracy"]) for row in rows
            if row["kind"] == "evaluation" and row["stage"] == stage and row["round"] == number]


@pytest.mark.parametrize("method", KEPT)
def test_adaptation_is_measured_as_the_stage_before(method, tmp_path):
    """adda starts with the parameters of the few-shot stage, and measures with its inner loop and its keys."""
    cli.done("train", conf(tmp_path, method, CHAIN), "--json", "--quiet", *sets(**KEPT[method]))
    before = evaluations(tmp_path, "meta", 2)
    assert len({data for data, _, _ in before}) == 2
    assert evaluations(tmp_path, "align", 0) == before


def test_adaptation_of_learned_rates_is_refused(tmp_path):
    """adda's parameters hold no rates."""
    result = cli.run("check", conf(tmp_path, "metasgd", CHAIN))
    assert result.rc == 78 and "'metasgd'" in result.err and "'adda'" in result.err, result
