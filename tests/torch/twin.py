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
        self.n, self.activation = len(widths), torch.tanh if activation == "tanh" else getattr(F, activation)

    def forward(self, x):
        x = x.flatten(1)
        for i in range(self.n):
            x = self.activation(getattr(self, f"fc{i + 1}")(x))
        return self.head(x)


class Conv4(nn.Module):
    """Four blocks of convolution without bias, normalisation (by the batch's statistics, or of groups) and relu,
    halving by the stride (Omniglot) or by a 2x2 maximum (mini-ImageNet); then the mean over the
    positions or all of them, and a linear head."""

    def __init__(self, size, filters, outputs, reduction="stride", pool="mean", channels=1, groups=0):
        super().__init__()
        for i in range(1, 5):
            stride = 2 if reduction == "stride" else 1
            self.add_module(f"conv{i}", nn.Conv2d(channels, filters, 3, stride, 1, bias=False))
            self.add_module(f"gn{i}" if groups else f"bn{i}", nn.GroupNorm(groups, filters) if groups
                            else nn.BatchNorm2d(filters, track_running_stats=False))
            channels, size = filters, (size + 1) // 2 if reduction == "stride" else size // 2
        self.reduction, self.pool, self.norm = reduction, pool, "gn" if groups else "bn"
        self.head = nn.Linear(filters if pool == "mean" else filters * size * size, outputs)

    def forward(self, x):
        for i in range(1, 5):
            x = F.relu(getattr(self, f"{self.norm}{i}")(getattr(self, f"conv{i}")(x)))
            if self.reduction == "maxpool":
                x = F.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)) if self.pool == "mean" else x.flatten(1))


class Series(nn.Module):
    """Layers of a series [time, channels], which comes as an image of width 1."""

    def __init__(self, outputs):
        super().__init__()
        self.conv1, self.gn1 = nn.Conv1d(3, 6, 3, padding=1), nn.GroupNorm(3, 6)
        self.conv2, self.ln1 = nn.Conv1d(6, 5, 3, stride=2, bias=False), nn.LayerNorm(5)
        self.head = nn.Linear(10, outputs)

    def forward(self, x):
        x = F.max_pool1d(F.gelu(self.gn1(self.conv1(x.squeeze(3)))), 2)
        x = F.silu(self.ln1(self.conv2(x).transpose(1, 2)).transpose(1, 2))
        return self.head(F.avg_pool1d(x, 2, 2).flatten(1))


def loss_of(logits, y):
    return F.mse_loss(logits, y) if y.is_floating_point() else F.cross_entropy(logits, y)


def pinball(outputs, y, quantiles):
    """Outputs [entries, quantiles] for a target each."""
    q, d = outputs.new_tensor(quantiles), y[:, None] - outputs
    return torch.maximum(q * d, (q - 1) * d).mean()


LOSSES = {  # of targets [entries] that are all there; huber_delta 0.7, positive_weight 3
    "mse": F.mse_loss, "mae": F.l1_loss, "huber": lambda p, y: F.huber_loss(p, y, delta=0.7),
    "quantile": lambda p, y: pinball(p, y, [0.2, 0.5, 0.9]), "poisson": F.poisson_nll_loss,
    "bce": lambda p, y: F.binary_cross_entropy_with_logits(p, y, pos_weight=p.new_tensor(3)),
}


def loss_with_holes(name):
    """The loss over the targets [n, targets] that are there; outputs [n, targets], or [n, targets x quantiles]."""
    def loss(outputs, y):
        there = ~y.isnan()
        return LOSSES[name](outputs.view(*y.shape, -1).squeeze(2)[there], y[there])
    return loss


def gradient(net, theta, task, rate, steps, second, loss_of=loss_of):
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
    return dict(zip(names, g)), measures(before, logits.detach(), task["query.y"], loss_of)


def measures(before, after, y, loss_of=loss_of):
    found = {"logits_before": before, "logits": after, "loss_before": loss_of(before, y), "loss": loss_of(after, y)}
    if not y.is_floating_point():
        for key, logits in (("accuracy_before", before), ("accuracy", after)):
            found[key] = (logits.argmax(1) == y).to(logits.dtype).mean()
    return found
