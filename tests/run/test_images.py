"""Images of any kind, size and colour become one set: by the formulas of docs/data.md, here in NumPy."""
import glob
import math
import os
import shutil
import struct
import subprocess
import sys
import zlib

import cli
import numpy as np
import pytest

sys.path.insert(0, os.path.join(cli.ROOT, "tests", "torch"))
import safetensors_io

LUMA = 19595, 38470, 7471


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(x, depth=8, extra=b"", colour=None):
    """x: [h, w, c], c = 1, 2, 3, 4; of 16 bits if depth says so."""
    h, w, c = x.shape
    rows = b"".join(b"\0" + line.astype(f">u{depth // 8}").tobytes() for line in x)
    header = struct.pack(">IIBBBBB", w, h, depth, {1: 0, 2: 4, 3: 2, 4: 6}[c] if colour is None else colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def picture(seed, h, w, c, high=256):
    """Smooth, with an edge, so that a filter has something to do."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, high, (h // 5 + 2, w // 5 + 2, c))
    return coarse.repeat(5, 0).repeat(5, 1)[:h, :w]


def on_background(x, background):
    """[h, w, 1 | 3] of 8 bits: what is transparent lies on the background."""
    x, c = x.astype(np.int64), x.shape[2]
    if c in (1, 3):
        return x
    alpha = x[..., c - 1:]
    return (x[..., :c - 1] * alpha + background * (255 - alpha) + 127) // 255


def recoloured(x, channels):
    if x.shape[2] == 3 and channels == 1:
        return (x @ np.array(LUMA)[:, None] + 32768) // 65536
    return x.repeat(3, 2) if x.shape[2] == 1 and channels == 3 else x


def mitchell(x):
    x = np.abs(x)
    return np.where(x < 1, 7 * x ** 3 - 12 * x ** 2 + 16 / 3, np.where(x < 2, -7 / 3 * x ** 3 + 12 * x ** 2 - 20 * x + 32 / 3, 0)) / 6


def catmull_rom(x):
    x = np.abs(x)
    return np.where(x < 1, 1.5 * x ** 3 - 2.5 * x ** 2 + 1, np.where(x < 2, -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2, 0))


def weights(n, m):
    """[m, n]: of each of n numbers in each of m; beyond an end the last number goes on."""
    scale = m / n
    out = np.zeros((m, n))
    reach = math.ceil(2 / min(scale, 1)) + 1
    for i in range(m):
        centre = (i + 0.5) / scale - 0.5
        for k in range(math.floor(centre) - reach, math.ceil(centre) + reach + 1):
            out[i, min(max(k, 0), n - 1)] += catmull_rom(k - centre) if scale > 1 else mitchell((k - centre) * scale)
    return out / out.sum(1, keepdims=True)


def stretched(x, h, w):
    if x.shape[:2] == (h, w):
        return x.astype(float)
    across = np.einsum("jl,klc->kjc", weights(x.shape[1], w), x.astype(float))
    return np.clip(np.einsum("ik,kjc->ijc", weights(x.shape[0], h), across), 0, 255)


def framed(x, side, crop, background):
    h, w, c = x.shape
    if crop == "centre":
        m = min(h, w)
        x = x[(h - m) // 2:, (w - m) // 2:][:m, :m]
    if crop != "fit":
        return stretched(x, side, side)
    rows, columns = (max(1, (2 * n * side + max(h, w)) // (2 * max(h, w))) for n in (h, w))
    out = np.full((side, side, c), float(background))
    i, j = (side - rows) // 2, (side - columns) // 2
    out[i:i + rows, j:j + columns] = stretched(x, rows, columns)
    return out


def pack(folder, *sets):
    cli.done("pack", "tree", folder / "out.npy", "--data-root", folder, *[w for s in sets for w in ("--set", f"data.source.{s}")])
    return np.load(folder / "out.npy")


def put(folder, files):
    for name, content in files.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# In the order of their names: grey, grey with alpha, palette with alpha, 16 bits, colour, colour with alpha; wide, high, tiny.
PALETTE = picture(9, 256, 1, 3)[:, 0].astype(np.uint8)
ALPHAS = np.arange(256).astype(np.uint8)
KINDS = {"a/1": picture(1, 40, 23, 1), "a/2": picture(2, 17, 60, 2), "b/3": picture(3, 33, 34, 1), "b/4": picture(4, 50, 50, 3, 65536),
         "c/5": picture(5, 20, 20, 3), "c/6": picture(6, 61, 20, 4), "c/7": picture(7, 1, 64, 3), "c/8": picture(8, 5, 4, 1)}


def kinds(folder):
    """Writes them; what each is in 8 bits."""
    files, seen = {}, []
    for name, x in KINDS.items():
        is_palette, is_deep = name == "b/3", x.max() > 255
        extra = chunk(b"PLTE", PALETTE.tobytes()) + chunk(b"tRNS", ALPHAS.tobytes()) if is_palette else b""
        files[name + ".png"] = png(x, 16 if is_deep else 8, extra, 3 if is_palette else None)
        if is_palette:
            x = np.concatenate([PALETTE[x[..., 0]], ALPHAS[x]], 2)
        seen.append((x * 255 + 32767) // 65535 if is_deep else x)
    put(folder, files)
    return seen


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", ["none", "centre", "fit"])
def test_formula(crop, channels, tmp_path):
    background = 51 if crop == "fit" else 255
    seen = kinds(tmp_path)
    packed = pack(tmp_path, f"channels={channels}", f"crop={crop}", "resize=20", f"background={background / 255}")
    for x, ours in zip(seen, packed.reshape(len(seen), 20, 20, channels)):
        expected = framed(recoloured(on_background(x, background), channels), 20, crop, background)
        # The formula, rounded to a byte: half of one, and what sums of floats lose of a number up to 255.
        assert np.abs(ours - expected).max() <= 0.5 + 1e-3, (x.shape, np.abs(ours - expected).max())


def test_channels_of_arrays(tmp_path):
    """Bytes and floats; a channel more is transparency."""
    x = picture(1, 9, 9, 4)[None].repeat(3, 0).astype(np.uint8)
    np.save(tmp_path / "l.npy", np.arange(3))
    sets = ["--set", "data.source.format=npy", "--set", "data.source.labels=l.npy", "--set", "data.source.background=0"]
    for channels in 1, 3:
        for kind in "bytes", "floats":
            np.save(tmp_path / "x.npy", x if kind == "bytes" else (x / 255).astype(np.float32))
            cli.done("pack", "x.npy", tmp_path / "out.npy", "--data-root", tmp_path, *sets, "--set", f"data.source.channels={channels}")
            expected = recoloured(on_background(x[0], 0), channels)
            difference = np.abs(np.load(tmp_path / "out.npy").reshape(3, 9, 9, channels) - expected).max()
            assert difference <= (0 if kind == "bytes" else 1), kind  # bytes are rounded twice


@pytest.mark.parametrize("sets,says", [
    (["channels=2"], "channels is 2, it must be 1"), (["crop=fit"], "crop 'fit' needs the key 'resize'"),
    (["crop=center"], "crop"), (["background=2"], "background")])
def test_refused(sets, says, tmp_path):
    put(tmp_path, {"a/1.png": png(KINDS["a/1"])})
    result = cli.run("pack", "tree", tmp_path / "out.npy", "--data-root", tmp_path, *[w for s in sets for w in ("--set", f"data.source.{s}")])
    assert result.rc == 78 and says in result.err, result


def test_generators_have_no_channels(tmp_path):
    (tmp_path / "g.conf").write_text('data g { format = "glyphs"  channels = 3 }\nmodel { type = "mlp" }\nstage s { data = "g" }\n')
    result = cli.run("check", tmp_path / "g.conf")
    assert result.rc == 78 and "does not use the key 'channels'" in result.err, result


def pnm(x):
    return f"P{5 if x.shape[2] == 1 else 6}\n{x.shape[1]} {x.shape[0]}\n255\n".encode() + x.astype(np.uint8).tobytes()


def read_pnm(data):
    kind, size, _, pixels = data.split(b"\n", 3)
    w, h = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(h, w, 1 if kind == b"P5" else 3)


def tool(words, data):
    return subprocess.run(words, input=data, check=True, capture_output=True).stdout


@pytest.mark.skipif(not shutil.which("djpeg"), reason="djpeg is not there (Debian: libjpeg-turbo-progs)")
def test_jpeg_beside_png(tmp_path):
    """Whatever the name says of the two, in a folder, a zip and a tar."""
    jpegs = [tool(["cjpeg", *words], pnm(picture(i, 24, 30, c)))
             for i, (c, words) in enumerate([(1, []), (3, []), (3, ["-progressive", "-sample", "1x1"])])]
    images = [read_pnm(tool(["djpeg", "-pnm"], j)) for j in jpegs] + [picture(5, 24, 30, 1), picture(6, 24, 30, 3)]
    names = "a/1.jpg", "a/2.JPG", "a/3.png", "b/4.PNG", "b/5.jpeg"
    put(tmp_path, dict(zip(names, jpegs + [png(images[3]), png(images[4])])))
    expected = np.stack([recoloured(x.astype(int), 3) for x in images])
    assert (pack(tmp_path, "channels=3") == expected).all()
    for archive in "a.zip", "a.tar.gz":
        shutil.make_archive(tmp_path / "a", {"a.zip": "zip", "a.tar.gz": "gztar"}[archive], tmp_path / "tree")
        cli.done("pack", archive, tmp_path / "two.npy", "--data-root", tmp_path, "--set", "data.source.channels=3")
        assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "out.npy").read_bytes()
    (tmp_path / "tree" / "b" / "6.jpg").write_bytes(jpegs[1][:-20])
    result = cli.run("pack", "tree", tmp_path / "out.npy", "--data-root", tmp_path, "--set", "data.source.channels=3")
    assert result.rc == 65 and "tree:b/6.jpg' is not a complete JPEG image, at byte" in result.err, result


NORMALIZED = """
run {{ name = "n"  directory = "{folder}/run" }}
cluster {{ threads = 1 }}
data d {{ format = "folder"  path = "tree"  channels = 3  resize = 12  crop = "centre"  background = 0.2 }}
model {{ type = "mlp"  widths = {{"4"}} }}
stage s {{ method = "pretrain"  data = "d"  batch = 4  tasks = 1  rounds = 1  normalize = "computed" }}
metrics {{ endpoint = "" }}
"""


def test_normalize(tmp_path):
    """The means and deviations of mixed images are those of what networks see, channel by channel; the checkpoint has them."""
    kinds(tmp_path)
    x = pack(tmp_path, "channels=3", "resize=12", "crop=centre", "background=0.2").reshape(-1, 3) / 255
    (tmp_path / "n.conf").write_text(NORMALIZED.format(folder=tmp_path))
    cli.done("train", tmp_path / "n.conf", "--data-root", tmp_path)
    kept = safetensors_io.load(sorted(glob.glob(str(tmp_path / "run" / "checkpoint-*.safetensors")))[-1])
    assert np.allclose(kept["normalize1.mean"], x.mean(0), rtol=1e-6) and np.allclose(kept["normalize1.deviation"], x.std(0), rtol=1e-6)
    assert len(set(kept["normalize1.mean"])) == 3
