"""pack reads images one by one: memory does not grow with the set, and what is stopped leaves nothing."""
import os
import re
import signal
import subprocess
import sys

import cli
import numpy as np
import pytest

from test_images import png

SIDE = 1000
# Starts a program from a small process, whose own memory would count otherwise; prints its status and its peak in KiB.
MEASURE = "import os, sys; p = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); _, status, usage = os.wait4(p, 0); print(status, usage.ru_maxrss)"


def image(seed=1, side=SIDE):
    """Lines that repeat: little to read, much to keep."""
    return png(np.random.default_rng(seed).integers(0, 256, (1, side, 1)).repeat(side, 0))


def tree(folder, name, n, content):
    """n images in 5 classes, all one file."""
    (folder / "one.png").write_bytes(content)
    for i in range(n):
        path = folder / name / f"class{i % 5}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(folder / "one.png")


def peak(folder, source, *sets):
    """MiB."""
    words = [os.path.join(cli.ROOT, "build", "metaloop"), "pack", source, str(folder / "out.npy"), "--data-root", str(folder), *sets]
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    status, kib = done.stdout.split("\n")[-2].split()
    assert status == "0", done
    return int(kib) / 1024


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_memory_does_not_grow(kind, tmp_path):
    """9 images of a megabyte, and 90: those 81 MB are nowhere."""
    peaks = []
    for n in 9, 90:
        tree(tmp_path, f"t{n}", n, image())
        if kind == "tar":
            subprocess.run(["tar", "--hard-dereference", "-chf", tmp_path / f"t{n}.tar", "-C", tmp_path, f"t{n}"], check=True)
        peaks.append(peak(tmp_path, f"t{n}" + (".tar" if kind == "tar" else "")))
    assert os.path.getsize(tmp_path / "out.npy") > 90e6
    assert peaks[1] - peaks[0] < 8, peaks


@pytest.mark.skipif(not os.environ.get("METALOOP_LONG"), reason="METALOOP_LONG is not set: 2 GB of images take a minute")
def test_two_gigabytes(tmp_path):
    noise = png(np.random.default_rng(1).integers(0, 256, (1400, 1400, 1)))
    tree(tmp_path, "tree", 2 * 10 ** 9 // len(noise) + 1, noise)
    mib = peak(tmp_path, "tree", "--set", "data.source.resize=84")
    print(f"{mib:.0f} MiB")
    assert mib < 200


def test_stopped(tmp_path):
    """By Ctrl-C, while it tells how far it is: nothing is left, not even a temporary file."""
    tree(tmp_path, "tree", 3000, image())
    out = tmp_path / "out"
    out.mkdir()
    words = [os.path.join(cli.ROOT, "build", "metaloop"), "pack", "tree", out / "x.npy", "--data-root", tmp_path, "--set", "progress.every=0.1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        line = p.stderr.readline()
        assert re.fullmatch(r"packing images: \d+ of 3000, \d+ %, [\d:]+ left\n", line), line
        assert [path.name.split(".npy")[0] for path in out.iterdir()], "nothing is being written"
        p.send_signal(signal.SIGINT)
        rest, _ = p.stderr.read(), p.stdout.read()
    assert p.returncode == 75 and "stopped by Interrupt after" in rest and "nothing is written" in rest, rest
    assert not list(out.iterdir())


def test_quiet(tmp_path):
    tree(tmp_path, "tree", 30, image())
    result = cli.done("pack", "tree", tmp_path / "out.npy", "--data-root", tmp_path, "--set", "progress.every=0.1", "--quiet")
    assert result.err == ""
