#!/usr/bin/python3
"""Makes the fixtures of tests/run/test_gradient.py: MAML's gradients by PyTorch's double backward in float64.

usage: tests/torch/make_fixtures.py [NAME]...      (all of them; needs python3-torch, python3-numpy)

One directory per case: conf, params, task and the expected grad, the last three as safetensors. Inputs are
numbers that float32 holds, so that both builds see the same. A seed is taken only if PyTorch's own float32
agrees with float64 to 2e-5 of the largest element (no relu or maximum that decides by a rounding), no query
sample is close to a tie, and the first-order gradient is well apart from the exact one.
"""
import os
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import twin
from fixtures import distance, draw, make, make_wanted, margin, model_text, network, patterns, shapes_of, tensors

HERE = os.path.dirname(os.path.abspath(__file__))
AGREE, APART, MARGIN = 1e-5, 0.15, 1e-3
KEYS = {"huber": "  huber_delta = 0.7", "quantile": '  quantiles = {"0.2", "0.5", "0.9"}', "bce": "  positive_weight = 3"}


def cases():
    """name: what differs from the defaults in describe()."""
    found = {}
    for steps in (1, 3):
        found[f"sinusoid-{steps}"] = dict(model="mlp", widths=[40, 40], way=0, shot=10, query=10, steps=steps,
                                          rate=0.01)
        for way in (5, 20):
            shape = dict(way=way, steps=steps, query=3 if way == 5 else 1)
            found[f"mlp-{way}way-{steps}"] = dict(shape, model="mlp", widths=[32, 24], size=12, shot=2)
            found[f"conv4-mean-{way}way-{steps}"] = dict(shape, size=28)
            found[f"conv4-flatten-{way}way-{steps}"] = dict(shape, size=20, pool="flatten")
            found[f"conv4-maxpool-{way}way-{steps}"] = dict(shape, size=28, reduction="maxpool", pool="flatten")
    found["mlp-tanh-5way-3"] = dict(model="mlp", widths=[17], activation="tanh", size=12, shot=3, query=2, steps=3)
    found["conv4-maxpool-34-5way-1"] = dict(reduction="maxpool", pool="flatten", size=34, filters=5, shot=2)
    found["conv4-maxpool-colour-5way-1"] = dict(reduction="maxpool", pool="flatten", size=32, channels=3)
    found["mlp-colour-5way-1"] = dict(model="mlp", widths=[12], size=6, channels=3)
    found["mlp-gelu-5way-3"] = dict(model="mlp", widths=[17, 9], activation="gelu", size=12, shot=3, query=2, steps=3)
    found["mlp-silu-5way-1"] = dict(model="mlp", widths=[17, 9], activation="silu", size=12, shot=2)
    found["conv4-group-5way-3"] = dict(size=20, steps=3, groups=4)
    found["conv4-layer-5way-1"] = dict(size=20, groups=1, reduction="maxpool", pool="flatten")
    found["series-3way-2"] = dict(model="series", size=20, channels=3, way=3, shot=2, steps=2, rate=0.2)
    for loss in twin.LOSSES:
        found[f"loss-{loss}"] = dict(model="mlp", widths=[11, 7], activation="tanh", way=0, inputs=4, shot=12, query=9,
                                     steps=3, rate=0.2, loss=loss)
    found["conv4-omniglot-5way-1"] = dict(size=28, filters=32, query=1)
    return found


def describe(model="conv4", widths=(), activation="relu", size=0, channels=1, filters=8, reduction="stride",
             pool="mean", way=5, shot=1, query=3, steps=1, rate=0.4, groups=0, inputs=0, loss=""):
    """channels=3: a file of black images says so, as no generator has colour. loss: tables of
    two targets, some of them missing."""
    return dict(locals())


def conf(name, c):
    """The configuration that describes the case to metaloop."""
    if c["way"]:
        grey = f'format = "glyphs"  size = {c["size"]}'
        data = grey if c["channels"] == 1 else 'format = "npz"  path = "data.npz"'
        classes, loss = f'way = {c["way"]}  ', "cross_entropy"
    else:
        table = 'format = "table"  path = "data.csv"  task = "task"  targets = {"y1", "y2"}'
        data, classes, loss = table if c["loss"] else 'format = "sinusoid"', "", c["loss"] or "mse"
    return (f'run {{ name = "{name}" }}\n'
            f'data fixture {{ {data} }}\n'
            f'model {{ {model_text(c)} }}\n'
            f'stage meta {{ method = "maml"  data = "fixture"  loss = "{loss}"{KEYS.get(c["loss"], "")}  {classes}shot = {c["shot"]}  '
            f'query = {c["query"]}\n'
            f'             inner_steps = {c["steps"]}  inner_rate = {c["rate"]} }}\n')


