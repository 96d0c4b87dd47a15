#!/usr/bin/python3
"""Makes the fixtures of tests/run/test_family_gradient.py: contributions of anil, metasgd, reptile, protonet and imaml by
PyTorch in float64, written as their papers write them (family_gradients.py).

usage: tests/torch/make_family_fixtures.py [NAME]...      (all of them; needs python3-torch, python3-numpy)

One directory per case under family/: conf, params, task and the expected grad, which under wrong/NAME/ has the result of
a plausible mistake, in float32. Where the order of minibatches is drawn, the grad has under any/I/ the result of every
order that there is, and a correct program gives one of them. Inputs are numbers that float32 holds, so that both builds
see the same. The samples of a task stand in random order.

A seed is taken only if PyTorch's own float32 agrees with float64 (no relu or maximum that decides by a rounding), every
mistake is well apart from the right result, no query sample is close to a tie, and no part of the network is asleep.
Parameters and learned rates are compared by themselves, each relative to its own largest element.
"""
import os
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import family_gradients
import fixtures
from family_gradients import RATE
from fixtures import draw, make, make_wanted, margin, mistakes, model_text, network, patterns, shapes_of, tensors, value_text

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "family")
AGREE, APART, MARGIN = 1e-5, 0.12, 1e-3
AWAKE = 0.3  # share of a segment's elements that are not 0
CONVERGED = 1e-12  # conjugate gradients beside a dense solve
DISTINCT = 0.01  # orders of minibatches among each other

NETS = {
    "mlp": dict(model="mlp", widths=[8, 8], activation="relu", size=12),
    "mlp-narrow": dict(model="mlp", widths=[3], activation="tanh", size=12),
    "mlp-tanh": dict(model="mlp", widths=[9], activation="tanh", size=12),
    "conv4-mean": dict(model="conv4", filters=5, reduction="stride", pool="mean", size=20),
    "conv4-narrow": dict(model="conv4", filters=3, reduction="stride", pool="mean", size=20),
    "conv4-maxpool": dict(model="conv4", filters=4, reduction="maxpool", pool="flatten", size=20),
}
PLAIN = "mlp", "conv4-mean", "conv4-maxpool"


def cases():
    """name: method, network, sizes of the task, the stage's keys, and the mistakes to tell it from."""
    found = {}

    def add(name, net, wrong, way=5, shot=2, query=2, counts=None, solve=None, **keys):
        assert name not in found
        found[name] = dict(method=name.split("-")[0], net=net, wrong=wrong, way=way, shot=shot, query=query,
                           counts=counts, solve=solve, keys=keys)
    add_unrolled(add)
    add_reptile(add)
    add_protonet(add)
    add_imaml(add)
    return found


def depths():
    """Every plain network with 1 and 3 inner steps, and the small one with 5."""
    return [(net, steps) for net in PLAIN for steps in (1, 3)] + [("mlp", 5)]


def add_unrolled(add):
    for net, k in depths():
        add(f"anil-{net}-{k}", net, ["first_order", "body_direct", "whole_network"], inner_steps=k, inner_rate=0.4)
        more = ["last_step"] if k > 1 else []
        add(f"metasgd-{net}-{k}", net, ["first_order", "rates_fixed"] + more, inner_steps=k, rates="uniform")


def add_reptile(add):
    signs = ["sign", "query_gradient"]
    for net, k in depths():
        add(f"reptile-{net}-{k}", net, signs + ["last_gradient"], inner_steps=k, inner_rate=0.3)
    for net, k in (("mlp", 1), ("mlp", 4), ("mlp-tanh", 5), ("conv4-mean", 3), ("conv4-maxpool", 3)):
        more = ["beta1"] if k > 1 else []
        add(f"reptile-adam-{net}-{k}", net, ["sign", "sgd", "uncorrected"] + more, inner_steps=k, inner_rate=0.02,
            inner_optimizer="adam")
    small = dict(way=2, shot=2, query=2, inner_batch=2)
    for net, k in (("mlp-tanh", 2), ("mlp-narrow", 3), ("conv4-mean", 2)):
        add(f"reptile-batches-{net}-{k}", net, ["whole"], inner_steps=k, inner_rate=0.5, **small)
    add("reptile-batches-adam-mlp-narrow-3", "mlp-narrow", ["whole"], inner_steps=3, inner_rate=0.02,
        inner_optimizer="adam", **small)


