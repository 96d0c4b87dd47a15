"""What is said about data that cannot be read: what is wrong with which file, and what to do."""
import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import zlib

import cli
import numpy as np
import pytest

CONF = """
run {{ name = "texts"  directory = "run" }}
data d {{ {keys} }}
model {{ type = "mlp"  widths = {{4}} }}
stage s {{ method = "pretrain"  data = "d"  rounds = 1  tasks = 1  batch = 2 }}
"""
X = np.random.default_rng(1).integers(0, 256, (6, 4, 4)).astype(np.uint8)
Y = np.arange(6) % 2


def npy(a):
    out = io.BytesIO()
    np.save(out, a)
    return out.getvalue()


def npz(save=np.savez, **arrays):
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def idx(a):
    return struct.pack(f">HBB{a.ndim}I", 0, 8, a.ndim, *a.shape) + a.astype(np.uint8).tobytes()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(w=2, h=2, depth=8, colour=0, samples=1, palette=None):
    row = b"\0" + bytes(range(0, 256, 11))[:w * samples * depth // 8].ljust(w * samples * depth // 8, b"\xff")
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0))
            + (chunk(b"PLTE", palette) if palette else b"") + chunk(b"IDAT", zlib.compress(h * row)) + chunk(b"IEND", b""))


def tgz(names, mode="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(png())
            t.addfile(info, io.BytesIO(png()))
    return out.getvalue()


def stored_zip(names, flag=0x800, system=3):
    """A zip file whose names are these bytes."""
    files = directory = b""
    for name in names:
        head = struct.pack("<HHHHHIIIHH", 20, flag, 0, 0, 33, zlib.crc32(png()), len(png()), len(png()), len(name), 0)
        directory += (b"PK\1\2" + struct.pack("<H", 20 | system << 8) + head + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, len(files))
                      + name)
        files += b"PK\3\4" + head + name + png()
    return files + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(files), 0)


def short(value):
    """What a file holds is no name for a test."""
    return type(value).__name__ if isinstance(value, (bytes, np.ndarray)) else None


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def ask(folder, keys, **env):
    put(folder / "texts.conf", CONF.format(keys=keys).encode())
    return cli.run("check", "texts.conf", "--data-root", folder, cwd=folder, env=env)


def expect(result, status, *words):
    assert result.rc == status and all(word in result.err for word in words), (words, result)


ARRAYS = 'format = "npy"  path = "x"  labels = "y"'
TREE = 'format = "folder"  path = "x"'


@pytest.mark.parametrize("images,says", [
    ((X / 255).astype("<f2"), "'<f2', not an integer or float type (floats of another width); save x.astype(np.float32)"),
    ((X / 255).astype(">f4"), "f4 (big endian), images are u1, f4 or f8 (little endian): save x.astype('<f4')"),
    (X.astype(">i4"), "save x.astype(np.uint8) if they lie within 0 and 255"),
    (X.astype("<i8"), "save x.astype(np.uint8) if they lie within 0 and 255"),
    (X.astype("<u2"), "save (x // 257).astype(np.uint8) if they go up to 65535"),
    (X > 9, "booleans"), (X.astype("c8"), "complex"), (X.astype(object), "Python objects"), (X.astype("S3"), "text"),
    (X.astype("U3"), "text"), (np.zeros((6, 4, 4), [("a", "u1"), ("b", "f4")]), "save one of them, x['name']"),
    (X.astype("M8[s]"), "'<M8[s]'"), (np.asfortranarray(X), "save np.ascontiguousarray(x)"), (X[:0], "has 0 images"),
    (X.ravel(), "has 1 dimension, images are [n, h, w]"), (X.reshape(6, 16), "save x.reshape(n, h, w)"),
    (np.zeros((6, 2, 2, 4, 4), np.uint8), "has 5 dimensions"), (np.zeros((1,) * 9, np.uint8), "has 9 dimensions"),
    (Y, "are 'path' and 'labels' swapped?"),
], ids=short)
def test_images(images, says, tmp_path):
    put(tmp_path / "x", npy(images))
    put(tmp_path / "y", npy(Y))
    expect(ask(tmp_path, ARRAYS), 65, "x' ", says)


@pytest.mark.parametrize("labels,says", [
    (Y.astype(float), "save y.astype(np.int64)"), (Y - 1, "at index 0, -1: labels are 0"), (Y.astype("i1") - 1, "at index 0, -1:"),
    (Y + (1 << 20), "at index 0, 1048576:"), (Y[:5], "has 5 labels for 6 images"), (Y[:0], "has 0 labels"),
    (Y.reshape(6, 1), "save y.ravel()"), (np.eye(2)[Y], "save y.argmax(1)"), (Y.astype("U2"), "np.unique(y, return_inverse=True)[1]"),
    (Y > 0, "y.astype(np.int64) of labels"), (Y.astype(object), "Python objects"),
], ids=short)
def test_labels(labels, says, tmp_path):
    put(tmp_path / "x", npy(X))
    put(tmp_path / "y", npy(labels))
    expect(ask(tmp_path, ARRAYS), 65, "y' ", says)


