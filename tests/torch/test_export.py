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


# ---- there and back ----

FASHION = "/usr/share/datasets/fashion-mnist"
ROTNET = """
run {{ name = "rotnet"  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 28  first = 4 }}
model {{ {model} }}
stage fine {{ method = "pretrain"  data = "ink"  batch = 8  rounds = 1  rate = 0  body_rate = 0  init = "{init}" }}
evaluate {{ every = 0 }}
metrics {{ endpoint = "" }}
"""


@pytest.fixture(scope="module")
def rotnet(tmp_path_factory):
    """The network of examples/rotnet.py with random parameters and statistics, and its file."""
    sys.path.insert(0, os.path.join(cli.ROOT, "examples"))
    import rotnet as example
    torch.manual_seed(2)
    net = example.RotNet()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if "running" in name:
                value.uniform_(0.2, 0.6)
    path = tmp_path_factory.mktemp("rotnet") / "rotnet.safetensors"
    example.save(path, net.state_dict())
    return net.eval(), path


def test_a_state_dict_comes_and_goes_as_the_same_function(rotnet, tmp_path):
    """torchvision's names and a first dense layer behind a map: the same bits under our names, the same logits in Net, and
    the same bits when what was exported starts another run."""
    net, file = rotnet
    with open(os.path.join(cli.ROOT, "examples", "fashion-finetune.conf")) as f:
        model = re.search(r"^model \{(.*?)^\}", f.read(), re.M | re.S)[1]
    out, module, conf_path = tmp_path / "net.safetensors", tmp_path / "net.py", tmp_path / "rotnet.conf"
    found = []
    for init in file, out:
        conf_path.write_text(ROTNET.format(directory=tmp_path / "run", model=model, init=init))
        trained = cli.done("train", conf_path, "--json", "--quiet", "--overwrite").json()
        cli.done("export", tmp_path / "run", out, "--python", module)
        found.append((trained["digest"], safetensors_io.load(out)))
    assert found[0][0] == found[1][0]
    ours, theirs = found[0][1], {k: v.numpy() for k, v in net.state_dict().items() if "tracked" not in k}
    assert sorted(v.tobytes() for v in ours.values()) == sorted(v.tobytes() for v in theirs.values())
    twin = load_module(module)
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in ours.items()})
    x = torch.rand(5, 1, 28, 28)
    with torch.no_grad():
        assert (twin.eval()(x) - net(x)).abs().max() <= 1e-5


@pytest.mark.skipif(not os.path.isdir(FASHION), reason="the package dataset-fashion-mnist is not installed")
def test_a_state_dict_is_fine_tuned_on_fashion_mnist(rotnet, tmp_path):
    sets = (f"stage.fine.init={rotnet[1]}", "stage.fine.rounds=60", "data.fashion-test.subset=400",
            "metrics.endpoint=")
    done = cli.done("train", "examples/fashion-finetune.conf", "--run", tmp_path / "run", "--json", *(w for s in sets for w in ("--set", s)))
    assert re.search(r"conv3.weight +<- features.8.weight, F32", done.err) and "head.weight                  drawn anew" in done.err
    assert done.json()["evaluation"]["accuracy"] > 0.4, done


SEVERAL = """
run {{ name = "several"  directory = "{directory}" }}
cluster {{ threads = 1 }}
data ink {{ format = "glyphs"  size = 14  first = 4 }}
data chalk {{ format = "glyphs"  size = 14  first = 4  style = "chalk" }}
data outline {{ format = "glyphs"  size = 14  first = 4  style = "outline" }}
model {{ type = "mlp"  widths = {{"8"}} }}
stage source {{ method = "pretrain"  data = "ink"  batch = 8  rounds = 2 }}
stage align {{ method = "adda"  data = "ink"  target = {{"chalk", "outline"}}  batch = 8  rounds = 2  steps = 2  discriminator = {{"4"}} }}
metrics {{ endpoint = "" }}
"""


def test_of_several_models_and_stages_one_is_written(tmp_path):
    checkpoint = cli.done("train", cli.small(tmp_path, SEVERAL), "--json", "--quiet").json()["checkpoint"]
    whole, out = safetensors_io.load(checkpoint), tmp_path / "net.safetensors"
    for words, prefix in (["--model", "outline"], "outline."), (["--stage", "source"], "kept.00."):
        cli.done("export", checkpoint, out, *words)
        found = safetensors_io.load(out)
        assert list(found) == ["fc1.weight", "fc1.bias", "head.weight", "head.bias"]
        assert all(np.array_equal(v, whole[prefix + k]) for k, v in found.items())
    for words, rc, says in ([], 64, "--model"), (["--model", "ink"], 64, "'chalk'"), (["--stage", "sauce"], 64, "'source'"), \
                           (["--stage", "source", "--model", "chalk"], 64, "only one model"):
        result = cli.run("export", checkpoint, out, *words)
        assert result.rc == rc and says in result.err, result
    first = str(checkpoint).replace("checkpoint-01", "checkpoint-00")
    result = cli.run("export", first, out, "--stage", "align", "--model", "chalk")
    assert result.rc == 65 and "in a checkpoint of stage 'source'" in result.err, result
