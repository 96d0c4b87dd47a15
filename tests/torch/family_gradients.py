"""The contributions of anil, metasgd, reptile, protonet and imaml in plain PyTorch, each by its paper's formula, and
plausible mistakes in them.

A method's function takes a Run and returns ({name: contribution}, the query's outputs). Run.wrong names a mistake to
make, None: none. Support and query are a batch each: batch normalisation uses the statistics of the batch at hand.
"""
import itertools

import torch
import torch.nn.functional as F
from torch.nn.utils.stateless import functional_call

RATE = "rate."  # metasgd's rate of segment s is rate.s


class Run:
    """One task at parameters theta. keys: the stage's; order: reptile's minibatches, a list of sample numbers a step."""

    def __init__(self, net, theta, task, keys, wrong=None, order=None):
        self.net, self.theta, self.task, self.keys, self.wrong, self.order = net, theta, task, keys, wrong, order
        self.steps, self.rate = keys.get("inner_steps", 0), keys.get("inner_rate")

    def outputs(self, p, part):
        return functional_call(self.net, p, self.task[part + ".x"])

    def support(self, p):
        return F.cross_entropy(self.outputs(p, "support"), self.task["support.y"])

    def query(self, p):
        return F.cross_entropy(self.outputs(p, "query"), self.task["query.y"])

    def features(self, part):
        """What enters the head."""
        found = []
        hook = self.net.head.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
        self.outputs(self.theta, part)
        hook.remove()
        return found[0]

    def leaves(self):
        return {k: v.detach().clone().requires_grad_() for k, v in self.theta.items()}


def gradient(of, p, names=None, **how):
    """{name: d of / d p[name]}; 0 for what it does not depend on."""
    names = list(names or p)
    g = torch.autograd.grad(of, [p[n] for n in names], allow_unused=True, **how)
    return {n: torch.zeros_like(p[n]) if d is None else d for n, d in zip(names, g)}


def detached(arrays):
    return {k: v.detach() for k, v in arrays.items()}


# ---- Raghu et al. 2020, section 4: the inner loop updates the head's parameters alone; the outer loop, all ----

def anil(r):
    start = r.leaves()
    p = dict(start)
    head = p if r.wrong == "whole_network" else [n for n in p if n.startswith("head.")]
    for _ in range(r.steps):
        seen = {k: v.detach() if r.wrong == "body_direct" and k not in head else v for k, v in p.items()}
        g = gradient(r.support(seen), seen, head, create_graph=True)
        g = detached(g) if r.wrong == "first_order" else g
        p.update({n: p[n] - r.rate * g[n] for n in head})
    return gradient(r.query(p), start), r.outputs(p, "query")


# ---- Li et al. 2017, section 3: theta' = theta - alpha o grad L_train(theta), theta and alpha are both learned ----

def metasgd(r):
    start = r.leaves()
    rate = {k[len(RATE):]: v for k, v in start.items() if k.startswith(RATE)}
    p = {k: start[k] for k in rate}
    for k in range(r.steps):
        g = gradient(r.support(p), p, create_graph=True)
        g = detached(g) if r.wrong == "first_order" else g
        used = detached(rate) if r.wrong == "last_step" and k < r.steps - 1 else rate
        p = {n: p[n] - used[n] * g[n] for n in p}
    found = gradient(r.query(p), start)
    if r.wrong == "rates_fixed":
        found.update({RATE + n: torch.zeros_like(v) for n, v in rate.items()})
    return found, r.outputs(p, "query")


# ---- Nichol et al. 2018, algorithm 2: theta <- theta + epsilon (phi - theta), phi after k steps of SGD or Adam ----

def sgd(r, g, state):
    return r.rate * g


def adam(r, g, state):
    """Kingma and Ba 2015, algorithm 1, with beta1 = 0 (Nichol et al. 2018, section 6.1)."""
    beta1, beta2, epsilon = 0.9 if r.wrong == "beta1" else 0.0, 0.999, 1e-8
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    if r.wrong == "uncorrected":
        return r.rate * m / (v.sqrt() + epsilon)
    return r.rate * (m / (1 - beta1 ** t)) / ((v / (1 - beta2 ** t)).sqrt() + epsilon)


def reptile(r):
    p, states = r.leaves(), {n: {} for n in r.theta}
    optimizer = adam if r.keys.get("inner_optimizer") == "adam" and r.wrong != "sgd" else sgd
    for k in range(r.steps):
        rows = r.order[k] if r.order and r.wrong != "whole" else slice(None)
        loss = F.cross_entropy(functional_call(r.net, p, r.task["support.x"][rows]), r.task["support.y"][rows])
        g = gradient(loss, p)
        p = {n: (p[n] - optimizer(r, g[n], states[n])).detach().requires_grad_() for n in p}
    found = {n: (r.theta[n] - p[n]).detach() for n in p}
    if r.wrong == "sign":
        found = {n: -v for n, v in found.items()}
    elif r.wrong == "last_gradient":
        found = g
    elif r.wrong == "query_gradient":
        found = gradient(r.query(p), p)
    return found, r.outputs(p, "query")


