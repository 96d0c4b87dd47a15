#!/usr/bin/python3
"""Makes the fixtures of tests/run/test_transfer_gradient.py: gradients of the transfer methods by PyTorch in float64, of
losses written as their papers write them (transfer_losses.py).

usage: tests/torch/make_transfer_fixtures.py [NAME]...      (all of them; needs python3-torch, python3-numpy)

One directory per case under transfer/: conf, params, anchor where the method has one, task, and the expected grad,
which under wrong/NAME/ has the gradient of a plausible mistake, in float32. Inputs are numbers that float32 holds, so
that both builds see the same. A seed is taken only if PyTorch's own float32 agrees with float64 (no relu or maximum
that decides by a rounding), every mistake is well apart from the right gradient, and no segment that the loss depends
on is asleep behind relus.
"""
import os
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import transfer_losses
from fixtures import distance, draw, make, make_wanted, mistakes, patterns, tensors, value_text

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transfer")
AGREE, APART = 1e-5, 1e-2
AWAKE, SMALLEST = 0.5, 1e-3  # of a segment: share of its elements that are not 0; its largest beside the largest of all
SIZE, CLASSES, OLD_CLASSES = 12, 5, 4
LEAST_SCALE = 0.4

SMALL, HALVED = ["maxpool kernel=2 stride=2", "flatten"], "maxpool kernel=2 stride=2"
CONV = "conv filters=3 kernel=3 stride=2 pad=1 bias=0"
NETS = {
    "mlp": [*SMALL, "dense features=6", "relu", "dense features=7", "relu", "head"],
    "mlp-tanh": [*SMALL, "dense features=5", "tanh", "head"],
    "mlp-teacher": [*SMALL, "dense features=9", "relu", "dense features=8", "relu", "head"],
    "conv": [CONV, "batchnorm", "relu", HALVED, "flatten", "dense features=6", "relu", "head"],
    "conv-running": [CONV, "batchnorm running=1", "relu", HALVED, "flatten", "dense features=6", "relu", "head"],
    "conv-maxpool": ["conv filters=2 kernel=3 stride=1 pad=1", "relu", HALVED, CONV, "batchnorm", "relu", "flatten",
                     "head"],
    "conv-teacher": ["conv filters=4 kernel=3 stride=1 pad=1 bias=0", "batchnorm running=1", "relu", HALVED,
                     "conv filters=3 kernel=3 stride=1", "relu", "flatten", "head"],
}


