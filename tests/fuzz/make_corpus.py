#!/usr/bin/python3
"""Writes the seeds, tests/fuzz/corpus/TARGET/seed-*, which are committed. Past findings lie beside them
under other names and stay.

usage: tests/fuzz/make_corpus.py [FOLDER]
"""
import base64
import gzip
import io
import json
import os
import struct
import sys
import tarfile
import zipfile
import zlib

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus"))
REPOSITORY = os.path.join(HERE, "..", "..")


def put(target, name, content):
    folder = os.path.join(ROOT, target)
    os.makedirs(folder, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    assert len(content) < 4096, (target, name, len(content))
    with open(os.path.join(folder, "seed-" + name), "wb") as f:
        f.write(content)


# --- configuration, --set, command line, class names, metrics: text

def put_config():
    for name in "omniglot-5w1s.conf", "sinusoid.conf":
        with open(os.path.join(REPOSITORY, "examples", name)) as f:
            put("config", name, f.read())
    put("config", "strings", 'run { name = "a\\x07b\\$\\101" directory = \'x${y}\' } # c\n/* d */ // e\n'
        'data source { format = "glyphs" classes = {"a", b, "c,d"} x_min = -1e+0 invert = true }\n'
        'model { type = "layers" layers = {"conv filters=4", "relu", "head"} widths = {1, 2} }\n'
        'stage a-b { method = maml data = source rate = 1e-3 }\nevaluate { data = {source} }\n')
    put("config", "lists", "data a { format = sinusoid classes = {} classes += {x} }\nrun {}\n"
        "stage s { method = fomaml data = a rotations = none }\n")
    put("config", "models", "model/**/{ filters = 3 }\nmodel # {\nteacher { type = mlp }\ndata model {}\n"
        "stage s { data = model model = teacher }\n")


def put_lines():
    put("sets", "numbers", "run.seed=3\nstage.meta.rounds=100\nstage.meta.rate=1e-3\nmodel.widths=1,2,3")
    put("sets", "texts", "evaluate.data=source,other\ndata.other.rotations=draw\nrun.name=a\"b\\$\x01\ncluster.lease=2.5")
    put("sets", "models", "model.filters=3\nmodel.teacher.widths=4\nstage.meta.model=teacher")
    put("sets", "wrong", "stage.mata.rounds=1")
    put("options", "train", "cluster.conf\n--set\nrun.seed=3\n--set=a.b=c\n--resume\n--run\nruns/x\n--quiet")
    put("options", "evaluate", "c.conf\n--checkpoint=f\n--episodes\n1000\n--domain=target\n--json")
    put("options", "gradient", "c.conf\n--stage=meta\n--params=p\n--task=t\n--out=g\n--data-root=d")
    put("options", "check", "c.conf\n--tasks=3\n--gradients\n--print-config\n--markdown")
    put("options", "help", "-h")
    put("options", "wrong", "a\nb\n--episodes=0\n--epsiodes=9\n--json=1\n--")
    put("names", "tails", "a/one\na/two\nb/one\nc\n  d \r\n\0two\n\nb/one\nc\n")
    put("names", "wrong", "a/one\nb/one\nc\nd\n\0one\nd\nx")
    put("names", "same", "a\na\nx/a\n\0a\n")


def put_recall():
    whole = {"shape": [28, 28, 1], "classes": 2, "samples": 9, "targets": 0, "grid": 0}
    looks = {"mean": 0.5, "deviation": 0.25, "border": 1, "heights": [20, 30], "widths": [20, 30], "grey": 9, "colour": 0}
    put("recall", "named", json.dumps({"d": {**whole, "names": ["cat", "d\u00f6g"], "looks": looks}, "e": whole}))
    put("recall", "series", json.dumps({"e": {**whole, "shape": [1, 1, 3], "classes": 1 << 31, "targets": 2, "grid": 100}}))
    put("recall", "wrong", json.dumps({"d": {**whole, "classes": 3, "names": ["a", "b"]}, "e": {**whole, "shape": [1, 0, 1]}}))
    put("recall", "list", "[]")


def put_metrics():
    line = '{{"run": "a", "stage": "meta", "stage_index": {}, "round": {}, "name": "train/loss", "value": 0.5}}\n'
    put("metrics", "rounds", b"\0\3" + "".join(line.format(0, i) for i in range(6)).encode())
    put("metrics", "stages", b"\1\1" + (line.format(0, 9) + '{"event": "start"}\n' + line.format(1, 1) +
                                        line.format(1, 2)).encode())
    put("metrics", "torn", b"\0\7" + (line.format(0, 1) + line.format(0, 2)[:40]).encode())
    put("metrics", "odd", b'\0\7[]\n1\n"a"\n{"round": "x", "stage_index": -1}\n{"round": 1e99}\n\n')


def put_csv():
    rows = "t,when,x1,x2,y,z\na,2026-11-27T18:30:00.5Z,1,-2e3,3,4\nb,2026-11-27 18:30,0.5,6,,NA\na,2026-01-01,1,1,1,1\n"
    put("csv", "rows", b"\x00" + "a;b\r\n1;2\r\n".encode())
    put("csv", "task", b"\x41" + rows.encode())
    put("csv", "time", b"\xe3" + rows.encode())
    put("csv", "label", b"\x30" + rows.encode())
    put("csv", "holes", b"\x85" + 't,"x ""1""",y\n\n"a\nb",,2\nc, 7 ,null\n'.encode())
    put("csv", "window", b"\x88" + ("x,y\n" + "1,2\n" * 5).encode())
    put("csv", "empty", b"\x41")
    put("csv", "comma", b"\x00" + "a;b\n1,5;2\n".encode())
    put("csv", "mark", b"\x00\xef\xbb\xbfa\tb\n1\t2\n")


# --- arrays

def npy(array, version=(1, 0)):
    f = io.BytesIO()
    np.lib.format.write_array(f, array, version=version)
    return f.getvalue()


def idx(array, code):
    return struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pair(images, labels):
    return struct.pack("<H", len(images)) + images + labels


PIXELS = (np.arange(4 * 3 * 4) * 37 % 256).astype(np.uint8).reshape(4, 3, 4)
LABELS = np.array([1, 0, 2, 0])


def put_arrays():
    put("npy", "bytes", pair(npy(PIXELS), npy(LABELS.astype("<i8"))))
    put("npy", "floats", pair(npy((PIXELS / 255).astype("<f4")), npy(LABELS.astype(">u2"))))
    put("npy", "doubles", pair(npy(PIXELS[:2, :2, :2] / 255, (2, 0)), npy(LABELS[:2].astype("u1"), (3, 0))))
    put("npy", "colour", pair(npy(np.zeros((2, 2, 2, 3), np.uint8)), npy(LABELS[:2].astype("<i4"))))
    put("npy", "fortran", pair(npy(np.asfortranarray(PIXELS)), npy(LABELS)))
    put("npy", "structure", pair(npy(np.zeros(3, [("a", "<i4"), ("b", "<f8")])), b""))
    images, labels = idx(PIXELS, 8), idx(LABELS.astype("u1"), 8)
    packed = gzip.compress(images, mtime=0)
    put("idx", "plain", pair(images, labels))
    put("idx", "gz", pair(packed, gzip.compress(labels, mtime=0)))
    put("idx", "stored", pair(gzip.compress(images, 0, mtime=0), idx(LABELS.astype(">i4"), 12)))
    put("idx", "short", pair(packed[:-9], labels))
    put("idx", "floats", pair(idx(PIXELS.astype(">f4"), 13), labels))


# --- PNG and archives

def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(w, h, depth, colour, rows, interlace=0, extra=b""):
    header = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def lines(h, n_bytes, step=31):
    return b"".join(bytes([y % 5]) + bytes((x * step + y * 7) % 256 for x in range(n_bytes)) for y in range(h))


GREY = png(4, 3, 8, 0, lines(3, 4))


def put_png():
    palette = chunk(b"PLTE", bytes(range(12)))
    put("png", "grey", GREY)
    put("png", "bits", png(9, 2, 1, 0, lines(2, 2)))
    put("png", "deep", png(3, 2, 16, 0, lines(2, 6), extra=chunk(b"tRNS", b"\0\1")))
    put("png", "colour", png(3, 2, 8, 2, lines(2, 9), extra=chunk(b"gAMA", struct.pack(">I", 45455))))
    put("png", "palette", png(5, 2, 2, 3, lines(2, 2), extra=palette + chunk(b"tRNS", b"\0\x80")))
    put("png", "alpha", png(2, 2, 8, 6, lines(2, 8), extra=chunk(b"tEXt", b"a\0b")))
    put("png", "grey-alpha", png(2, 2, 16, 4, lines(2, 8)))
    # Adam7 of 5 x 5 grey: passes of 1x1, 1x1, 2x1, 1x2, 3x1, 2x3, 5x2 pixels.
    passes = [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)]
    put("png", "interlaced", png(5, 5, 8, 0, b"".join(lines(h, w) for w, h in passes), 1))
    put("png", "cut", GREY[:-20])


