"""metaloop gradient of anil, metasgd, reptile, protonet and imaml against PyTorch (tests/torch/make_family_fixtures.py), and
against differences of their outer losses."""
import collections
import glob
import os
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

FAMILY = os.path.join(cli.ROOT, "tests", "torch", "family")
FIXTURES = sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(FAMILY, "*", "conf")))
BUILDS = {"float": (cli.METALOOP, 1e-4), "double": (cli.METALOOP64, 1e-9)}  # relative to the largest element of a group
MEASURES = "loss", "accuracy", "logits"
COUNTS = {"anil": 7, "imaml": 12, "metasgd": 7, "protonet": 5, "reptile": 16}
APART = 0.1  # of a mistake from the right result
ORDERED = [f for f in FIXTURES if f.startswith("reptile-batches")]  # by minibatches whose order metaloop draws


def path_of(fixture, what):
    return os.path.join(FAMILY, fixture, what)


def load(fixture, what):
    return safetensors_io.load(path_of(fixture, what + ".safetensors"))


def part(arrays, prefix, names):
    return {n: arrays[prefix + n].astype(np.float64) for n in names}


def expected(fixture):
    """The results that are right, the mistaken ones by name, and the measures."""
    names, found = list(load(fixture, "params")), load(fixture, "grad")
    numbers = {key.split("/")[1] for key in found if key.startswith("any/")}
    right = [part(found, f"any/{i}/", names) for i in sorted(numbers, key=int)] or [part(found, "", names)]
    mistakes = {key.split("/")[1] for key in found if key.startswith("wrong/")}
    wrong = {m: part(found, f"wrong/{m}/", names) for m in mistakes}
    return right, wrong, {m: found[m] for m in MEASURES if m in found}


def gradient(fixture, program, tmp_path, *more):
    out = tmp_path / "grad.safetensors"
    cli.done("gradient", path_of(fixture, "conf"), "--params", path_of(fixture, "params.safetensors"), "--task",
             path_of(fixture, "task.safetensors"), "--out", out, *more, program=program)
    return safetensors_io.load(out)


def distance(found, wanted):
    """The largest difference relative to the largest element wanted, of parameters and of learned rates by themselves."""
    for name, array in wanted.items():
        assert name in found, f"'{name}' is not in the result, which has {sorted(found)}"
        assert found[name].shape == array.shape, f"'{name}' has the shape {found[name].shape}, not {array.shape}"
        assert np.isfinite(found[name]).all(), name
    groups = collections.defaultdict(list)
    for name in wanted:
        groups[name.startswith("rate.")].append(name)
    return max(max(np.abs(found[n] - wanted[n]).max() for n in names) / max(np.abs(wanted[n]).max() for n in names)
               for names in groups.values())


def need(build):
    program, tolerance = BUILDS[build]
    if build == "double" and not os.path.exists(program):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    return program, tolerance


def test_there_are_fixtures():
    assert collections.Counter(f.split("-")[0] for f in FIXTURES) == COUNTS


@pytest.mark.parametrize("fixture", FIXTURES)
def test_fixture_tells_mistakes(fixture):
    right, wrong, _ = expected(fixture)
    assert wrong
    for name, g in wrong.items():
        assert min(distance(g, r) for r in right) > APART, name


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_family_gradient(fixture, build, tmp_path):
    """That of the paper, or of one order of minibatches; and no mistaken one."""
    program, tolerance = need(build)
    right, wrong, measures = expected(fixture)
    found = gradient(fixture, program, tmp_path)
    assert min(distance(found, r) for r in right) <= tolerance
    for name, g in wrong.items():
        assert distance(g, {n: found[n] for n in g}) > APART / 2, name
    for name, value in measures.items():
        difference = np.abs(found[name].reshape(value.shape) - value).max()
        assert difference <= tolerance * max(1, np.abs(value).max()), name


@pytest.mark.parametrize("fixture", ORDERED)
def test_order_of_minibatches_is_drawn(fixture, tmp_path):
    """Each seed's is one of the orders, and not always the same."""
    right = expected(fixture)[0]
    drawn = []
    for seed in range(1, 9):
        found = gradient(fixture, cli.METALOOP, tmp_path, "--set", f"run.seed={seed}")
        near = [i for i, r in enumerate(right) if distance(found, r) <= BUILDS["float"][1]]
        assert len(near) == 1, seed
        drawn += near
    assert len(set(drawn)) > 2


# ---- differences of the outer loss ----

PROVED = [f for f in FIXTURES if f.split("-")[0] in ("anil", "metasgd", "protonet")]
SMOOTH = "imaml-dense-mlp-tanh-5"  # gradient descent ends at the minimum: there is no relu to step across, back and forth
# The implicit gradient is that of the inner problem's minimum: many steps and an exact solve reach it.
MINIMUM = "inner_steps=200", "inner_rate=0.2", "cg_steps=60"


def proof(fixture, *sets):
    words = [word for change in sets for word in ("--set", f"stage.meta.{change}")]
    return cli.run("check", path_of(fixture, "conf"), "--gradients", *words, program=need("double")[0])


@pytest.mark.parametrize("fixture", PROVED)
def test_family_gradient_is_that_of_its_loss(fixture):
    result = proof(fixture)
    assert result.rc == 0 and ": proved" in result.out, result


@pytest.mark.parametrize("pull", [1, 2, 5])
def test_implicit_gradient_is_that_of_the_minimum(pull):
    result = proof(SMOOTH, *MINIMUM, f"lambda={pull}")
    assert result.rc == 0 and ": proved" in result.out, result


@pytest.mark.parametrize("short", ["inner_steps=1", "cg_steps=1", "cg_damping=0.1"])
def test_implicit_gradient_short_of_the_minimum(short):
    """A proof that no gradient could fail would prove nothing."""
    result = proof(SMOOTH, *MINIMUM, short)
    assert result.rc != 0 and "NOT proved" in result.out, result


def test_displacement_is_no_gradient():
    """Reptile's contribution is not the gradient of the query loss, and check says so."""
    result = proof("reptile-mlp-3")
    assert result.rc != 0 and "NOT proved" in result.out, result