def cases():
    """name: the stage's method, network and keys, the batches, and the mistakes to tell it from."""
    found = {}

    def add(name, method, net, wrong, sizes=(7, 6), teacher=None, outputs=CLASSES, round=1, **keys):
        assert name not in found
        found[name] = dict(method=method, net=net, teacher=teacher or net, sizes=sizes, outputs=outputs,
                           round=round, keys=keys, wrong=wrong)

    add("pretrain-mlp", "pretrain", "mlp", ["sum"])
    add("pretrain-maxpool", "pretrain", "conv-maxpool", ["sum"])
    add("pretrain-running", "pretrain", "conv-running", ["sum", "evaluation"])
    add("finetune", "finetune", "conv", ["sum"], body_rate=0.1)
    one = {"biased": ["unbiased", "bandwidth_moves"], "unbiased": ["biased", "bandwidth_moves"],
           "linear": ["unbiased", "bandwidth_moves"]}
    for estimator in one:
        for bandwidth in ("mean", "median"):
            for kernels in ("five", "paper"):
                keys = dict(estimator=estimator, bandwidth=bandwidth, kernels=kernels)
                name = f"dan-{estimator}-{bandwidth}-{kernels}"
                add(name, "dan", "mlp", one[estimator] + ["bandwidth_n2"], weight=10, **keys)
                add(name + "-two", "dan", "conv", one[estimator] + ["first_layer", "unscheduled"], sizes=(5, 6),
                    layers=["bn1", "head"] if kernels == "five" else ["fc1", "conv1"], weight=6, rounds=40, round=6,
                    weight_schedule="rise", **keys)
    add("dan-running", "dan", "conv-running", ["unbiased", "bandwidth_moves"], estimator="biased", bandwidth="mean",
        kernels="five", layers=["head"])
    covariance = ["biased", "without_4", "without_d2"]
    add("coral-one", "coral", "mlp", covariance, weight=600)
    add("coral-head", "coral", "conv", covariance + ["first_layer"], sizes=(6, 9), layers=["bn1", "fc1", "head"],
        weight=4)
    add("coral-spatial", "coral", "conv-maxpool", covariance, sizes=(4, 5), layers=["maxpool"], weight=4000,
        weight_schedule="linear", weight_end=500, rounds=11, round=4)
    deceive = ["reversal", "swapped", "own_source"]
    add("adda-features", "adda", "mlp", deceive, discriminator=[5, 4])
    add("adda-head", "adda", "conv", deceive, sizes=(5, 8), layers=["head"], discriminator=[6])
    add("adda-spatial", "adda", "conv-maxpool", deceive, sizes=(6, 4), layers=["conv2"], discriminator=[4])
    add("adda-running", "adda", "conv-running", deceive + ["anchor_trains"], sizes=(8, 5), discriminator=[5])
    shares = dict(tasks=3, batches=2, way=3, shot=1, query=2, inner_steps=2, inner_rate=0.4, discriminator=[5],
                  weight=0.3)
    add("joint-episode", "joint", "conv", ["first_order", "without_share"], sizes=None, outputs=3, **shares)
    add("joint-batch", "joint", "conv", ["without_share", "weight_of_both"] + deceive, outputs=3, **shares)
    old = ["temperature_1", "squared", "reversed"]
    add("lwf-mlp", "lwf", "mlp", old + ["unweighted"], weight=1.75)
    add("lwf-running", "lwf", "conv-running", old + ["anchor_trains", "unscheduled"], temperature=3, weight=2,
        weight_schedule="linear", weight_end=0.5, rounds=7, round=5)
    taught = ["other_square", "temperature_1", "reversed"]
    add("kd-squared", "kd", "mlp-tanh", taught + ["labels_1"], teacher="mlp-teacher", temperature=4, label_weight=0.3,
        weight=0.7)
    add("kd-fitnets", "kd", "mlp", taught + ["unscheduled"], teacher="conv-teacher", temperature=3, squared=False,
        weight=4, weight_end=1, weight_schedule="linear", rounds=9, round=4)
    add("kd-conv", "kd", "conv", taught, teacher="conv-teacher", temperature=2.5)
    hints = ["without_half", "mean_of_width", "linear_regressor"]
    add("fitnet-dense", "fitnet", "mlp-tanh", hints, teacher="mlp-teacher")
    add("fitnet-named", "fitnet", "mlp", hints[:2], teacher="mlp-teacher", layers=["fc1"], hint="head")
    add("fitnet-conv", "fitnet", "conv-maxpool", hints, teacher="conv-teacher", layers=["conv1"], hint="conv2")
    return found


def layers_text(name, net):
    lines = ",\n                      ".join(f'"{line}"' for line in NETS[net])
    return f'model {name} {{ type = "layers"\n             layers = {{{lines}}} }}\n'


def conf(name, c):
    """The configuration that describes the case to metaloop; its data are there without files."""
    target = c["method"] in transfer_losses.TARGETED
    text = f'run {{ name = "{name}" }}\n'
    for data, style in (("source", "ink"), ("target", "chalk")) if target else (("source", "ink"),):
        text += f'data {data} {{ format = "glyphs"  style = "{style}"  size = {SIZE}  first = {CLASSES}  ' \
                'texture = 0.3 }\n'
    if c["method"] == "lwf":
        text += f'data old {{ format = "glyphs"  seed = 2  size = {SIZE}  first = {OLD_CLASSES}  texture = 0.3 }}\n'
    text += layers_text("main", c["net"])
    if c["teacher"] != c["net"]:
        text += layers_text("teacher", c["teacher"])
    if c["method"] in transfer_losses.ANCHORED:
        few = f'method = "maml"  way = {c["outputs"]}' if c["method"] == "joint" else 'method = "pretrain"'
        text += f'stage before {{ {few}  data = "{"old" if c["method"] == "lwf" else "source"}"  model = ' \
                f'"{"main" if c["teacher"] == c["net"] else "teacher"}" }}\n'
    keys = dict(method=c["method"], data="source", model="main")
    if target:
        keys["target"] = ["target"]
    n, m = c["sizes"] or (7, 6)
    keys.update(batch=n, **({"target_batch": m} if target else {}), **c["keys"])
    body = "\n              ".join(f"{k} = {value_text(v)}" for k, v in keys.items())
    return text + f'stage adapt {{ {body} }}\n'


