"""An independent reader of TensorBoard's event files: every checksum checked, protobuf's wire format decoded by hand.

    for event in tfevents.read(path): event.step, event.wall_time, event.version, event.values {tag: number or text}"""
import struct

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


class Broken(Exception):
    pass


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise Broken(f"byte {at}: part of a record")
        (length,), (check,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<I", data, at + 8)
        if masked(data[at:at + 8]) != check:
            raise Broken(f"byte {at}: the length's checksum is wrong")
        body = data[at + 12:at + 12 + length]
        if len(body) < length or at + 16 + length > len(data):
            raise Broken(f"byte {at}: part of a record")
        if masked(body) != struct.unpack_from("<I", data, at + 12 + length)[0]:
            raise Broken(f"byte {at}: the checksum is wrong")
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message: an integer, or bytes of 4, 8 or any length."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def one(data, *path):
    """The value at a path of field numbers, None where it is not there."""
    for number in path:
        found = [value for n, value in fields(data) if n == number]
        if not found:
            return None
        data = found[-1]
    return data


class Event:
    def __init__(self, data):
        self.wall_time = struct.unpack("<d", one(data, 1))[0]
        self.step = one(data, 2) or 0
        self.version = one(data, 3)
        self.values = {}
        for number, value in fields(one(data, 5) or b""):
            assert number == 1
            self.add(value)

    def add(self, value):
        tag = one(value, 1).decode()
        scalar, tensor = one(value, 2), one(value, 8)
        if scalar is not None:
            self.values[tag] = struct.unpack("<f", scalar)[0]
        elif tensor is not None:
            assert one(tensor, 1) == 7 and one(value, 9, 1, 1) == b"text"
            self.values[tag] = one(tensor, 8).decode()
        else:
            self.values[tag] = 0.0  # proto3 leaves zeros out of a message, but not of a oneof


def read(path):
    return [Event(body) for body in records(path)]
