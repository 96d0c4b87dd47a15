"""Small PNG files in class folders, made by a seed: each class is a pattern, each image the pattern with noise."""
import struct
import subprocess
import zlib

import numpy as np


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels):
    """The bytes of a PNG file; pixels: [h, w] or [h, w, 3], 0 to 255."""
    a = np.clip(np.asarray(pixels), 0, 255).astype(np.uint8)
    h, w = a.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in a)
    head = struct.pack(">IIBBBBB", w, h, 8, 2 if a.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def to_jpeg(path):
    """Replaces a grey PNG file that png() has made by a JPEG file, with cjpeg."""
    data = path.read_bytes()
    w, h = struct.unpack_from(">II", data, 16)
    rows = zlib.decompress(data[data.index(b"IDAT") + 4:-16])
    pixels = b"".join(rows[i * (w + 1) + 1:(i + 1) * (w + 1)] for i in range(h))
    path.with_suffix(".jpg").write_bytes(subprocess.run(
        ["cjpeg", "-quality", "95"], input=b"P5 %d %d 255\n" % (w, h) + pixels, stdout=subprocess.PIPE, check=True).stdout)
    path.unlink()


def drawing(k, i, side=16, noise=40):
    """Image i of class k: dark blocks on a light background, with a light frame."""
    inner = np.kron(np.random.default_rng(k).random((6, 6)) < 0.45, np.ones((side // 8, side // 8)))
    ink = np.zeros((side, side))
    at = (side - inner.shape[0]) // 2
    ink[at:at + inner.shape[0], at:at + inner.shape[1]] = inner
    return 230 - 190 * ink + np.random.default_rng((k, i)).normal(0, noise, (side, side))


def write(root, classes, images, **how):
    """root/NAME/III.png; classes: {name: pattern}, images: their numbers."""
    for name, k in classes.items():
        for i in images:
            path = root / name / f"{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(drawing(k, i, **how)))