JPEGS = {  # 11 x 9 pixels, made by cjpeg and libjpeg
    "grey": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//wAALCAAJAAsBAREA/8QAFwAAAwEAAAAAAAAAAAAAAAAAAAECBf/EACcQAAECAwUJAAAAAAAAAAAAAAECAwAEEQUGEhMhBzEz"
        "QUVhcYPD/9oACAEBAAA/AKs668vKMZ82pphlFMTjqglIqaCpOm8wLvBd1lWW3Lz0wlIFHWmQEq05YlA9tRD2m9E9/wA4wmeEnxH/2Q=="),
    "colour": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAAR"
        "CAAJAAsDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAgEF/8QAJRAAAQMCAwkAAAAAAAAAAAAAAgEDBAAFERIzBgchMXFygcLw/8QA"
        "FQEBAQAAAAAAAAAAAAAAAAAAAAH/xAAeEQACAgAHAAAAAAAAAAAAAAABAgAREhMhMkFhgf/aAAwDAQACEQMRAD8AVqsEaBDKXMIGWGkxMz4I"
        "n3KoW1UUVyxrY+40iJlJSQcfGC0N4mlZe530rPY0A6Vcsuq2x8JHPWsPhU7bn//Z"),
    "progressive": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgAR"
        "CAAJAAsDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAQT/xAAUAQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIQAxAAAAFCc//EABoQ"
        "AAICAwAAAAAAAAAAAAAAAAIDADEBBRT/2gAIAQEAAQUCUgQDqGbGsV//xAAXEQEAAwAAAAAAAAAAAAAAAAABABFB/9oACAEDAQE/AWjJ/8QA"
        "GBEAAgMAAAAAAAAAAAAAAAAAAAEREiH/2gAIAQIBAT8BrKWn/8QAHBAAAQMFAAAAAAAAAAAAAAAAAQACAxASISKB/9oACAEBAAY/Arn4AWsZ"
        "IUPaf//EABsQAQACAgMAAAAAAAAAAAAAAAEAESExQaHB/9oACAEBAAE/IVTG8sTxwxup2fE1z//aAAwDAQACAAMAAAAQS//EABYRAAMAAAAA"
        "AAAAAAAAAAAAAAARQf/aAAgBAwEBPxByj//EABoRAQABBQAAAAAAAAAAAAAAAAERACFBYYH/2gAIAQIBAT8QlMXFM6vX/8QAHBAAAgEFAQAA"
        "AAAAAAAAAAAAAREAECExgaHw/9oACAEBAAE/EB5LduB7EIJ0BgNpGifPP//Z"),
    "arithmetic": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//yQAR"
        "CAAJAAsDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDBg6uZl73NJpbrE22J8LSU9P45kx1XWOBNoS58ROuoQCS2lpHdYp/L"
        "Pjtz+ofA9mHYrw2rpXpLvpIweXESqWJaAVVZ76BTL0v5VvzqAcfHM//Z"),
    "restart": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAAR"
        "CAAJAAsDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAgEF/8QAJRAAAQMCAwkAAAAAAAAAAAAAAgEDBAAFERIzBgchMXFygcLw/8QA"
        "FQEBAQAAAAAAAAAAAAAAAAAAAAH/xAAeEQACAgAHAAAAAAAAAAAAAAABAgAREhMhMkFhgf/dAAQAAf/aAAwDAQACEQMRAD8AVqsEaBDKXMIG"
        "WGkxMz4In3KoW1UUVyxrY+40iJlJSQcfGC0N4mlZe530rPY0A6Vcsuq2x8JHPWsPhU7bn//Z"),
    "turned": (
        "/9j/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExIS"
        "EyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk//wAALCAAJAAsBAREA/8QAFwAAAwEAAAAAAAAAAAAAAAAAAAEC"
        "Bf/EACcQAAECAwUJAAAAAAAAAAAAAAECAwAEEQUGEhMhBzEzQUVhcYPD/9oACAEBAAA/AKs668vKMZ82pphlFMTjqglIqaCpOm8wLvBd1lWW"
        "3Lz0wlIFHWmQEq05YlA9tRD2m9E9/wA4wmeEnxH/2Q=="),
    "cmyk": (
        "/9j/7gAOQWRvYmUAZAAAAAAC/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBXQUZMTlJTUjI+WmFa"
        "UGBKUVJP/9sAQwEODg4TERMmFRUmTzUtNU9PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09P/8AAFAgA"
        "CQALBAEiAAIRAQMRAQQiAP/EABcAAAMBAAAAAAAAAAAAAAAAAAECBQP/xAArEAABAwMCBAQHAAAAAAAAAAABAgMEAAUREiEGMTNxBzQ2QVFy"
        "dIGywvD/xAAVAQEBAAAAAAAAAAAAAAAAAAAAAf/EAB0RAAICAQUAAAAAAAAAAAAAAAECABFBEhMhMoH/2gAOBAEAAhEDEQQAAD8AS63+TPmJ"
        "iQ0refdOEIRuT/c6KeFZShqk3Nht0k6khJVj75FP4d9W9fK1+9UH+uvvU3AjNSj0A4vPEJqYdqgsUdqy2Z65Pt6kx0agncalckpyAcZJAzjb"
        "NRH4ci6PuT5Y1PSFFauZA+AGcnAGwHsAKscT+lYP1qPwXW8Pyjfav//Z"),
}


