"""Every event that the program tells has the fields that the schema knows, and none else: a key that is spelt differently would
have the whole event dropped while a run goes on."""
import glob
import os
import re

import pytest

import cli
import stream

BLOCK = re.compile(r"struct field (\w+)\[\] = \{(.*?)\{0\},?\s*\};", re.S)
FIELD = re.compile(r"\b(TEXT|INTEGER|NUMBERS|NUMBER|LIST|METRICS)\(\s*([^,]*)", re.S)
PARTS = {"plan": "Plan", "at": "Host", "of": "Worker", "one": "Metric"}  # arrays of fields that are parts of an event


def types_of(field):
    """The words that may fill a field of the schema."""
    repeated, kind = field.label == field.LABEL_REPEATED, field.type
    if kind == field.TYPE_MESSAGE:
        return {"METRICS" if field.message_type.name == "Metric" else "LIST"} if repeated else set()
    if kind == field.TYPE_STRING:
        return {"TEXT"}
    if repeated:
        return {"NUMBERS"} if kind == field.TYPE_DOUBLE else set()
    return {"NUMBER", "INTEGER"} if kind == field.TYPE_DOUBLE else {"INTEGER"}


def told():
    """(place, kind or message, [(word, key)]) of every array of fields in the sources."""
    for path in sorted(glob.glob("coordinator/**/*.c", root_dir=cli.ROOT, recursive=True) +
                       glob.glob("proto/**/*.c", root_dir=cli.ROOT, recursive=True)):
        with open(os.path.join(cli.ROOT, path)) as f:
            text = re.sub(r'own_mean\([^"]*("\w+")\)', r"NUMBER(\1, 0)", f.read())  # a method's own
            text = re.sub(r"\b\w+->kind->units\b|\bunits\b", '"samples" "episodes"', text)  # whichever a kind counts
        for block in BLOCK.finditer(text):
            place = f"{path}:{text.count(chr(10), 0, block.start()) + 1}"
            keys = [(word, key) for word, first in FIELD.findall(block[2]) for key in re.findall(r'"(\w+)"', first)]
            if block[1] in PARTS:
                yield place, PARTS[block[1]], keys
                continue
            kind = re.search(r'"(\w+)",\s*%s\)' % block[1], text[block.end():])
            assert kind, f"{place}: who emits this?"
            yield place, kind[1], keys


TOLD = list(told())
assert TOLD


@pytest.mark.parametrize("place, name, keys", TOLD, ids=[f"{place} {name}" for place, name, _ in TOLD])
def test_each_key_is_in_the_schema(place, name, keys):
    event = stream.schema().Event.DESCRIPTOR
    message = event.nested_types_by_name.get(name) or event.fields_by_name[name].message_type
    assert keys, place
    for word, key in keys:
        assert key in message.fields_by_name, f"{place}: '{message.name}' has no '{key}'"
        assert word in types_of(message.fields_by_name[key]), f"{place}: '{key}' is no {word}"


def test_each_field_of_the_schema_is_told():
    event = stream.schema().Event.DESCRIPTOR
    kinds = {field.name: field.message_type for field in event.oneofs_by_name["what"].fields}
    found = {}
    for _, name, keys in TOLD:
        found.setdefault(name, set()).update(key for _, key in keys)
    messages = {**kinds, **{name: event.nested_types_by_name[name] for name in PARTS.values()}}
    assert set(found) == set(messages)
    for name, message in messages.items():
        assert found[name] == set(message.fields_by_name), name


def test_the_scan_misses_nothing():
    """As many calls that emit as arrays that were found, in the files that emit."""
    calls = 0
    for path in glob.glob("coordinator/**/*.c", root_dir=cli.ROOT, recursive=True):
        with open(os.path.join(cli.ROOT, path)) as f:
            calls += len(re.findall(r"\bsinks?_emit\(", f.read()))
    assert calls == sum(place.startswith("coordinator") and name not in PARTS.values() for place, name, _ in TOLD)
