"""The networks of core/plan/model.c as PyTorch modules, and MAML's gradient by double backward."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.stateless import functional_call


class Mlp(nn.Module):
    def __init__(self, inputs, widths, outputs, activation="relu"):
        super().__init__()
        sizes = [inputs, *widths]
        for i in range(len(widths)):
            self.add_module(f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))
        self.head = nn.Linear(sizes[-1], outputs)
        self.n, self.activation = len(widths), getattr(torch, activation)

    def forward(self, x):
        x = x.flatten(1)
        for i in range(self.n):
            x = self.activation(getattr(self, f"fc{i + 1}")(x))
        return self.head(x)


class Conv4(nn.Module):
    """Four blocks of convolution without bias, batch normalisation by the batch's statistics and relu,
    halving by the stride (Omniglot) or by a 2x2 maximum (mini-ImageNet); then the mean over the
    positions or all of them, and a linear head."""

    def __init__(self, size, filters, outputs, reduction="stride", pool="mean", channels=1):
        super().__init__()
        for i in range(1, 5):
            stride = 2 if reduction == "stride" else 1
            self.add_module(f"conv{i}", nn.Conv2d(channels, filters, 3, stride, 1, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(filters, track_running_stats=False))
            channels, size = filters, (size + 1) // 2 if reduction == "stride" else size // 2
        self.reduction, self.pool = reduction, pool
        self.head = nn.Linear(filters if pool == "mean" else filters * size * size, outputs)

    def forward(self, x):
        for i in range(1, 5):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
            if self.reduction == "maxpool":
                x = F.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)) if self.pool == "mean" else x.flatten(1))


def loss_of(logits, y):
    return F.mse_loss(logits, y) if y.is_floating_point() else F.cross_entropy(logits, y)


def gradient(net, theta, task, rate, steps, second):
    """d(query loss after `steps` steps of SGD on the support set)/d theta, exact; with second=False
    that of the adapted parameters instead. theta: {name: tensor}; task: {"support.x": ...}.
    Returns ({name: gradient}, {name: value})."""
    names = list(theta)
    p = start = {k: v.clone().requires_grad_() for k, v in theta.items()}
    for _ in range(steps):
        loss = loss_of(functional_call(net, p, task["support.x"]), task["support.y"])
        g = torch.autograd.grad(loss, list(p.values()), create_graph=second)
        p = {k: p[k] - rate * d for k, d in zip(names, g)}
        if not second:
            p = {k: v.detach().requires_grad_() for k, v in p.items()}
    logits = functional_call(net, p, task["query.x"])
    g = torch.autograd.grad(loss_of(logits, task["query.y"]), list((start if second else p).values()))
    with torch.no_grad():
        before = functional_call(net, theta, task["query.x"])
    return dict(zip(names, g)), measures(before, logits.detach(), task["query.y"])


def measures(before, after, y):
    found = {"logits_before": before, "logits": after, "loss_before": loss_of(before, y), "loss": loss_of(after, y)}
    if not y.is_floating_point():
        for key, logits in (("accuracy_before", before), ("accuracy", after)):
            found[key] = (logits.argmax(1) == y).to(logits.dtype).mean()
    return found