def add_protonet(add):
    mistakes = ["mean_of_scores", "in_outputs", "dot", "not_squared", "fixed_means", "sum"]
    for net in PLAIN:
        add(f"protonet-{net}", net, mistakes)
    add("protonet-mlp-tanh-3way", "mlp-tanh", mistakes[1:], way=3, shot=5, query=4)
    add("protonet-mlp-uneven", "mlp", mistakes, counts=[1, 3, 2, 4, 2])


def add_imaml(add):
    linear = ["first_order", "lambda_above", "shift_twice"]
    for net, k in depths():
        more = ["unrolled"] * (net == "mlp") + ["without_proximal"] * (k == 5)
        add(f"imaml-{net}-{k}", net, linear + more, inner_steps=k, inner_rate=0.2, cg_steps=5, **{"lambda": 2.0})
    add("imaml-light-mlp-5", "mlp", linear, inner_steps=5, inner_rate=0.2, cg_steps=5, **{"lambda": 0.5})
    add("imaml-damped-mlp-3", "mlp", linear + ["undamped"], inner_steps=3, inner_rate=0.2, cg_steps=5, cg_damping=0.5,
        **{"lambda": 1.5})
    for net, k, n in (("mlp", 3, 40), ("mlp-tanh", 5, 40), ("conv4-narrow", 3, 64)):
        add(f"imaml-dense-{net}-{k}", net, linear + ["one_step"], inner_steps=k, inner_rate=0.2, cg_steps=n,
            solve="dense", **{"lambda": 2.0})


# ---- what a case is made of ----

def conf(name, c):
    """The configuration that describes the case to metaloop."""
    net = NETS[c["net"]]
    own = "  ".join(f"{k} = {value_text(v)}" for k, v in c["keys"].items())
    return (f'run {{ name = "{name}" }}\n'
            f'data fixture {{ format = "glyphs"  size = {net["size"]} }}\n'
            f'model {{ {model_text(net)} }}\n'
            f'stage meta {{ method = "{c["method"]}"  data = "fixture"  way = {c["way"]}  shot = {c["shot"]}  '
            f'query = {c["query"]}\n'
            f'             {own} }}\n')


def parameters(c, net, rng):
    """And metasgd's rates: of either sign, as learned ones may be."""
    theta = draw(shapes_of(net), rng)
    if c["method"] == "metasgd":
        theta.update({RATE + n: rng.uniform(-0.1, 0.5, s).astype(np.float32) for n, s in shapes_of(net).items()})
    return theta


def images(coarse, counts, rng):
    """Noisy copies of each class's pattern, paler ones and darker ones, in random order."""
    labels = rng.permutation(np.arange(len(counts)).repeat(counts))
    contrast = rng.uniform(0.3, 1, (len(labels), 1, 1, 1))
    x = coarse[labels] * contrast + rng.uniform(0, 0.3, (len(labels), *coarse.shape[1:]))
    return x.astype(np.float32), labels.astype(np.int64)


def task(c, rng):
    way, arrays = c["way"], {}
    coarse = patterns(way, NETS[c["net"]]["size"], rng)
    for part, counts in (("support", c["counts"] or [c["shot"]] * way), ("query", [c["query"]] * way)):
        arrays[part + ".x"], arrays[part + ".y"] = images(coarse, counts, rng)
    return arrays


# ---- what is expected of it ----