@pytest.mark.parametrize("content,status,says", [
    (npy(X)[:40], 65, "inside its header"), (npy(X)[:-5], 65, "before the end of the array"), (npy(X) + b"x", 65, "has more data after its array"),
    (b"", 65, "it is empty"), (b"\x93NU", 65, "is not a .npy file"), (b"\x93NUMPY\x02\0" + npy(X)[8:10] + b"\0\0" + npy(X)[10:], 0, ""),
    (b"\x93NUMPY\x03\0" + npy(X)[8:10] + b"\0\0" + npy(X)[10:], 0, ""), (b"\x93NUMPY\x07\0" + npy(X)[8:], 65, "version 7"),
], ids=short)
def test_npy_files(content, status, says, tmp_path):
    put(tmp_path / "x", content)
    put(tmp_path / "y", npy(Y))
    expect(ask(tmp_path, ARRAYS), status, says)


@pytest.mark.parametrize("content,status,says", [
    (npz(images=X, labels=Y), 0, ""), (npz(np.savez_compressed, images=X, labels=Y), 0, ""),
    (npz(x_train=X, y_train=Y), 65, "x:images' is not there; there is x_train, y_train: set path"),
    (npz(images=X, label=Y), 65, "x:labels' is not there; there is images, label"), (npz(Images=X, labels=Y), 65, "there is Images"),
    (npz(images=X, labels=Y)[:-30], 65, "the directory at the end of the zip file is missing"), (b"hello\n", 65, "it seems to be text"),
    (npy(X), 65, 'set format = "npy"'), (gzip.compress(npy(X))[:-9], 65, "the gzip stream ends early"), (b"", 65, "it is empty"), (b"PK\5\6" + bytes(18), 65, "a zip file without anything in it"),
], ids=short)
def test_npz_files(content, status, says, tmp_path):
    put(tmp_path / "x", content)
    expect(ask(tmp_path, 'format = "npz"  path = "x"'), status, says)


