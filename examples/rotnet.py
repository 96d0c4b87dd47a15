#!/usr/bin/python3
"""Makes examples/fashion-finetune.conf's starting point in PyTorch: rotnet.safetensors.

    examples/rotnet.py [FOLDER_OF_FASHION_MNIST] [OUT.safetensors]

A network of torchvision's kind (features.0 ... classifier.1) learns to tell by how many quarter turns an image of
Fashion-MNIST was rotated (Gidaris et al. 2018), without any label. Two epochs over 20,000 images, a quarter of a minute.
Needs python3-torch; the images are Debian's package dataset-fashion-mnist.
"""
import gzip
import json
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

WHERE = "/usr/share/datasets/fashion-mnist"
IMAGES, EPOCHS, BATCH = 20000, 2, 64


class RotNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for filters in 16, 32, 64:
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * 3 * 3, 4))

    def forward(self, x):
        return self.classifier(self.features(x))


def images(folder):
    with gzip.open(os.path.join(folder, "train-images-idx3-ubyte.gz")) as f:
        _, n, rows, columns = struct.unpack(">4i", f.read(16))
        return np.frombuffer(f.read(), np.uint8).reshape(n, 1, rows, columns)[:IMAGES]


def train(x):
    torch.manual_seed(1)
    net = RotNet()
    optimizer = torch.optim.Adam(net.parameters(), 0.002)
    for epoch in range(EPOCHS):
        for at in torch.randperm(len(x)).split(BATCH):
            some, turns = x[at], torch.randint(4, (len(at),))
            turned = torch.stack([torch.rot90(image, int(k), (1, 2)) for image, k in zip(some, turns)])
            loss = F.cross_entropy(net(turned), turns)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", file=sys.stderr)
    return net


def save(path, state):
    """As safetensors.torch.save_file does: sorted by type and name. (Debian has no python3-safetensors.)"""
    kinds, header, blobs, at = {np.dtype("int64"): "I64", np.dtype("float32"): "F32"}, {}, [], 0
    for name, value in sorted(state.items(), key=lambda item: (-item[1].element_size(), item[0])):
        blobs.append(value.numpy().tobytes())
        header[name] = {"dtype": kinds[value.numpy().dtype], "shape": list(value.shape),
                        "data_offsets": [at, at + len(blobs[-1])]}
        at += len(blobs[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


if __name__ == "__main__":
    arguments = sys.argv[1:] + [WHERE, "rotnet.safetensors"][len(sys.argv) - 1:]
    save(arguments[1], train(torch.from_numpy(images(arguments[0]).copy()).float() / 255).state_dict())
