"""What the generators of fixtures share: inputs that float32 holds, comparisons, the search for a seed, files."""
import os
import shutil
import sys

import numpy as np
import safetensors_io
import torch
import twin

SEEDS = 400  # that are tried


def value_text(value):
    """As a configuration writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "{" + ", ".join(f'"{v}"' for v in value) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


# ---- networks of twin.py: dictionaries of the keys of section `model`, and the size of an image ----

SERIES = """type = "layers"  layers = {"conv1d filters=6 kernel=3 pad=1", "groupnorm groups=3", "gelu", "maxpool kernel=2",
        "conv1d filters=5 kernel=3 stride=2 bias=0", "layernorm", "silu", "meanpool kernel=2", "flatten", "head"}"""


def model_text(net):
    if net["model"] == "mlp":
        return f'type = "mlp"  widths = {value_text(net["widths"])}  activation = "{net["activation"]}"'
    if net["model"] == "series":
        return SERIES
    norm = f'  norm = "group"  groups = {net["groups"]}' if net.get("groups") else ""
    return f'type = "conv4"  filters = {net["filters"]}  reduction = "{net["reduction"]}"  pool = "{net["pool"]}"{norm}'


def network(net, outputs):
    channels = net.get("channels", 1)
    if net["model"] == "mlp":
        return twin.Mlp(net.get("inputs") or channels * net["size"] ** 2 or 1, net["widths"], outputs, net["activation"])
    if net["model"] == "series":
        return twin.Series(outputs)
    return twin.Conv4(net["size"], net["filters"], outputs, net["reduction"], net["pool"], channels, net.get("groups", 0))


def shapes_of(net):
    return {name: tuple(p.shape) for name, p in net.named_parameters()}


# ---- inputs ----

def draw(shapes, rng, least_scale=0.6):
    """Xavier weights; scales, biases and statistics off their usual 1 and 0, so that they matter."""
    theta = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            limit = np.sqrt(6 / (np.prod(shape[2:]) * (shape[0] + shape[1])))
            theta[name] = rng.uniform(-limit, limit, shape)
        elif name.endswith("running_var") or ".weight" in name:
            theta[name] = rng.uniform(least_scale, 1.4, shape)
        else:
            theta[name] = rng.uniform(-0.3, 0.3, shape)
    return {k: v.astype(np.float32) for k, v in theta.items()}


def patterns(n, size, rng, channels=1):
    """n coarse random images (n, channels, size, size) of 4 x 4 squares."""
    place = np.arange(size) * 4 // size
    return rng.uniform(0, 1, (n, channels, 4, 4))[:, :, place][:, :, :, place]


def tensors(arrays, dtype):
    """Labels stay whole numbers."""
    return {k: torch.from_numpy(v).to(torch.int64 if v.dtype == np.int64 else dtype) for k, v in arrays.items()}


# ---- comparisons ----

def distance(a, b, names=None):
    """The largest difference, relative to the largest element of b."""
    names = names or b
    return max((a[k].double() - b[k].double()).abs().max() for k in names) / max(b[k].abs().max() for k in names)


def margin(outputs):
    """How far the query sample that is closest to a tie is from it."""
    best = outputs.topk(2, 1).values
    return (best[:, 0] - best[:, 1]).min()


def mistakes(wrong):
    """The arrays of {mistake: {name: tensor}}, under their names in a file."""
    return {f"wrong/{w}/{k}": v.numpy().astype(np.float32) for w, g in wrong.items() for k, v in g.items()}


# ---- files ----

def make(folder, name, c, attempt, conf):
    """Writes case c to folder/name: its configuration, and {file: arrays} of the first seed that does.

    attempt(c, seed): ({file: arrays} or None, what there is to say); conf(name, c): the configuration. Returns the path.
    """
    for seed in range(1, SEEDS):
        found, said = attempt(c, seed)
        if found:
            break
    else:
        sys.exit(f"{name}: no seed does: {said}")
    path = os.path.join(folder, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    with open(os.path.join(path, "conf"), "w") as f:
        f.write(conf(name, c))
    for what, arrays in found.items():
        if arrays:
            safetensors_io.save(os.path.join(path, what + ".safetensors"), arrays)
    size = sum(os.path.getsize(os.path.join(path, f)) for f in os.listdir(path))
    print(f"{name:32} seed {seed:3} {said}  {size / 1024:.0f} KiB", flush=True)
    return path


def make_wanted(cases, make_case):
    """Those that the command line names, or all: make_case(name, case)."""
    torch.set_num_threads(1)
    for name, c in cases.items():
        if name in sys.argv[1:] or not sys.argv[1:]:
            make_case(name, c)
