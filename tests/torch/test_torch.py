"""Checkpoints to PyTorch and back: the same names, layouts and logits."""
import importlib.util
import os
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
import twin

torch.set_num_threads(1)

SIZE, WAY = 20, 3
GLYPHS = 'data glyphs {{ format = "glyphs"  size = 14 }}'
MODEL = 'model {{ type = "conv4"  filters = 4 }}'
CONV4 = 'model {{ type = "conv4"  filters = 6  reduction = "%s"  pool = "%s" }}'
MODELS = {  # the configuration's model section, and its twin
    "mlp": ('model {{ type = "mlp"  widths = {{"16", "12"}}  activation = "tanh" }}',
            lambda: twin.Mlp(SIZE * SIZE, [16, 12], WAY, "tanh")),
    "stride-mean": (CONV4 % ("stride", "mean"), lambda: twin.Conv4(SIZE, 6, WAY)),
    "stride-flatten": (CONV4 % ("stride", "flatten"), lambda: twin.Conv4(SIZE, 6, WAY, pool="flatten")),
    "maxpool-flatten": (CONV4 % ("maxpool", "flatten"), lambda: twin.Conv4(SIZE, 6, WAY, "maxpool", "flatten")),
}


def conf(tmp_path, model):
    return cli.small(tmp_path, replace={GLYPHS.format(): GLYPHS.format().replace("14", str(SIZE)),
                                        MODEL.format(): MODELS[model][0].format()})


def images(n, size=SIZE, channels=1):
    rng = np.random.default_rng(5)
    return rng.uniform(0, 1, (n, channels, size, size)).astype(np.float32)


def task(tmp_path, way=WAY, size=SIZE):
    """A task file, and the same as tensors."""
    arrays = {"support.x": images(2 * way, size), "support.y": np.arange(2 * way) % way,
              "query.x": images(3 * way, size), "query.y": np.arange(3 * way) % way}
    path = tmp_path / "task.safetensors"
    safetensors_io.save(path, arrays)
    return path, {k: torch.from_numpy(v) for k, v in arrays.items()}


def gradient(conf_path, params, task_path, tmp_path):
    out = tmp_path / "out.safetensors"
    cli.done("gradient", conf_path, "--stage", "meta", "--params", params, "--task", task_path, "--out", out)
    return safetensors_io.load(out)


def same(found, wanted, tolerance):
    wanted = wanted.detach().numpy()
    return np.abs(found.reshape(wanted.shape) - wanted).max() <= tolerance * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("model", MODELS)
def test_checkpoint_loads_into_torch(model, tmp_path):
    path = conf(tmp_path, model)
    trained = cli.done("train", path, "--json", "--set", "stage.meta.rounds=4").json()["checkpoint"]
    tensors = {k: torch.from_numpy(v) for k, v in safetensors_io.load(trained).items()
               if not k.startswith("optimizer.")}
    net = MODELS[model][1]()
    net.load_state_dict(tensors, strict=True)
    task_path, arrays = task(tmp_path)
    found = gradient(path, trained, task_path, tmp_path)
    assert same(found["logits_before"], net(arrays["query.x"]), 1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_state_dict_loads_into_metaloop(model, tmp_path):
    torch.manual_seed(3)
    net, path, params = MODELS[model][1](), conf(tmp_path, model), tmp_path / "torch.safetensors"
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    safetensors_io.save(params, dict(reversed(state.items())))
    task_path, arrays = task(tmp_path)
    found = gradient(path, params, task_path, tmp_path)
    assert same(found["logits_before"], net(arrays["query.x"]), 1e-5)
    done = cli.done("evaluate", path, "--checkpoint", params, "--episodes", 4, "--json").json()
    assert 0 <= done["accuracy"] <= 1


@pytest.mark.parametrize("way", [5, 20])
def test_omniglot_gradient(way, tmp_path):
    """The network of examples/omniglot-5w1s.conf at its full width, too large for a fixture."""
    torch.manual_seed(way)
    path = cli.small(tmp_path, replace={GLYPHS.format(): GLYPHS.format().replace("14", "28"),
                                        MODEL.format(): 'model { type = "conv4"  filters = 64 }',
                                        "way = 3": f"way = {way}"})
    net, params = twin.Conv4(28, 64, way), tmp_path / "torch.safetensors"
    safetensors_io.save(params, {k: v.numpy() for k, v in net.state_dict().items()})
    task_path, arrays = task(tmp_path, way, 28)
    double = {k: v.double() if v.is_floating_point() else v for k, v in arrays.items()}
    theta = {k: v.detach().double() for k, v in net.named_parameters()}
    wanted, measures = twin.gradient(net.double(), theta, double, 0.4, 1, True)
    found = gradient(path, params, task_path, tmp_path)
    top = max(g.abs().max().item() for g in wanted.values())
    assert max(np.abs(found[k] - g.numpy()).max() for k, g in wanted.items()) <= 1e-4 * top
    assert same(found["logits"], measures["logits"], 1e-4)


class KeptNorm(torch.nn.Module):
    """Batch normalisation that keeps its batch's mean and variance while `keeps`, and else takes those that it kept."""

    def __init__(self, norm):
        super().__init__()
        self.weight, self.bias, self.keeps, self.kept = norm.weight, norm.bias, True, None

    def forward(self, x):
        if self.keeps:
            self.kept = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        mean, var = self.kept
        return (x - mean) / torch.sqrt(var + 1e-5) * self.weight[:, None, None] + self.bias[:, None, None]


@pytest.mark.parametrize("model", ["stride-mean", "maxpool-flatten"])
def test_inductive_figure_is_torchs(model, tmp_path):
    """An inner step; then each query alone, by the statistics of the support at the adapted parameters."""
    torch.manual_seed(3)
    net, path, params = MODELS[model][1](), conf(tmp_path, model), tmp_path / "torch.safetensors"
    safetensors_io.save(params, {k: v.numpy() for k, v in net.state_dict().items()})
    task_path, arrays = task(tmp_path)
    norms = [KeptNorm(getattr(net, f"bn{i}")) for i in range(1, 5)]
    for i, norm in enumerate(norms):
        setattr(net, f"bn{i + 1}", norm)
    loss = twin.loss_of(net(arrays["support.x"]), arrays["support.y"])
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    with torch.no_grad():
        for p, g in zip(net.parameters(), slopes):
            p -= 0.4 * g
        net(arrays["support.x"])
        for norm in norms:
            norm.keeps = False
        logits = torch.cat([net(x[None]) for x in arrays["query.x"]])
    found = gradient(path, params, task_path, tmp_path)
    assert same(found["inductive_loss"], twin.loss_of(logits, arrays["query.y"]), 1e-5)
    assert same(found["inductive_accuracy"], (logits.argmax(1) == arrays["query.y"]).float().mean(), 1e-6)
    assert abs(found["inductive_loss"] - found["loss"]) > 1e-3
