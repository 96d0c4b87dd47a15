"""metaloop gradient of every transfer method against PyTorch (tests/torch/make_transfer_fixtures.py), and against
differences of its own loss."""
import glob
import os
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

TRANSFER = os.path.join(cli.ROOT, "tests", "torch", "transfer")
FIXTURES = sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(TRANSFER, "*", "conf")))
BUILDS = {"float": (cli.METALOOP, 1e-4), "double": (cli.METALOOP64, 1e-9)}  # relative to the largest element
MEASURES = "loss", "discrepancy", "discriminator_loss"
METHODS = {"pretrain", "finetune", "dan", "coral", "adda", "joint", "lwf", "kd", "fitnet"}


def path_of(fixture, what):
    return os.path.join(TRANSFER, fixture, what)


def load(fixture, what):
    return safetensors_io.load(path_of(fixture, what + ".safetensors"))


def program_of(build):
    program, tolerance = BUILDS[build]
    if build == "double" and not os.path.exists(program):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    return program, tolerance


def gradient(fixture, program, tmp_path, *more):
    anchor, out = path_of(fixture, "anchor.safetensors"), tmp_path / "grad.safetensors"
    cli.done("gradient", path_of(fixture, "conf"), "--stage", "adapt", "--params",
             path_of(fixture, "params.safetensors"), "--task", path_of(fixture, "task.safetensors"), "--out", out,
             *(["--anchor", anchor] if os.path.exists(anchor) else []), *more, program=program)
    return safetensors_io.load(out)


def distance(found, wanted):
    """The largest difference over all tensors, relative to the largest element wanted."""
    for name, array in wanted.items():
        assert name in found, f"'{name}' is not in the result, which has {sorted(found)}"
        assert found[name].shape == array.shape, f"'{name}' has the shape {found[name].shape}, not {array.shape}"
    difference = max(np.abs(found[n].astype(np.float64) - a).max() for n, a in wanted.items())
    assert np.isfinite(difference)
    return difference / max(np.abs(a).max() for a in wanted.values())


def test_there_are_fixtures():
    assert {f.split("-")[0] for f in FIXTURES} == METHODS
    assert len(FIXTURES) >= 40


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_transfer_gradient(fixture, build, tmp_path):
    """That of the paper's loss, and of no mistaken one."""
    program, tolerance = program_of(build)
    found, names, expected = gradient(fixture, program, tmp_path), list(load(fixture, "params")), load(fixture, "grad")
    assert distance(found, {n: expected[n] for n in names}) <= tolerance
    for name in MEASURES:
        if name in expected:
            assert abs(found[name] - expected[name]) <= tolerance * max(1, abs(expected[name])), name
    mistakes = {key.split("/")[1] for key in expected if key.startswith("wrong/")}
    assert mistakes
    for mistake in mistakes:
        wrong = {n: expected[f"wrong/{mistake}/{n}"].astype(np.float64) for n in names}
        assert distance(found, wrong) > 10 * BUILDS["float"][1], mistake


@pytest.mark.parametrize("fixture", FIXTURES)
def test_transfer_gradient_is_that_of_its_loss(fixture, tmp_path):
    """By differences of the method's own loss, or losses, on drawn data; dan's bandwidth is a number there, as its
    gradient holds it fixed."""
    program, _ = program_of("double")
    fixed = ["--set", "stage.adapt.sigma=3"] if fixture.startswith("dan") else []
    done = cli.done("check", path_of(fixture, "conf"), "--gradients", "--stage", "adapt", *fixed, program=program)
    assert done.out.count(": proved") == {"adda": 2, "joint": 3}.get(fixture.split("-")[0], 1)
