"""safetensors files as numpy arrays (Debian has no python3-safetensors)."""
import json
import struct

import numpy as np

DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "F16": np.float16}
NAMES = {np.dtype(d): name for name, d in DTYPES.items()}


def save(path, arrays, texts=None, kinds=None):
    """arrays: {name: array}, written in that order; texts: {key: value} for __metadata__; kinds: what to call their type."""
    header, blobs, at = {"__metadata__": texts} if texts else {}, [], 0
    for name, array in arrays.items():
        array = np.asarray(array, order="C")
        header[name] = {"dtype": kinds or NAMES[array.dtype], "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        blobs.append(array.tobytes())
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load(path, with_texts=False):
    """{name: array}, and the texts of __metadata__ if asked for."""
    with open(path, "rb") as f:
        data = f.read()
    (n,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + n])
    texts, arrays = header.pop("__metadata__", {}), {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        arrays[name] = np.frombuffer(data[8 + n + begin:8 + n + end], DTYPES[t["dtype"]]).reshape(t["shape"]).copy()
    return (arrays, texts) if with_texts else arrays