def put_jpeg():
    for name, text in JPEGS.items():
        put("jpeg", name, base64.b64decode(text))
    put("jpeg", "cut", base64.b64decode(JPEGS["colour"])[:-9])


def zipped(members, method=zipfile.ZIP_STORED):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", method) as z:
        for name, content in members:
            z.writestr(zipfile.ZipInfo(name), content, method)
    return f.getvalue()


def tarred(members, form=tarfile.USTAR_FORMAT):
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode="w", format=form) as t:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    plain = f.getvalue().rstrip(b"\0")
    return plain + bytes(-len(plain) % 512 + 1024)


def put_archives():
    arrays = [("images.npy", npy(PIXELS)), ("labels.npy", npy(LABELS))]
    put("npz", "stored", zipped(arrays))
    put("npz", "deflated", zipped(arrays, zipfile.ZIP_DEFLATED))
    put("npz", "more", zipped([("other.npy", npy(LABELS))] + arrays, zipfile.ZIP_DEFLATED))
    put("npz", "missing", zipped(arrays[1:]))
    pictures = [("a/1.png", GREY), ("b/c/1.png", GREY), ("a/notes.txt", b"x")]
    put("zip", "stored", zipped(pictures))
    put("zip", "deflated", zipped(pictures + [(".hidden/1.png", b""), ("./b/2.PNG", GREY)], zipfile.ZIP_DEFLATED))
    put("zip", "flat", zipped([("1.png", GREY)]))
    put("zip", "jpeg", zipped([("a/1.JPG", base64.b64decode(JPEGS["colour"])), ("a/2.jpeg", GREY)]))
    put("zip", "sizes", zipped([("a/1.png", GREY), ("a/2.png", png(2, 2, 8, 0, lines(2, 2)))]))
    put("tar", "plain", tarred(pictures[:2]))
    put("tar", "pax", tarred([("a/" + "n" * 110 + ".png", GREY)], tarfile.PAX_FORMAT))
    put("tar", "gnu", tarred([("a/" + "n" * 110 + ".png", GREY)], tarfile.GNU_FORMAT))
    put("tar", "gz", gzip.compress(tarred(pictures), mtime=0))
    put("tar", "gz-short", gzip.compress(tarred(pictures), mtime=0)[:-5])


