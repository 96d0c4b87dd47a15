"""The losses of the transfer methods in plain PyTorch, each by its paper's formula, and plausible mistakes in them.

A method's function returns the scalar whose gradient is wanted for all segments but a discriminator's, under
"objective", and what metaloop measures beside it. `wrong` names a mistake to make.
"""
import math

import torch
import torch.nn.functional as F

TARGETED = {"dan", "coral", "adda", "joint"}  # methods with a target domain
ANCHORED = {"adda", "joint", "lwf", "kd", "fitnet"}
FEATURES = "the head's input"


class Net:
    """A network by the lines of model.layers on samples of (channels, height, width)."""
    PREFIX = {"conv": "conv", "batchnorm": "bn", "dense": "fc"}

    def __init__(self, lines, shape, outputs, name=""):
        self.name, self.layers, self.shapes, self.outs, counts = name, [], {}, [], {}
        for line in lines:
            kind, *words = line.split()
            keys = {"pad": 0, "stride": 1, "bias": 1, **{k: int(v) for k, v in (w.split("=") for w in words)}}
            counts[kind] = counts.get(kind, 0) + 1
            layer = f"{self.PREFIX[kind]}{counts[kind]}" if kind in self.PREFIX else kind
            shape = self.plan(kind, layer, keys, shape, outputs)
            self.layers.append((kind, layer, keys))
            self.outs.append(shape)

    def plan(self, kind, layer, keys, shape, outputs):
        def weights(*dims, bias=keys["bias"]):
            self.shapes[layer + ".weight"] = dims
            if bias:
                self.shapes[layer + ".bias"] = dims[:1]
        c = shape[0]
        if kind == "conv":
            weights(keys["filters"], c, keys["kernel"], keys["kernel"])
        elif kind == "batchnorm":
            weights(c)
            if keys.get("running"):
                self.shapes.update({layer + ".running_mean": (c,), layer + ".running_var": (c,)})
        elif kind in ("dense", "head"):
            n = keys["features"] if kind == "dense" else outputs
            weights(n, math.prod(shape))
            return (n,)
        elif kind == "flatten":
            return (math.prod(shape),)
        if kind in ("conv", "maxpool"):
            h, w = ((s + 2 * keys["pad"] - keys["kernel"]) // keys["stride"] + 1 for s in shape[1:])
            return (keys.get("filters", c), h, w)
        return shape

    def behind(self, name):
        """The place of the layer whose output `name` stands for: itself, or the relu or tanh right behind it."""
        if name == FEATURES:
            return len(self.layers) - 2
        i = [layer for _, layer, _ in self.layers].index(name)
        return i + (i + 1 < len(self.layers) and self.layers[i + 1][0] in ("relu", "tanh"))

    def shape_of(self, name):
        return self.outs[self.behind(name)]

    def nonlinearity(self, name):
        """That of the features a name stands for; pooling and flattening have none of their own."""
        for kind, _, _ in reversed(self.layers[:self.behind(name) + 1]):
            if kind in ("relu", "tanh"):
                return kind
            if kind in self.PREFIX or kind == "head":
                return None
        return None

    def __call__(self, p, x, evaluate=False, observed=None):
        """The layers' outputs by name, the network's under "". observed: {name: [statistics of each batch]}."""
        p = {k[len(self.name) + 1:]: v for k, v in p.items() if k.startswith(self.name + ".")} if self.name else p
        outs = []
        for kind, layer, keys in self.layers:
            x = self.apply(kind, layer, keys, p, x, evaluate, observed)
            outs.append(x)
        found = {layer: outs[self.behind(layer)] for _, layer, _ in reversed(self.layers)}
        return {**found, FEATURES: outs[self.behind(FEATURES)], "": outs[-1]}

    def apply(self, kind, layer, keys, p, x, evaluate, observed):
        w, b = p.get(layer + ".weight"), p.get(layer + ".bias")
        if kind == "conv":
            return F.conv2d(x, w, b, keys["stride"], keys["pad"])
        if kind == "batchnorm":
            if keys.get("running") and evaluate:
                return F.batch_norm(x, p[layer + ".running_mean"], p[layer + ".running_var"], w, b)
            if keys.get("running") and observed is not None:
                observed.setdefault(layer + ".running_mean", []).append(x.detach().mean((0, 2, 3)))
                observed.setdefault(layer + ".running_var", []).append(x.detach().var((0, 2, 3)))
            return F.batch_norm(x, None, None, w, b, training=True)
        if kind in ("dense", "head"):
            return F.linear(x.flatten(1), w, b)
        if kind == "maxpool":
            return F.max_pool2d(x, keys["kernel"], keys["stride"])
        return x.flatten(1) if kind == "flatten" else getattr(torch, kind)(x)


def part(c, net, teacher):
    """The network that a method adds: a discriminator, the old head, a regressor."""
    keys, guided = c["keys"], c["keys"].get("layers", [FEATURES])[0]
    if c["method"] in ("adda", "joint"):
        hidden = [line for width in keys["discriminator"] for line in (f"dense features={width}", "relu")]
        return Net(hidden + ["head"], (math.prod(net.shape_of(guided)),), 2, "discriminator")
    if c["method"] == "lwf":
        return Net(["head"], net.shape_of(FEATURES), teacher.outs[-1][0], "old")
    if c["method"] != "fitnet":
        return None
    hint = keys.get("hint", FEATURES)
    now, wanted = net.shape_of(guided), teacher.shape_of(hint)
    line = "head" if len(now) == 1 else \
        f"conv filters={wanted[0]} kernel={now[1] - wanted[1] + 1}"  # section 2.2: no padding
    nonlinearity = teacher.nonlinearity(hint)
    return Net([line] + [nonlinearity] * bool(nonlinearity), now, wanted[0], "regressor")


class Run:
    """One evaluation of a case: its networks, parameters and task."""

    def __init__(self, c, net, teacher, part, p, anchor, task, wrong):
        self.c, self.net, self.teacher, self.part = c, net, teacher, part
        self.p, self.anchor, self.task, self.wrong = p, anchor, task, wrong
        self.keys, self.observed = c["keys"], {}

    def source(self, evaluate=False):
        return self.net(self.p, self.task["source.x"], evaluate, self.observed)

    def target(self):
        return self.net(self.p, self.task["target.x"], False, self.observed)

    def anchored(self):
        """The frozen network, in evaluation: by its running statistics where it has them."""
        with torch.no_grad():
            return self.teacher(self.anchor, self.task["source.x"], self.wrong != "anchor_trains")

    def weight(self):
        weight, done = self.keys.get("weight", 1), self.c["round"] - 1
        if self.wrong == "unscheduled":
            return weight
        if self.keys.get("weight_schedule") == "rise":  # Ganin et al. 2016, section 5.2.2: 2 / (1 + exp(-10 p)) - 1
            return weight * (2 / (1 + math.exp(-10 * done / self.keys["rounds"])) - 1)
        if self.keys.get("weight_schedule") == "linear":
            return weight + (self.keys["weight_end"] - weight) * done / (self.keys["rounds"] - 1)
        return weight

    def layers(self):
        layers = self.keys.get("layers", [FEATURES])
        if self.wrong != "first_layer":
            return layers
        return [min(layers, key=lambda name: self.net.behind(name))]


def softmax(z, temperature=1.0):
    """Hinton et al. 2015, eq. (1): q_i = exp(z_i / T) / sum_j exp(z_j / T)."""
    e = torch.exp(z / temperature)
    return e / e.sum(1, keepdim=True)


def cross_entropy(p, q):
    """H(p, q) = - sum_i p_i log q_i, its mean over samples."""
    return -(p * torch.log(q)).sum(1).mean()


def of_labels(y, outputs):
    return cross_entropy(torch.eye(outputs.shape[1], dtype=outputs.dtype)[y], softmax(outputs))


# ---- the source's labels alone ----

def pretrain(r):
    y = r.task["source.y"]
    loss = of_labels(y, r.source(r.wrong == "evaluation")[""])
    return {"objective": loss * (len(y) if r.wrong == "sum" else 1), "loss": loss}


# ---- alike features ----

def squares(a, b):
    """|a_i - b_j|^2 for all i, j."""
    return ((a[:, None] - b[None]) ** 2).sum(-1)


def bandwidth(r, s, t):
    """Long et al. 2015, section 3.1: gamma, the median of the squared distances between all pairs; or their mean."""
    z = torch.cat([s, t])
    n = len(z)
    i, j = torch.triu_indices(n, n, 1)
    pairs = squares(z, z)[i, j]
    if r.keys["bandwidth"] == "median":
        ordered = pairs.sort().values
        gamma = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    else:
        gamma = pairs.mean()
    if r.wrong == "bandwidth_n2":  # pairs of a sample with itself counted
        gamma = gamma * (n - 1) / n
    return gamma if r.wrong == "bandwidth_moves" else gamma.detach()


def kernel(r, gamma):
    """Long et al. 2015, eq. (2) with equal beta_u: k = sum_u beta_u k_u, k_u(x, y) = exp(-|x - y|^2 / gamma_u);
    section 4.1: gamma_u from 2^-8 gamma to 2^8 gamma by factors 2^(1/2). five: from 2^-2 to 2^2 by factors 2."""
    exponents = [u / 2 for u in range(-16, 17)] if r.keys["kernels"] == "paper" else [-2, -1, 0, 1, 2]
    return lambda square: sum(torch.exp(-square / (2 ** u * gamma)) for u in exponents) / len(exponents)


def mmd(r, s, t):
    k, estimator = kernel(r, bandwidth(r, s, t)), r.keys["estimator"]
    if r.wrong in ("biased", "unbiased"):
        estimator = r.wrong
    m, n = len(s), len(t)
    if estimator == "linear":
        # Long et al. 2015, eq. (5): 2 / n sum_i g_k(z_i), z_i = (x^s_2i-1, x^s_2i, x^t_2i-1, x^t_2i),
        # g_k = k(x^s_2i-1, x^s_2i) + k(x^t_2i-1, x^t_2i) - k(x^s_2i-1, x^t_2i) - k(x^s_2i, x^t_2i-1)
        total, quads = 0, min(m, n) // 2
        for i in range(quads):
            s1, s2, t1, t2 = s[2 * i], s[2 * i + 1], t[2 * i], t[2 * i + 1]
            for sign, a, b in ((1, s1, s2), (1, t1, t2), (-1, s1, t2), (-1, s2, t1)):
                total = total + sign * k(((a - b) ** 2).sum())
        return total / quads
    within_s, within_t, across = k(squares(s, s)), k(squares(t, t)), k(squares(s, t)).sum()
    if estimator == "unbiased":
        # Gretton et al. 2012, eq. (3): 1/(m(m-1)) sum_{i != j} k(x_i, x_j) + 1/(n(n-1)) sum_{i != j} k(y_i, y_j)
        #                               - 2/(mn) sum_{i, j} k(x_i, y_j)
        off_s, off_t = 1 - torch.eye(m, dtype=s.dtype), 1 - torch.eye(n, dtype=s.dtype)
        return (within_s * off_s).sum() / (m * (m - 1)) + (within_t * off_t).sum() / (n * (n - 1)) \
            - 2 * across / (m * n)
    # Gretton et al. 2012, eq. (5), squared: the same over all i, j
    return within_s.sum() / m ** 2 + within_t.sum() / n ** 2 - 2 * across / (m * n)


def coral(r, s, t):
    def covariance(x):  # Sun and Saenko 2016, eq. (2) and (3): (X^T X - (1^T X)^T (1^T X) / n) / (n - 1)
        n = len(x)
        ones = torch.ones(1, n, dtype=x.dtype)
        return (x.T @ x - (ones @ x).T @ (ones @ x) / n) / (n if r.wrong == "biased" else n - 1)
    # eq. (1): |C_S - C_T|_F^2 / (4 d^2)
    d = s.shape[1]
    scale = {"without_4": d ** 2, "without_d2": 4}.get(r.wrong, 4 * d ** 2)
    return ((covariance(s) - covariance(t)) ** 2).sum() / scale


def align(r):
    """Long et al. 2015, eq. (4), and Sun and Saenko 2016, eq. (6): the source's loss + lambda * the sum over the
    layers of the distance between the domains."""
    compare = {"dan": mmd, "coral": coral}[r.c["method"]]
    source, target = r.source(), r.target()
    distance = sum(compare(r, source[n].flatten(1), target[n].flatten(1)) for n in r.layers())
    loss = of_labels(r.task["source.y"], source[""]) + r.weight() * distance
    return {"objective": loss, "loss": loss, "discrepancy": distance}


# ---- an adversary ----

def adversary(r):
    """Tzeng et al. 2017, eq. (9); D(f) the probability of class 1, the source:
    min_D   L_D = - E log D(M_s(x_s)) - E log(1 - D(M_t(x_t))),   min_Mt   L_M = - E log D(M_t(x_t))."""
    name, = r.layers()

    def features(found):
        return found[name].flatten(1)
    source = features(r.source() if r.wrong == "own_source" else r.anchored())
    target = features(r.target())

    def d(f):
        return softmax(r.part(r.p, f)[""])[:, 0 if r.wrong == "swapped" else 1]
    of_discriminator = -torch.log(d(source)).mean() - torch.log(1 - d(target)).mean()
    of_encoder = -torch.log(d(target)).mean()
    objective = torch.log(1 - d(target)).mean() if r.wrong == "reversal" else of_encoder
    return {"objective": objective, "discriminator": of_discriminator, "loss": of_encoder,
            "discriminator_loss": of_discriminator}


def joint(r):
    """The mean over few-shot tasks of MAML's loss (Finn et al. 2017, eq. (1)) + weight * the mean over batches of
    ADDA's; a round's sum is divided by all tasks, so each counts by the inverse of its kind's share of them."""
    n_tasks, n_batches = r.keys["tasks"], r.keys["batches"]
    own = n_batches if "source.x" in r.task else n_tasks
    share = 1 if r.wrong == "without_share" else (n_tasks + n_batches) / own
    if "source.x" not in r.task:
        return episode(r, share)
    found, w = adversary(r), r.weight()
    return {"objective": share * w * found["objective"],
            "discriminator": share * (w if r.wrong == "weight_of_both" else 1) * found["discriminator"],
            "loss": share * w * found["loss"], "discrepancy": share * found["loss"],
            "discriminator_loss": share * found["discriminator_loss"]}


def episode(r, share):
    p = {k: v for k, v in r.p.items() if not k.startswith("discriminator.")}
    for _ in range(r.keys["inner_steps"]):
        loss = of_labels(r.task["support.y"], r.net(p, r.task["support.x"])[""])
        g = torch.autograd.grad(loss, list(p.values()), create_graph=True)
        g = [v.detach() for v in g] if r.wrong == "first_order" else g
        p = {k: v - r.keys["inner_rate"] * d for (k, v), d in zip(p.items(), g)}
    loss = share * of_labels(r.task["query.y"], r.net(p, r.task["query.x"])[""])
    return {"objective": loss, "loss": loss}


# ---- a teacher ----

def lwf(r):
    """Li and Hoiem 2016: L_new of the labels, eq. (1); L_old = H(y'_o, yhat'_o), eq. (2) and (3), of the recorded and
    the current outputs, each y' = y^(1/T) / sum_j y_j^(1/T), eq. (4); L_new + lambda_o L_old."""
    t = 1 if r.wrong == "temperature_1" else r.keys.get("temperature", 2)

    def modified(y):
        y = y ** (1 / t)
        return y / y.sum(1, keepdim=True)
    recorded, now = softmax(r.anchored()[""]), r.source()
    kept = modified(recorded), modified(softmax(r.part(r.p, now[FEATURES])[""]))
    of_old = cross_entropy(*reversed(kept)) if r.wrong == "reversed" else cross_entropy(*kept)
    weight = 1 if r.wrong == "unweighted" else r.weight()
    weight *= t ** 2 if r.wrong == "squared" else 1
    loss = of_labels(r.task["source.y"], now[""]) + weight * of_old
    return {"objective": loss, "loss": loss, "discrepancy": of_old}


def kd(r):
    """Hinton et al. 2015, section 2: a weighted mean of the cross-entropy with the soft targets at T, times T^2, and
    with the labels. Without T^2: Romero et al. 2015, eq. (2), L = H(y, P_S) + lambda H(P_T^tau, P_S^tau)."""
    t = 1 if r.wrong == "temperature_1" else r.keys["temperature"]
    squared = r.keys.get("squared", True) != (r.wrong == "other_square")
    outputs = r.source()[""]
    soft = softmax(r.anchored()[""], t), softmax(outputs, t)
    taught = cross_entropy(*reversed(soft)) if r.wrong == "reversed" else cross_entropy(*soft)
    share = 1 if r.wrong == "labels_1" else r.keys.get("label_weight", 1)
    loss = share * of_labels(r.task["source.y"], outputs) + r.weight() * (t ** 2 if squared else 1) * taught
    return {"objective": loss, "loss": loss, "discrepancy": taught}


def fitnet(r):
    """Romero et al. 2015, eq. (3): 1/2 |u_h(x; W_Hint) - r(v_g(x; W_Guided); W_r)|^2, the mean over samples; r ends in
    u_h's nonlinearity (section 2.2)."""
    hint = r.anchored()[r.keys.get("hint", FEATURES)].flatten(1)
    if r.wrong == "linear_regressor":
        r.part.layers = r.part.layers[:1]
    y = r.part(r.p, r.source()[r.layers()[0]])[""].flatten(1)
    scale = {"without_half": 1, "mean_of_width": 1 / y.shape[1]}.get(r.wrong, 1 / 2)
    loss = scale * ((hint - y) ** 2).sum(1).mean()
    return {"objective": loss, "loss": loss}


METHODS = {"pretrain": pretrain, "finetune": pretrain, "dan": align, "coral": align, "adda": adversary, "joint": joint,
           "lwf": lwf, "kd": kd, "fitnet": fitnet}


def gradient(c, net, teacher, part, theta, anchor, task, wrong=None):
    """({name: gradient}, {name: measure}, names on which a loss depends). A statistic's "gradient" is the sum over
    training passes of statistic - observed."""
    p = {k: v if ".running_" in k else v.clone().requires_grad_() for k, v in theta.items()}
    r = Run(c, net, teacher, part, p, anchor, task, wrong)
    found = METHODS[c["method"]](r)
    g = {}
    for objective, of_discriminator in (("objective", False), ("discriminator", True)):
        names = [k for k in p if ".running_" not in k and k.startswith("discriminator.") == of_discriminator]
        if objective in found:
            slopes = torch.autograd.grad(found[objective], [p[k] for k in names], retain_graph=True,
                                         allow_unused=True)
            g.update({k: s for k, s in zip(names, slopes) if s is not None})
    for k, batches in r.observed.items():
        g[k] = sum(theta[k] - b for b in batches)
    measures = {k: v.detach() for k, v in found.items() if k not in ("objective", "discriminator")}
    return {k: g.get(k, torch.zeros_like(v)) for k, v in theta.items()}, measures, list(g)
