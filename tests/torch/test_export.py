"""`export`: the parameters alone and a PyTorch module for them, which computes the same logits."""
import importlib.util
import os
import re
import sys

import numpy as np
import pytest

import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

spec = importlib.util.find_spec("torch")
if spec is None or spec.origin is None:  # without an origin it is the folder tests/torch
    pytest.skip("python3-torch is not installed: launch/install-deps torch", allow_module_level=True)
import torch

torch.set_num_threads(1)

SIZE, WAY = 20, 3
ALL_LAYERS = ("conv filters=5 kernel=3 stride=2 pad=1 bias=0", "batchnorm", "leaky_relu percent=20", "residual filters=4",
              "layernorm", "gelu", "groupnorm groups=2", "residual filters=4 groups=2", "silu",
              "maxpool kernel=3 stride=2", "conv filters=6 kernel=2", "batchnorm_relu", "dropout percent=30", "meanpool kernel=2",
              "meanpool", "conv1d filters=6 kernel=3 pad=1", "maxpool kernel=1", "layernorm", "conv filters=7 kernel=1", "relu", "flatten", "dense features=9", "batchnorm", "layernorm", "groupnorm groups=3", "tanh",
              "dense features=8 bias=0", "head")
CONV4 = 'type = "conv4"  filters = 6  reduction = "%s"  pool = "%s"'
MODELS = {
    "stride-mean": CONV4 % ("stride", "mean"), "stride-flatten": CONV4 % ("stride", "flatten"),
    "maxpool-flatten": CONV4 % ("maxpool", "flatten"),
    "mlp": 'type = "mlp"  widths = {"16", "12"}  activation = "tanh"  dropout = 10', "lenet": 'type = "lenet"',
    "resnet12": 'type = "resnet12"  filters = 2', "grouped": 'type = "resnet12"  filters = 2  norm = "layer"',
    "group": CONV4 % ("stride", "mean") + '  norm = "group"  groups = 3', "layers": 'type = "layers"  layers = {%s}' % ", ".join(f'"{l}"' for l in ALL_LAYERS),
}


def conf(tmp_path, model, statistics, size):
    normalize = '  normalize = {"0.3", "0.5"}' if (model, statistics) == ("layers", "running") else ""
    return cli.small(tmp_path, replace={"size = 14": f"size = {size}", 'type = "conv4"  filters = 4':
                                        f'{MODELS[model]}  statistics = "{statistics}"', "rounds = 8": "rounds = 2" + normalize})


def load_module(path):
    spec = importlib.util.spec_from_file_location("net_of_metaloop", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Net()


def logits_of_metaloop(conf_path, params, x, tmp_path):
    task, out = tmp_path / "task.safetensors", tmp_path / "out.safetensors"
    labels = np.arange(len(x)) % WAY
    safetensors_io.save(task, {"support.x": x[:WAY], "support.y": labels[:WAY], "query.x": x, "query.y": labels})
    cli.done("gradient", conf_path, "--stage", "meta", "--params", params, "--task", task, "--out", out)
    return safetensors_io.load(out)["logits_before"]


@pytest.mark.parametrize("model, statistics", [(m, "batch") for m in MODELS] + [("resnet12", "running"), ("layers", "running")])
def test_module_computes_the_same_logits(model, statistics, tmp_path):
    size = 28 if model == "lenet" else SIZE
    path = conf(tmp_path, model, statistics, size)
    trained = cli.done("train", path, "--json", "--quiet").json()["checkpoint"]
    out, module = tmp_path / "net.safetensors", tmp_path / "net.py"
    told = cli.done("export", trained, out, "--python", module, "--json", "--data-root", tmp_path / "nowhere").json()
    x = np.random.default_rng(5).uniform(0, 1, (4 * WAY, 1, size, size)).astype(np.float32)
    state = {k: torch.from_numpy(v) for k, v in safetensors_io.load(out).items()}
    net = load_module(module)
    net.load_state_dict(state, strict=True)
    net.eval()
    with torch.no_grad():
        ours, theirs = logits_of_metaloop(path, out, x, tmp_path), net(torch.from_numpy(x)).numpy()
    assert theirs.std() > 1e-4 and np.abs(ours - theirs).max() <= 1e-5 * max(1, np.abs(theirs).max())
    assert told["tensors"] == len(state) and told["parameters"] == sum(v.numel() for v in state.values())
    whole = safetensors_io.load(trained)
    assert all(np.array_equal(whole[k], v.numpy()) for k, v in state.items())


def test_every_layer_is_in_the_test():
    """A new layer comes into ALL_LAYERS."""
    listed = set(re.findall(r"^(\w+)", cli.done("list", "layers").out, re.M))
    assert listed - {line.split()[0] for line in ALL_LAYERS} - {"normalize"} == set()  # by stage.normalize