def parameters(c, rng):
    net = transfer_losses.Net(NETS[c["net"]], (1, SIZE, SIZE), c["outputs"])
    teacher = transfer_losses.Net(NETS[c["teacher"]], (1, SIZE, SIZE),
                                  OLD_CLASSES if c["method"] == "lwf" else c["outputs"])
    part = transfer_losses.part(c, net, teacher)
    shapes = dict(net.shapes)
    if part:
        shapes.update({f"{part.name}.{k}": s for k, s in part.shapes.items()})
    theta = draw(shapes, rng, LEAST_SCALE)
    if c["method"] not in transfer_losses.ANCHORED:
        return net, None, part, theta, {}
    anchor = draw(teacher.shapes, rng, LEAST_SCALE)
    if c["method"] in ("adda", "joint"):  # the encoder starts there: near, not the same
        anchor = {k: (0.8 * theta[k] + 0.2 * v).astype(np.float32) for k, v in anchor.items()}
    return net, teacher, part, theta, anchor


def images(classes, each, contrast, coarse, rng):
    """Noisy copies of coarse patterns, the classes in random order."""
    labels = rng.permutation(np.arange(each) % classes)
    x = coarse[labels] * contrast + rng.uniform(0, 0.3, (each, 1, SIZE, SIZE)) - 0.5
    return x.astype(np.float32), labels.astype(np.int64)


def task(c, rng):
    coarse = patterns(c["outputs"], SIZE, rng)
    arrays = {}
    if c["sizes"] is None:
        way, shot, query = (c["keys"][k] for k in ("way", "shot", "query"))
        for name, n in (("support", shot), ("query", query)):
            arrays[name + ".x"], arrays[name + ".y"] = images(way, way * n, 0.7, coarse, rng)
        return arrays
    arrays["source.x"], arrays["source.y"] = images(c["outputs"], c["sizes"][0], 0.7, coarse, rng)
    if c["method"] in transfer_losses.TARGETED:
        arrays["target.x"] = -images(c["outputs"], c["sizes"][1], 0.6, coarse, rng)[0]
    if c["round"] != 1:
        arrays["round"] = np.array(c["round"], np.int64)
    return arrays


def asleep(g, used):
    """The segments whose gradient shows too little of them."""
    top = max(v.abs().max() for v in g.values())
    return [k for k in used if (g[k] != 0).double().mean() < AWAKE or g[k].abs().max() < SMALLEST * top]


def attempt(c, seed):
    """The case with one seed, or why it does not do."""
    rng = np.random.default_rng(seed)
    net, teacher, part, theta, anchor = parameters(c, rng)
    arrays = task(c, rng)

    def compute(dtype, wrong=None):
        given = (tensors(of, dtype) for of in (theta, anchor, arrays))
        return transfer_losses.gradient(c, net, teacher, part, *given, wrong)
    exact, values, used = compute(torch.float64)
    if asleep(exact, used):
        return None, f"asleep: {asleep(exact, used)}"
    agree = distance(compute(torch.float32)[0], exact)
    wrong = {w: compute(torch.float64, w)[0] for w in c["wrong"]}
    apart = {w: distance(g, exact) for w, g in wrong.items()}
    why = f"agree {agree:.1e} apart " + " ".join(f"{w} {a:.3f}" for w, a in apart.items())
    if agree > AGREE or min(apart.values()) < APART:
        return None, why
    expected = {**{k: v.numpy() for k, v in {**exact, **values}.items()}, **mistakes(wrong)}
    return {"params": theta, "anchor": anchor, "task": arrays, "grad": expected}, why


if __name__ == "__main__":
    make_wanted(cases(), lambda name, c: make(HERE, name, c, attempt, conf))