# --- safetensors

def tensors(entries, texts=None, pad=0):
    header, data = {}, b""
    if texts is not None:
        header["__metadata__"] = texts
    for name, kind, array in entries:
        begin = len(data)
        data += array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + data


def put_safetensors():
    network = [("fc1.weight", "F32", np.arange(6, dtype="<f4").reshape(3, 2)), ("fc1.bias", "F32", np.zeros(3, "<f4")),
               ("head.weight", "F32", np.ones((2, 3), "<f4")), ("head.bias", "F32", np.zeros(2, "<f4"))]
    adam = [(f"optimizer.exp_avg.{n}", k, a) for n, k, a in network]
    texts = {"stage": "1", "round": "20", "seed": "3", "theta": "00ff00ff00ff00ff", "configuration": "run { }"}
    put("safetensors", "network", tensors(network, {"format": "pt"}))
    put("safetensors", "state", tensors(network + adam, texts))
    put("safetensors", "types", tensors([("a", "F64", np.ones(2)), ("b", "I64", np.arange(3)),
                                         ("c", "I32", np.zeros((1, 2, 1), "<i4")), ("d", "U8", np.zeros(0, "u1")),
                                         ("e", "F32", np.float32(3))], pad=9))
    put("safetensors", "halves", tensors([("fc1.weight", "F16", np.arange(6, dtype="<f2").reshape(3, 2)),
                                          ("fc1.bias", "BF16", np.arange(3, dtype="<u2")), ("head.weight", "F64", np.ones((2, 3))),
                                          ("head.bias", "F16", np.zeros(2, "<f2"))]))
    put("safetensors", "names", tensors([("module.features.10.bias", "F32", np.zeros(2, "<f4")),
                                         ("module.features.10.weight", "F32", np.ones((2, 3), "<f4")),
                                         ("module.features.2.bias", "F32", np.zeros(3, "<f4")),
                                         ("module.features.2.weight", "F32", np.ones((3, 2), "<f4")),
                                         ("module.n.num_batches_tracked", "I64", np.array(3))]))
    put("safetensors", "digest", tensors([], {"digest_kind": "xxh64", "digest": "0123456789abcdef"}))
    put("safetensors", "strange", tensors(network[:2] + [("x", "C64", np.zeros(2, "<c8"))]))