def orders(n, batch, steps):
    """Every row of minibatches that a permutation of the n samples in each epoch can make, as sets; batch divides n."""
    def epochs(left):
        if not left:
            return [[]]
        return [[list(one), *more] for one in itertools.combinations(left, batch)
                for more in epochs([i for i in left if i not in one])]
    assert n % batch == 0
    rows = [sum(some, []) for some in itertools.product(epochs(range(n)), repeat=-(-steps // (n // batch)))]
    return [list(map(list, o)) for o in sorted({tuple(map(tuple, row[:steps])) for row in rows})]


# ---- Snell et al. 2017, eq. (1): c_k = the mean of f over class k of the support; eq. (2): p(y = k | x) = the softmax of
# -d(f(x), c_k), d the squared Euclidean distance; algorithm 1: the mean over queries of -log p ----

def scores(r, f, c, members):
    """The query's outputs: f (queries, D), c (classes, D), members: support features of each class."""
    squares = ((f[:, None] - c[None]) ** 2).sum(2)
    if r.wrong == "mean_of_scores":
        return torch.stack([-((f[:, None] - m[None]) ** 2).sum(2).mean(1) for m in members], 1)
    if r.wrong == "dot":
        return f @ c.T
    return -squares.sqrt() if r.wrong == "not_squared" else -squares


def protonet(r):
    start = r.theta = r.leaves()
    look = (lambda part: r.outputs(start, part)) if r.wrong == "in_outputs" else r.features
    support, query, y = look("support"), look("query"), r.task["support.y"]
    support = support.detach() if r.wrong == "fixed_means" else support
    members = [support[y == k] for k in range(r.net.head.out_features)]
    outputs = scores(r, query, torch.stack([m.mean(0) for m in members]), members)
    loss = F.cross_entropy(outputs, r.task["query.y"], reduction="sum" if r.wrong == "sum" else "mean")
    return gradient(loss, start), outputs


# ---- Rajeswaran et al. 2019, eq. (4): phi* = argmin L_support(phi) + lambda / 2 |phi - theta|^2, here by gradient descent;
# eq. (6): the meta-gradient (I + H / lambda)^-1 v, H = grad^2 L_support(phi), v = grad L_query(phi); algorithm 2: by
# conjugate gradients. With damping d, (1 + d) I + H / lambda ----

def inner(r, start, create_graph=False):
    p = {k: v for k, v in start.items()} if create_graph else r.leaves()
    for _ in range(r.steps):
        loss = r.support(p)
        if r.wrong != "without_proximal":
            loss = loss + r.keys["lambda"] / 2 * sum(((p[n] - start[n]) ** 2).sum() for n in p)
        g = gradient(loss, p, create_graph=create_graph)
        p = {n: p[n] - r.rate * g[n] for n in p}
        p = p if create_graph else {n: v.detach().requires_grad_() for n, v in p.items()}
    return p


def flat(arrays):
    return torch.cat([v.reshape(-1) for v in arrays.values()])


def unflat(vector, like):
    parts = vector.split([v.numel() for v in like.values()])
    return {n: part.reshape(v.shape) for (n, v), part in zip(like.items(), parts)}


def system(r, p):
    """x -> A x."""
    scale = {"lambda_above": r.keys["lambda"], "without_lambda": 1.0}.get(r.wrong, 1 / r.keys["lambda"])
    shift = 1 + r.keys.get("cg_damping", 0) + (1 if r.wrong == "shift_twice" else 0)
    g = flat(gradient(r.support(p), p, create_graph=True))

    def product(x):
        return shift * x + scale * flat(gradient(g @ x, p, retain_graph=True))
    return product


def conjugate_gradients(product, v, steps):
    """Hestenes and Stiefel 1952, from x = 0."""
    x, residual = torch.zeros_like(v), v
    direction = residual
    for _ in range(steps):
        image = product(direction)
        a = (residual @ residual) / (direction @ image)
        x, after = x + a * direction, residual - a * image
        direction = after + (after @ after) / (residual @ residual) * direction
        residual = after
    return x


def dense(product, n, dtype):
    return torch.stack([product(row) for row in torch.eye(n, dtype=dtype)], 1)


def imaml(r, solve=None):
    """solve: "dense": by the whole matrix, instead of cg_steps of conjugate gradients."""
    if r.wrong == "unrolled":
        start = r.leaves()
        p = inner(r, start, create_graph=True)
        return gradient(r.query(p), start), r.outputs(p, "query")
    p = inner(r, r.theta)
    v = flat(gradient(r.query(p), p))
    if r.wrong == "first_order":
        x = v
    elif solve == "dense":
        x = torch.linalg.solve(dense(system(r, p), len(v), v.dtype), v)
    else:
        x = conjugate_gradients(system(r, p), v, 1 if r.wrong == "one_step" else r.keys["cg_steps"])
    return unflat(x, p), r.outputs(p, "query")


METHODS = {"anil": anil, "metasgd": metasgd, "reptile": reptile, "protonet": protonet, "imaml": imaml}