class Case:
    """A case with one seed: its inputs, and what a method makes of them."""

    def __init__(self, c, seed):
        rng = np.random.default_rng(seed)
        self.c, self.net = c, network(NETS[c["net"]], c["way"])
        self.theta, self.task = parameters(c, self.net, rng), task(c, rng)
        self.orders = [None]
        if c["keys"].get("inner_batch"):
            n = len(self.task["support.y"])
            self.orders = family_gradients.orders(n, c["keys"]["inner_batch"], c["keys"]["inner_steps"])

    def compute(self, dtype=torch.float64, wrong=None, order=None, solve=None):
        """({name: contribution}, the query's outputs)"""
        keys = dict(self.c["keys"])
        if wrong == "undamped":
            keys["cg_damping"] = 0
        r = family_gradients.Run(self.net.to(dtype), tensors(self.theta, dtype), tensors(self.task, dtype), keys, wrong, order)
        more = {"solve": solve} if solve else {}
        found, outputs = family_gradients.METHODS[self.c["method"]](r, **more)
        return {k: v.detach() for k, v in found.items()}, outputs.detach()


def groups(names):
    """Names that are compared together: the network's parameters, the rates."""
    found = {}
    for name in names:
        found.setdefault(name.startswith(RATE), []).append(name)
    return found.values()


def distance(a, b):
    """The largest difference, relative to the largest element of b in its group."""
    return max(fixtures.distance(a, b, names) for names in groups(b))


def asleep(c, g):
    """Segments whose contribution shows too little of them; protonet's head has none."""
    used = [k for k in g if not (c["method"] == "protonet" and k.startswith("head."))]
    return [k for k in used if (g[k] != 0).double().mean() < AWAKE]


def measures(case, outputs):
    loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(case.task["query.y"]))
    right = outputs.argmax(1) == torch.from_numpy(case.task["query.y"])
    return {"logits": outputs, "loss": loss, "accuracy": right.double().mean()}


def refuse(case, exact, outputs, wrong):
    """Why these results do not do, or None; and what there is to say of them."""
    c = case.c
    if any(asleep(c, g) for g in exact):
        return "asleep", ""
    rough = [case.compute(torch.float32, order=o)[0] for o in case.orders]
    agree = max(distance(r, e) for r, e in zip(rough, exact))
    apart = {w: min(distance(g, e) for e in exact) for w, g in wrong.items()}
    said = f"agree {agree:.1e} apart " + " ".join(f"{w} {a:.2f}" for w, a in apart.items())
    if not agree <= AGREE or not min(apart.values()) >= APART:
        return said, said
    if min(margin(o) for o in outputs) < MARGIN:
        return "a query sample close to a tie", said
    pairs = [distance(a, b) for i, a in enumerate(exact) for b in exact[:i]]
    if pairs and min(pairs) < DISTINCT:
        return "orders that are too alike", said
    if c["solve"] and not distance(case.compute()[0], exact[0]) < CONVERGED:
        return "conjugate gradients have not converged", said
    return None, said


def attempt(c, seed):
    """The case with one seed, or why it does not do."""
    case = Case(c, seed)
    exact, outputs = zip(*(case.compute(order=o, solve=c["solve"]) for o in case.orders))
    wrong = {w: case.compute(wrong=w)[0] for w in c["wrong"]}
    why, said = refuse(case, exact, outputs, wrong)
    if why:
        return None, why
    expected = {}
    for i, (g, o) in enumerate(zip(exact, outputs)):
        prefix = f"any/{i}/" if len(exact) > 1 else ""
        expected.update({prefix + k: v.numpy() for k, v in g.items()})
        expected.update({} if prefix else {k: v.numpy() for k, v in measures(case, o).items()})
    expected.update(mistakes(wrong))
    return {"params": case.theta, "task": case.task, "grad": expected}, said


if __name__ == "__main__":
    make_wanted(cases(), lambda name, c: make(HERE, name, c, attempt, conf))
