"""Augmentation, from the outside: what a run trains on is what docs/data.md says, computed here by NumPy alone; the
bits do not depend on ranks, threads and resumes; evaluation sees images as they are."""
import os
import sys

import numpy as np
import pytest

import bits
import cli

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

SEED, CLASSES, H, W = 2**33 + 5, 2, 6, 5
IMAGES = (np.arange(CLASSES * H * W) * 89 % 251).reshape(CLASSES, H, W).astype(np.uint8)
CROP, BRIGHTNESS, CONTRAST = 3, 0.75, 0.5
LINEAR = f"""
run {{{{ name = "x"  seed = {SEED}  directory = "{{directory}}" }}}}
data a {{{{ format = "npy"  path = "x.npy"  labels = "y.npy" }}}}
model {{{{ type = "layers"  layers = {{{{"flatten", "head"}}}} }}}}
stage s {{{{ method = "pretrain"  data = "a"  batch = 1  tasks = 1  optimizer = "sgd"  momentum = 0  rate = 0.1
            augment_crop = {CROP}  augment_flip = true  augment_brightness = {BRIGHTNESS}  augment_contrast = {CONTRAST} }}}}
"""
CHANGED = cli.SMALL.replace("rounds = 8", "rounds = 8  augment_crop = 2  augment_flip = true  augment_contrast = 0.3")


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b % 2**32, a >> 32 ^ c[3] ^ k[1], a % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def changed(image, round_number, slot, step, part, i):
    """docs/data.md, "Changes in training"."""
    stream, key = 15 + 256 * (4 * step + part), (SEED % 2**32, SEED >> 32)
    u = np.array([w for k in (0, 1) for w in philox((2 * i + k, slot, round_number, stream), key)]) / 2**32
    down, right = np.floor(u[:2] * (2 * CROP + 1)).astype(int)
    x = np.pad(image / 255, CROP, mode="reflect")[down:down + H, right:right + W]
    x = x[:, ::-1] if u[2] >= 0.5 else x
    x = np.clip((1 + BRIGHTNESS * (2 * u[3] - 1)) * x, 0, 1)
    return np.clip(x.mean() + (1 + CONTRAST * (2 * u[4] - 1)) * (x - x.mean()), 0, 1)


def test_training_sees_the_stated_images(tmp_path):
    """One image a step, and a network of one layer: its weights move along the image, its biases by the same factor."""
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "x.npy", IMAGES)
    np.save(data / "y.npy", np.arange(CLASSES, dtype=np.uint8))
    seen = []
    for rounds in range(1, 8):
        end = cli.done("train", cli.small(tmp_path, LINEAR), "--data-root", data, "--json", "--quiet", "--resume",
                       "--set", f"stage.s.rounds={rounds}").json()
        seen.append(safetensors_io.load(end["checkpoint"]))
    labels, differ = set(), 0
    for r, (before, after) in enumerate(zip(seen, seen[1:]), 2):
        bias = after["head.bias"] - before["head.bias"]
        label = int(bias.argmax())
        image = (after["head.weight"] - before["head.weight"])[label] / bias[label]
        wanted = changed(IMAGES[label], r, 0, 0, 2, 0)
        np.testing.assert_allclose(image.reshape(H, W), wanted, atol=2e-5)
        differ += abs(wanted - IMAGES[label] / 255).max() > 0.1
        labels.add(label)
    assert labels == {0, 1} and differ >= 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, bits.train(folder, CHANGED)


@pytest.mark.parametrize("ranks, more", [(2, ()), (3, ("--set", "cluster.threads=2")),
                                         (None, ("--set", "cluster.threads=2", "--set", "cluster.memory=0"))])
def test_bits(ranks, more, whole, tmp_path):
    assert bits.train(tmp_path, CHANGED, *more, ranks=ranks) == whole[1]


def test_resume(whole, tmp_path):
    bits.cut(whole[0], tmp_path, bits.checkpoints(whole[0])[0])
    end = cli.done("train", cli.small(tmp_path, CHANGED), "--resume", "--json", "--quiet").json()["digest"]
    assert end == whole[1]["end", 0]


def test_it_changes_training_and_not_evaluation(whole, tmp_path):
    checkpoint = bits.checkpoints(whole[0])[-1]
    command = "evaluate", "--checkpoint", checkpoint, "--json", "--episodes", 20
    plain = cli.done(*command, cli.small(tmp_path)).json()
    assert bits.train(tmp_path / "plain", cli.SMALL)["end", 0] != whole[1]["end", 0]
    assert plain["loss"] == cli.done(*command, cli.small(tmp_path, CHANGED)).json()["loss"]