@pytest.mark.parametrize("form", ["npy", "npz", "idx", "folder"])
@pytest.mark.parametrize("content,says", [
    (bz2.compress(npy(X)), "a bzip2 file, which is not read; unpack it with bunzip2"), (lzma.compress(npy(X)), "an xz file"),
    (b"\x28\xb5\x2f\xfd" + bytes(50), "a Zstandard file"), (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7-Zip file"),
    (b"Rar!\x1a\x07\0" + bytes(50), "a RAR file"), (b"\x1f\x9d\x90" + bytes(50), "a file of compress (.Z)"),
    (tgz(["a/1.png"], "w:bz2"), "a bzip2 file"), (tgz(["a/1.png"], "w:xz"), "an xz file"), (gzip.compress(b"hello"), ("gzip", "text")),
    (png(), "a PNG image; set format"), (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"), (b"\x80\4\x95" + bytes(50), "a pickle"),
    (npy(X), ".npy file; set format = \"npy\""), (idx(X), "an idx file; set format = \"idx\""), (gzip.compress(npy(X)), (".npy", "gzip")),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
], ids=short)
def test_other_formats(content, says, form, tmp_path):
    if f'"{form}"' in says and "PNG" not in says:
        pytest.skip("that is the right one")
    put(tmp_path / "x", content)
    put(tmp_path / "y", npy(Y) if form == "npy" else idx(Y))
    result = ask(tmp_path, f'format = "{form}"  path = "x"' + ('  labels = "y"' if form in ("npy", "idx") else ""))
    assert result.rc == 65 and any(word in result.err for word in ([says] if isinstance(says, str) else says)), result


@pytest.mark.parametrize("content,says", [
    (idx(X)[:-3], "before the end of the array"), (idx(X) + b"1", "has more data after its array"), (gzip.compress(idx(X))[:-9], "gzip stream"),
    (gzip.compress(gzip.compress(idx(X))), "a gzip file; unpack it"), (npz(images=X, labels=Y), "a zip file"),
    (tgz(["a/1.png"]), "a tar file; set format"),
], ids=short)
def test_idx_files(content, says, tmp_path):
    put(tmp_path / "x", content)
    put(tmp_path / "y", idx(Y))
    expect(ask(tmp_path, 'format = "idx"  path = "x"  labels = "y"'), 65, says)


def make(folder, kind):
    x = folder / "x"
    if kind == "pipe":
        os.mkfifo(x)
    elif kind == "directory":
        put(x / "a" / "1.txt", b"1")
    elif kind == "link":
        x.symlink_to("nowhere")
    elif kind == "loop":
        x.symlink_to("x")
    return {"device": "/dev/zero", "empty": ""}.get(kind, "x")


@pytest.mark.parametrize("form", ["npy", "npz", "idx", "folder"])
@pytest.mark.parametrize("kind,status,says", [
    ("pipe", 65, "is not a regular file"), ("device", 65, "'/dev/zero' is not a regular file"), ("directory", 65, "it is a directory"),
    ("link", 66, "cannot open"), ("loop", 66, "Too many levels"), ("nothing", 66, "the data root is"), ("empty", 78, "needs the key 'path'")])
def test_places(kind, status, says, form, tmp_path):
    path = make(tmp_path, kind)
    put(tmp_path / "y", npy(Y))
    result = ask(tmp_path, f'format = "{form}"  path = "{path}"' + ('  labels = "y"' if form in ("npy", "idx") else ""))
    expect(result, status, "holds no PNG or JPEG image; of its 1 other file the first is 'a/1.txt'"
           if (form, kind) == ("folder", "directory") else says)


def test_a_directory_that_leads_back(tmp_path):
    put(tmp_path / "x" / "cat" / "1.png", png())
    (tmp_path / "x" / "cat" / "up").symlink_to("..")
    expect(ask(tmp_path, TREE), 65, "x/cat/up' leads back to a folder above it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read(tmp_path):
    put(tmp_path / "x" / "cat" / "1.png", png())
    put(tmp_path / "x" / "dog" / "1.png", png())
    os.chmod(tmp_path / "x" / "dog", 0)
    result = ask(tmp_path, TREE)
    os.chmod(tmp_path / "x" / "dog", 0o700)
    expect(result, 66, "cannot read", "x/dog'", "Permission denied")


@pytest.mark.parametrize("name", ["p.png", "p"])
def test_what_is_no_file_in_a_folder(name, tmp_path):
    for path in "cat/1.png", "dog/1.png":
        put(tmp_path / "x" / path, png())
    os.mkfifo(tmp_path / "x" / "cat" / name)
    expect(ask(tmp_path, TREE), 0, "1 file of", "is not read", f"cat/{name}")


@pytest.mark.parametrize("a,b,keys,status,says", [
    (png(), png(4, 4), "", 65, "of 2 x 2 pixels in grey|of 4 x 4 in grey|set 'resize'"),
    (png(), png(4, 4), "resize = 3", 0, ""),
    (png(), png(2, 2, 8, 2, 3), "", 65, "in grey|in colour: set 'channels' to 1 (grey) or 3 (colour)"),
    (png(), png(4, 4, 8, 2, 3), "", 65, "set 'channels' to 1 (grey) or 3 (colour), and set 'resize'"),
    (png(), png(4, 4, 8, 2, 3), "resize = 3  channels = 1", 0, ""),
    (png(), png(4, 4, 8, 2, 3), "resize = 3", 65, "set 'channels' to 1 (grey) or 3 (colour)"),
    (png(), png(2, 2, 8, 4, 2), "", 0, ""), (png(2, 2, 8, 2, 3), png(2, 2, 8, 6, 4), "", 0, ""), (png(), png(2, 2, 16), "", 0, ""),
    (png(), png(2, 2, 8, 3, 1, bytes(i // 3 for i in range(768))), "", 0, ""),
    (png(), png(2, 2, 8, 3, 1, bytes(i % 256 for i in range(768))), "", 65, "in colour"),
    (png(), png()[:-6], "", 65, "x:b/2.png' is not a complete PNG image"), (png(), b"", "", 65, "x:b/2.png' is not a complete PNG image"),
], ids=short)
def test_mixed_images(a, b, keys, status, says, tmp_path):
    put(tmp_path / "x" / "a" / "1.png", a)
    put(tmp_path / "x" / "b" / "2.png", b)
    expect(ask(tmp_path, f"{TREE}  {keys}"), status, *says.split("|"), *(["'a/1.png'", "'b/2.png'"] if "in colour" in says else []))


@pytest.mark.parametrize("content,status,says", [
    (b"cat\ndog\n", 0, ""), (b"\xef\xbb\xbfcat\ndog\n", 0, ""), (b"cat\r\ndog\r\n", 0, ""), (b" cat \t\n\n dog  \n\n", 0, ""),
    ("cat\ndog\n".encode("utf-16"), 65, "is UTF-16: save it as UTF-8"), (b"\xfe\xff" + "cat\n".encode("utf-16-be"), 65, "is UTF-16"),
    (b"cat\rdog\r", 65, "carriage return inside a line"), (b"# mine\ncat\n", 65, "line 1: no class is named '# mine'; a list has one class"),
    (b"cat\ndgo\n", 65, "line 2: no class is named 'dgo', did you mean 'dog'?"), (b"Cat\n", 65, "did you mean 'cat'?"),
    (b"zebra-giraffe\n", 65, "; there is cat, dog"), (b"cat\ncat\n", 65, "line 2: class 'cat' is listed twice"), (b"", 65, "has 0 lines"),
    (b"\n \n", 65, "names no class"), (b"cat\0\n", 65, "byte 3 is not text"),
], ids=short)
def test_class_lists(content, status, says, tmp_path):
    for name in "cat/1.png", "dog/1.png":
        put(tmp_path / "x" / name, png())
    put(tmp_path / "list", content)
    expect(ask(tmp_path, f'{TREE}  classes = {{"list"}}'), status, says)


@pytest.mark.parametrize("content,status,says", [
    (b"cat\ndog\n", 0, ""), (b"\xef\xbb\xbfcat\r\ndog", 0, ""), (b"cat\ndog\n\n \n", 0, ""), (b"cat\n\ndog\n", 65, "line 2 names no class"),
    (b"cat\n", 65, "names 1 class, labels go up to 1"), (b"cat\ndog\ncat\n", 65, "line 3: an earlier class already has the name 'cat'"),
    (b"b\na\na\nb\n", 65, "line 3: an earlier class already has the name 'a'"), ("cat\ndog".encode("utf-16"), 65, "is UTF-16"),
    (b"cat\rdog", 65, "carriage return"), (b"", 65, "has 0 lines"),
], ids=short)
def test_names(content, status, says, tmp_path):
    put(tmp_path / "x", npy(X))
    put(tmp_path / "y", npy(Y))
    put(tmp_path / "list", content)
    expect(ask(tmp_path, f'{ARRAYS}  names = "list"'), status, says)


@pytest.mark.parametrize("keys,says", [
    ('format = "foldr"  path = "x"', "'foldr', did you mean 'folder'?"), ('format = "csv"  path = "x"', "there is npy, npz, idx, folder"),
    ('format = "glyphs"  style = "inkk"', "'inkk', did you mean 'ink'?"), ('format = "glyphs"  style = "neon"', "there is ink, chalk")])
def test_unknown_words(keys, says, tmp_path):
    expect(ask(tmp_path, keys), 78, says)


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """C, one of UTF-8, and a German one of another encoding if it can be made."""
    made = [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}]
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") and not subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"], capture_output=True, check=False).returncode:
        made.append({"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": folder})
    return made


NAMES = [f"{name}/1.png" for name in ("été", "Zoo", "alpha", "Ärger", "ß", "日本")]


@pytest.mark.parametrize("kind", ["folder", "zip", "zip without the flag", "zip of DOS", "tar", "tar of Latin-1"])
def test_names_in_any_locale(kind, locales, tmp_path):
    """The classes and their order are those of the bytes of their names."""
    encoding = {"zip of DOS": "cp437", "tar of Latin-1": "latin-1"}.get(kind, "utf-8")
    names = [name.encode(encoding) for name in NAMES[:5 if encoding != "utf-8" else 6]]
    if kind == "folder":
        for name in NAMES:
            put(tmp_path / "x" / name, png())
    else:
        put(tmp_path / "x", tgz([os.fsdecode(name) for name in names]) if "tar" in kind else stored_zip(
            names, 0x800 if kind == "zip" else 0, 0 if kind == "zip of DOS" else 3))
    for env in locales:
        result = cli.run("pack", "x", tmp_path / "out.npy", "--data-root", tmp_path, env=env)
        assert result.rc == 0, (env, result)
        classes = (tmp_path / "out_classes.txt").read_bytes().split(b"\n")[:-1]
        assert classes == sorted(name[:-6] for name in names), env


@pytest.mark.parametrize("names,says", [
    (["cat\\1.png", "dog\\1.png"], None), (["/cat/1.png", "dog/./1.png", "./dog//2.png"], None), (["C:/cat/1.png", "C:/dog/1.png"], None),
    (["t/cat\\1.png", "t/dog\\1.png"], "with a backslash"), (["../cat/1.png", "dog/1.png"], "leads out of a folder by '..'"),
    (["a/../cat/1.png", "dog/1.png"], "leads out"), (["cat/1.png", "cat//1.png"], "holds 'cat/1.png' twice"),
    (["", "cat/1.png"], "a file without a name"), (["/", "cat/1.png", "dog/1.png"], None), (["c\nat/1.png"], "a control character"),
])
def test_names_in_zip_files(names, says, tmp_path):
    put(tmp_path / "x", stored_zip([name.encode() for name in names]))
    result = cli.run("pack", "x", tmp_path / "out.npy", "--data-root", tmp_path)
    if says:
        expect(result, 65, says)
    else:
        assert result.rc == 0 and (tmp_path / "out_classes.txt").read_text() == "cat\ndog\n", result