# --- messages: protobuf by hand

def varint(x):
    out = b""
    while x > 127:
        out, x = out + bytes([x & 127 | 128]), x >> 7
    return out + bytes([x])


def field(n, value):
    if isinstance(value, int):
        return varint(n << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(n << 3 | 2) + varint(len(value)) + value


def task(way, shot, query, round_=7):
    ids = lambda n: b"".join(varint(i * 77) for i in range(n))
    return b"".join(field(n, v) for n, v in [
        (1, 1), (2, 1), (3, round_), (4, 3), (5, 1 << 40), (6, way), (7, shot), (8, query), (9, ids(way)),
        (10, bytes(i % 4 for i in range(way))), (11, ids(way * shot)), (12, ids(way * query)), (13, "maml")])


def put_messages():
    hello = [(1, "0.1"), (2, "host"), (3, 99), (4, 2), (5, "cpu"), (6, "Haswell"), (7, 1 << 60), (8, 5), (9, "no"), (10, 1 << 33)]
    put("wire", "given", b"\0" + field(1, b"\0\5\7\1") + field(2, 1))
    put("wire", "given-last", b"\0" + field(2, 1))
    put("wire", "given-wrong", b"\0" + field(1, b"\7\0") + field(1, varint(2 ** 32 - 1) + b"\2"))
    put("wire", "task", b"\1" + task(5, 2, 3))
    batches = field(14, 2) + field(15, bytes(range(8))) + field(16, bytes(range(6)))
    put("wire", "task-batches", b"\1" + field(3, 7) + batches)
    put("wire", "task-both", b"\1" + task(5, 2, 3) + batches)
    put("wire", "task-wrong", b"\1" + task(5, 2, 3).replace(field(6, 5), field(6, 4)))
    put("wire", "task-unpacked", b"\1" + field(6, 2) + b"".join(field(n, 1) for n in (9, 9, 10, 10)))
    put("wire", "hello", b"\2" + b"".join(field(n, v) for n, v in hello))
    put("wire", "welcome", b"\3" + field(1, "run { name = \"x\" }") + field(2, "/data"))
    put("wire", "done", b"\5" + field(1, 17) + b"\x11" + bytes(range(1, 9)))
    put("wire", "failed", b"\6" + field(1, b"\3\7\x0b") + field(2, 5))
    put("wire", "bye", b"\4" + field(1, 14) + field(2, "a rank was lost"))
    put("wire", "alive", b"\7" + field(1, 9) + b"".join(bytes([n << 3 | 1]) + struct.pack("<d", n) for n in (2, 3, 4, 5)))
    frames = bytes([3, 0, 0, 0, 1, 4])  # 130 words: widths and shifts
    blocks = bytes(range(192)) + bytes(64)
    put("wire", "sum", b"\x08" + bytes([130]) + frames + b"\xff" * (64 - len(frames)) + blocks)
    put("wire", "sum-short", b"\x08" + bytes([130]) + frames + b"\xff" * (64 - len(frames)) + blocks[:-1])
    put("wire", "sum-wide", b"\x08" + bytes([1]) + bytes([9, 64]) + b"\xff" * 62 + bytes(576))


def put_stream():
    key = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
    put("stream", "secret", f"\0metaloop-secret-key {key}\n")
    put("stream", "public", f"\1# observers\n\nmetaloop-public-key {key}\nmetaloop-public-key {key[::-1]} \r\n")
    put("stream", "short", f"\1metaloop-public-key {key[:39]}\n")
    put("stream", "text", "\2warning: rank 3 on host 'größe' \U0001f600".encode() + b"\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xff")


def put_observe():
    """A first byte of 0: lines of metrics.jsonl; else a frame of the stream."""
    lines = ['{"kind":"stage","stage":"meta","stage_index":0,"from_round":0,"rounds":9,"method":"maml","parameters":5,"ranks":2}',
             '{"kind":"round","stage":"meta","stage_index":0,"round":1,"loss":0.5,"accuracy":null,"tasks":4,"failed":1,"seconds":0.1,'
             '"support_losses":[0.9,null,1],"support_accuracies":[]}',
             '{"kind":"evaluation","stage":"meta","stage_index":0,"round":1,"data":"a","step":1,"episodes":6,"accuracy":0.5,"accuracy_ci95":0.1}',
             '{"kind":"watch","stage":"meta","stage_index":0,"round":1,"target":"b","score":0.5,"collapsed":1}',
             '{"kind":"rank","what":"lost","rank":1,"host":"\\u001bh","text":"gone","in_round":1}',
             '{"kind":"end","digest":"00ff","loss":0.5}']
    put("observe", "lines", "\0" + "\n".join(lines) + "\n")
    put("observe", "back", "\0" + "\n".join([lines[1].replace('"round":1', f'"round":{n}') for n in (1, 2, 3, 2, 9, 1)]))
    put("observe", "odd", '\0[]\n{"kind":1}\n{"kind":"round","stage_index":-1,"round":1}\n{"kind":"new","stage_index":63,"round":-1,"x":true}\n')
    double = lambda n, bytes_: varint(n << 3 | 1) + bytes_
    event = lambda n, body, seq: field(1, 1) + field(2, "run") + double(3, b"incarnat") + field(4, seq) + double(5, bytes(8)) + field(n, body)
    pack = lambda *events: b"\1" + b"".join(field(1, e) for e in events)
    half = b"\0\0\0\0\0\0\xe0\x3f"
    plan, host = field(1, "meta") + field(2, "maml") + field(3, 9), field(1, "node") + field(2, 2)
    worker = field(1, 3) + field(2, "node") + field(3, "working") + field(5, 17) + double(6, bytes(8))
    put("observe", "run", pack(event(10, field(1, "x") + field(4, "run { }") + field(12, plan) + field(12, plan) + field(13, host), 1),
                               event(22, field(1, worker) + field(1, worker), 2)))
    put("observe", "rounds", pack(*(event(12, field(1, "meta") + field(3, n) + double(5, half) + field(17, half + half), n) for n in (1, 2, 9)),
                                  event(21, field(8, 1) + field(9, "why"), 10), event(25, field(1, 4), 10)))


for write in put_observe, put_config, put_lines, put_csv, put_recall, put_metrics, put_arrays, put_png, put_jpeg, put_archives, put_safetensors, put_messages, put_stream:
    write()