def images(c, rng):
    """Coarse random patterns, one per class, and noisy copies of them."""
    size, way, channels = c["size"], c["way"], c["channels"]
    coarse = patterns(way, size, rng, channels)

    def some(n):
        x = coarse.repeat(n, 0) * 0.7 + rng.uniform(0, 0.3, (way * n, channels, size, size))
        return x.astype(np.float32), np.arange(way).repeat(n).astype(np.int64)
    return some(c["shot"]), some(c["query"])


def curves(c, rng):
    amplitude, phase = rng.uniform(1, 5), rng.uniform(0, np.pi)

    def some(n):
        x = rng.uniform(-5, 5, (n, 1)).astype(np.float32)
        return x, (amplitude * np.sin(x - phase)).astype(np.float32).astype(np.float64)
    return some(c["shot"]), some(c["query"])


def with_loss(c, rng):
    """Two targets that the loss can be of, some of them missing."""
    slopes = rng.uniform(-1, 1, (c["inputs"], 2))

    def some(n):
        x = rng.uniform(-1, 1, (n, c["inputs"])).astype(np.float32)
        y = (2 * np.sin(2 * x @ slopes)).astype(np.float32).astype(np.float64)
        y = {"poisson": np.floor(np.abs(2 * y)), "bce": (y > 0.3).astype(np.float64)}.get(c["loss"], y)
        y[rng.uniform(size=y.shape) < 0.25] = np.nan
        return x, y
    return some(c["shot"]), some(c["query"])


def series(c, rng):
    """Series of 20 times and 3 channels."""
    base = rng.uniform(-1, 1, (c["way"], 3, 20, 1))

    def some(n):
        x = base.repeat(n, 0) + rng.uniform(-0.3, 0.3, (c["way"] * n, 3, 20, 1))
        return x.astype(np.float32), np.arange(c["way"]).repeat(n).astype(np.int64)
    return some(c["shot"]), some(c["query"])


def task(c, rng):
    draw_task = series if c["model"] == "series" else images if c["way"] else with_loss if c["loss"] else curves
    (sx, sy), (qx, qy) = draw_task(c, rng)
    return {"support.x": sx, "support.y": sy, "query.x": qx, "query.y": qy}


def outputs_of(c):
    return c["way"] or (2 * (3 if c["loss"] == "quantile" else 1) if c["loss"] else 1)


def compute(c, theta, arrays, dtype, second):
    net, loss = network(c, outputs_of(c)).to(dtype), twin.loss_with_holes(c["loss"]) if c["loss"] else twin.loss_of
    return twin.gradient(net, tensors(theta, dtype), tensors(arrays, dtype), c["rate"], c["steps"], second, loss)


def attempt(c, seed):
    """The case with one seed, or why it does not do."""
    rng = np.random.default_rng(seed)
    theta, arrays = draw(shapes_of(network(c, outputs_of(c))), rng), task(c, rng)
    exact, values = compute(c, theta, arrays, torch.float64, True)
    first, _ = compute(c, theta, arrays, torch.float64, False)
    rough = [compute(c, theta, arrays, torch.float32, second)[0] for second in (True, False)]
    agree, apart = max(distance(rough[0], exact), distance(rough[1], first)), distance(first, exact)
    if agree > AGREE or apart < APART:
        return None, f"agree {agree:.1e} apart {apart:.2f}"
    if c["way"] and min(margin(values["logits"]), margin(values["logits_before"])) < MARGIN:
        return None, "a query sample close to a tie"
    expected = {**exact, **{f"first_order/{k}": v for k, v in first.items()}, **values}
    return {"params": theta, "task": arrays, "grad": {k: v.numpy() for k, v in expected.items()}}, \
        f"agree {agree:.1e} apart {apart:.2f} loss {values['loss_before']:.3f} -> {values['loss']:.3f}"


def make_case(name, differences):
    c = describe(**differences)
    folder = make(HERE, name, c, attempt, conf)
    if c["loss"]:  # enough rows for a task
        rows = "a,0,0,0,0,0,0\n" * (c["shot"] + c["query"])
        with open(os.path.join(folder, "data.csv"), "w") as f:
            f.write("task,f1,f2,f3,f4,y1,y2\n" + rows)
    if c["channels"] > 1:
        labels = np.arange(c["way"], dtype=np.uint8).repeat(c["shot"] + c["query"])
        black = np.zeros((len(labels), c["size"], 1 if c["model"] == "series" else c["size"], c["channels"]), np.uint8)
        np.savez_compressed(os.path.join(folder, "data.npz"), images=black, labels=labels)


if __name__ == "__main__":
    make_wanted(cases(), make_case)
