"""Tasks whose way, shot and data section are drawn: what the head of a smaller task learns, which numbers tell it, and that bits do not
depend on who computes what."""
import json
import os
import re

import numpy as np
import pytest

import bits
import cli
import test_gradient
from test_gradient import safetensors_io

RANGED = cli.SMALL.replace("way = 3  shot = 1", "way = 2  way_max = 5  shot = 1  shot_max = 3").replace(
    'data = "glyphs"', 'data = {{"glyphs", "chalk-2"}}  data_weights = {{2, 1}}').replace(
    "model {{", 'data chalk-2 {{ format = "glyphs"  size = 14  style = "chalk" }}\nmodel {{')


# ---- outputs beyond the way ----

@pytest.mark.parametrize("method", ["maml", "fomaml"])
@pytest.mark.parametrize("fixture", ["conv4-mean-5way-1", "mlp-5way-3"])
def test_a_head_with_more_outputs_is_as_one_of_the_tasks_way(fixture, method, tmp_path):
    """PyTorch's gradient of a 5-way task, by a head of 8: outputs beyond the way change nothing and get nothing."""
    rng = np.random.default_rng(1)
    params = test_gradient.load(fixture, "params")
    for name in ("head.weight", "head.bias"):
        more = rng.normal(0, 3, (3, *params[name].shape[1:])).astype(params[name].dtype)
        params[name] = np.concatenate([params[name], more])
    safetensors_io.save(tmp_path / "params.safetensors", params)
    found = test_gradient.gradient(fixture, method, cli.METALOOP, tmp_path, "--set", "stage.meta.way_max=8",
                                   "--params", tmp_path / "params.safetensors")
    wanted, measures = test_gradient.expected(fixture, method)
    for name in ("head.weight", "head.bias"):
        assert (found[name][5:] == 0).all()
        found[name] = found[name][:5]
    assert test_gradient.distance(found, wanted) <= 1e-4
    for name in ("loss", "loss_before", "accuracy", "accuracy_before"):
        assert abs(found[name] - measures[name]) <= 1e-4, name


# ---- what is told ----

def rows(folder, kind):
    with open(folder / "run" / "metrics.jsonl") as f:
        return [row for row in map(json.loads, f) if row["kind"] == kind]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, bits.train(folder, RANGED)


def test_rounds_tell_the_means_of_what_check_shows(whole, tmp_path):
    said = cli.done("check", cli.small(tmp_path, RANGED), "--tasks", 8).out
    found = re.findall(r"^round (\d+) slot \d+: (\d+)-way (\d+)-shot, 2 queries per class, of '(.*?)':", said, re.M)
    drawn = [(int(r), (int(way), int(shot), data == "glyphs", data == "chalk-2")) for r, way, shot, data in found]
    assert len(drawn) == 8 * 6 and [set(column) for column in list(zip(*[d for _, d in drawn]))[:2]] == [{2, 3, 4, 5}, {1, 2, 3}]
    for row in rows(whole[0], "round"):
        means = np.mean([d for r, d in drawn if r == row["round"]], 0)
        assert (row["way"], row["shot"], row["share_glyphs"], row["share_chalk_2"]) == pytest.approx(means, abs=1e-6)
        for what in ("loss", "accuracy"):
            parts = [share * (row[f"{what}_{name}"] or 0) for share, name in zip(means[2:], ("glyphs", "chalk_2"))]
            assert row[what] == pytest.approx(sum(parts), abs=1e-6)
            assert (row[f"{what}_chalk_2"] is None) == (means[3] == 0)


def test_evaluations_tell_theirs(whole, tmp_path):
    told = [(row["way"], row["shot"]) for row in rows(whole[0], "evaluation")]
    checkpoint = bits.checkpoints(whole[0])[-1]
    said = cli.done("evaluate", cli.small(tmp_path, RANGED), "--checkpoint", checkpoint, "--json", "--episodes", 6).out
    ends = [json.loads(line) for line in said.splitlines()]
    assert [end["data"] for end in ends] == ["glyphs", "chalk-2"]
    assert set(told) == {(end["way"], end["shot"]) for end in ends}
    assert all(2 < end["way"] < 5 and 1 < end["shot"] < 3 for end in ends)


def test_others_do_not(tmp_path):
    cli.done("train", cli.small(tmp_path), "--set", "stage.meta.rounds=1")
    assert not {"way", "shot"} & {key for kind in ("round", "evaluation") for row in rows(tmp_path, kind) for key in row}


# ---- the same bits ----

@pytest.mark.parametrize("ranks, more", [(2, ()), (3, ("--set", "cluster.threads=2")),
                                         (None, ("--set", "cluster.threads=2", "--set", "cluster.memory=0"))])
def test_bits(ranks, more, whole, tmp_path):
    assert bits.train(tmp_path, RANGED, *more, ranks=ranks) == whole[1]


def test_resume(whole, tmp_path):
    bits.cut(whole[0], tmp_path, bits.checkpoints(whole[0])[0])
    end = cli.done("train", cli.small(tmp_path, RANGED), "--resume", "--json", "--quiet").json()["digest"]
    assert end == whole[1]["end", 0]


def test_a_recorded_task_is_its_own_size(whole, tmp_path):
    """Written by check, computed by replay: the query loss of one task, among those of its round."""
    path = cli.small(tmp_path, RANGED)
    cli.done("check", path, "--tasks", 1, "--out", tmp_path / "tasks")
    for slot in range(2):
        said = cli.done("inspect", tmp_path / "tasks" / f"task-000001-{slot:04d}.bin").out
        assert re.search(r"way [2-5], shot [1-3], query 2", said)
    replayed = cli.done("replay", tmp_path / "tasks" / "task-000001-0000.bin", "--checkpoint",
                        bits.checkpoints(whole[0])[0]).out
    assert '"finite": true' in replayed


# ---- refused ----

@pytest.mark.parametrize("change, words", [
    ("way_max=1", "stage 'meta': way_max is 1, less than way, which is 2"),
    ("shot=4", "stage 'meta': shot_max is 3, less than shot, which is 4"),
    ("data=glyphs,glyphs", "stage 'meta' names data 'glyphs' twice"),
    ("data=glyphs", "stage 'meta': data_weights has 2 numbers for 1 data section"),
    ("data=glyphs,chalk", "stage 'meta' uses data 'chalk', which is not defined"),
    ("method=pretrain", "stage 'meta': method 'pretrain' trains on one data section, 2 are named"),
])
def test_refused(change, words, tmp_path):
    text = RANGED.replace("inner_steps = 1  inner_rate = 0.4", "") if "pretrain" in change else RANGED
    said = cli.run("check", cli.small(tmp_path, text), "--set", f"stage.meta.{change}")
    assert said.rc == 78 and words in said.err
