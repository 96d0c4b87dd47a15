"""metaloop gradient against PyTorch's double backward (tests/torch/make_fixtures.py)."""
import glob
import os
import sys

import numpy as np
import pytest

import cli

TORCH = os.path.join(cli.ROOT, "tests", "torch")
sys.path.insert(0, TORCH)
import safetensors_io

FIXTURES = sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(TORCH, "*", "conf")))
BUILDS = {"float": (cli.METALOOP, 1e-4), "double": (cli.METALOOP64, 1e-9)}  # relative to the largest element
MEASURES = "loss", "loss_before", "accuracy", "accuracy_before", "logits", "logits_before"


def load(fixture, what):
    return safetensors_io.load(os.path.join(TORCH, fixture, what + ".safetensors"))


def expected(fixture, method):
    """The gradient's tensors, and the measures."""
    names, found = list(load(fixture, "params")), load(fixture, "grad")
    prefix = "first_order/" if method == "fomaml" else ""
    return {n: found[prefix + n] for n in names}, {m: found[m] for m in MEASURES if m in found}


def gradient(fixture, method, program, tmp_path, *more):
    out = tmp_path / "grad.safetensors"
    folder = os.path.join(TORCH, fixture)
    cli.done("gradient", f"{folder}/conf", "--stage", "meta", "--params", f"{folder}/params.safetensors",
             "--task", f"{folder}/task.safetensors", "--out", out, "--data-root", folder,
             "--set", f"stage.meta.method={method}", *more, program=program)
    return safetensors_io.load(out)


def largest(arrays):
    return max(np.abs(a).max() for a in arrays.values())


def distance(found, wanted):
    """The largest difference over all tensors, relative to the largest element wanted."""
    for name, array in wanted.items():
        assert name in found, f"'{name}' is not in the result, which has {sorted(found)}"
        assert found[name].shape == array.shape, f"'{name}' has the shape {found[name].shape}, not {array.shape}"
    difference = {n: found[n].astype(np.float64) - a for n, a in wanted.items()}
    assert all(np.isfinite(d).all() for d in difference.values())
    return largest(difference) / largest(wanted)


def test_there_are_fixtures():
    assert len(FIXTURES) >= 20


@pytest.mark.parametrize("fixture", FIXTURES)
def test_fixture_tells_first_from_second_order(fixture):
    assert distance(expected(fixture, "fomaml")[0], expected(fixture, "maml")[0]) > 0.1


@pytest.mark.parametrize("method", ["maml", "fomaml"])
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_gradient(fixture, build, method, tmp_path):
    program, tolerance = BUILDS[build]
    if build == "double" and not os.path.exists(program):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    found = gradient(fixture, method, program, tmp_path)
    wanted, measures = expected(fixture, method)
    assert distance(found, wanted) <= tolerance
    for name, value in measures.items():
        difference = np.abs(found[name].reshape(value.shape) - value).max()
        assert difference <= tolerance * max(1, np.abs(value).max()), name


def test_threads_and_memory_leave_the_bits(tmp_path):
    """Activations recomputed instead of kept, and more threads: the same bits."""
    fixture = "conv4-mean-5way-3"
    kept = gradient(fixture, "maml", cli.METALOOP, tmp_path)
    again = gradient(fixture, "maml", cli.METALOOP, tmp_path, "--set", "cluster.memory=0", "--set", "cluster.threads=2")
    assert kept.keys() == again.keys()
    assert all(kept[n].tobytes() == again[n].tobytes() for n in kept)


PROVED = {  # models whose outer loss is smooth where it starts
    "resnet12": 'type = "resnet12"  filters = 4',
    "resnet12-running": 'type = "resnet12"  filters = 4  statistics = "running"',
    # lenet, but for the biases: where these are 0, as they start, a blank part of an image sits on relu's kink
    "lenet-like": 'type = "layers"  layers = {"conv filters=20 kernel=5 bias=0", "relu", "maxpool",'
                  ' "conv filters=50 kernel=5 bias=0", "relu", "maxpool", "flatten", "dense features=500", "relu", "head"}',
    "group": 'type = "conv4"  filters = 4  norm = "group"  groups = 2',
    "smooth": 'type = "layers"  layers = {"conv filters=6 kernel=5 stride=2", "groupnorm groups=2", "gelu", "layernorm",'
              ' "conv filters=4 kernel=3", "silu", "flatten", "layernorm", "head"}',
    "dropout": 'type = "mlp"  widths = {"20", "20"}  dropout = 50  input_dropout = 20',
    "leaky": 'type = "layers"  layers = {"conv filters=8 kernel=5", "tanh", "maxpool", "flatten", "dense features=30",'
             ' "leaky_relu percent=1", "dropout percent=30", "head"}',
}


@pytest.mark.parametrize("model", PROVED)
def test_models_are_proved(model, tmp_path):
    """MAML's gradient through the whole model against differences of its outer loss."""
    if not os.path.exists(cli.METALOOP64):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    path = tmp_path / "conf"
    path.write_text('run { seed = 3 }\ndata glyphs { format = "glyphs"  size = 16 }\n'
                    f"model {{ {PROVED[model]} }}\n"
                    'stage meta { method = "maml"  data = "glyphs"  way = 3  shot = 2  query = 3  inner_steps = 2\n'
                    "             inner_rate = 0.1 }\n")
    assert ": proved" in cli.done("check", path, "--gradients", program=cli.METALOOP64).out


LOSSES = {"mse": "", "mae": "", "huber": "huber_delta = 0.5", "quantile": "quantiles = {0.2, 0.7}", "poisson": "",
          "bce": "positive_weight = 2"}


def table_of_tasks(path, rng, tasks=3, rows=20):
    """Two targets, whole numbers of 0 and 1 that any loss takes, a quarter of them missing."""
    with open(path, "w") as f:
        f.write("task,a,b,c,u,v\n")
        for task in range(tasks):
            for x in rng.uniform(-1, 1, (rows, 3)):
                y = ["" if rng.uniform() < 0.25 else f"{int(x[i] > x[2])}" for i in range(2)]
                f.write(f"t{task}," + ",".join(f"{v:.4f}" for v in x) + f",{y[0]},{y[1]}\n")


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_proved(loss, tmp_path):
    """MAML's gradient of each loss, on a table with holes, against differences of its outer loss."""
    if not os.path.exists(cli.METALOOP64):
        pytest.skip("build64/metaloop is not there: make BUILD=build64 DEFINES=-DREAL64")
    table_of_tasks(tmp_path / "data.csv", np.random.default_rng(4))
    path = tmp_path / "conf"
    path.write_text('run { seed = 3 }\ndata t { format = "table"  path = "data.csv"  task = "task"  targets = {"u", "v"} }\n'
                    'model { type = "mlp"  widths = {"9", "6"}  activation = "gelu" }\n'
                    f'stage meta {{ method = "maml"  data = "t"  loss = "{loss}"  {LOSSES[loss]}  shot = 8  query = 9\n'
                    "             inner_steps = 2  inner_rate = 0.1 }\n")
    assert ": proved" in cli.done("check", path, "--gradients", "--data-root", tmp_path, program=cli.METALOOP64).out
