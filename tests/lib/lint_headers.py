"""Rules of tests/lint.py about names and comments: a struct tag means one thing, a prototype in a header has a comment, a
comment fits in 100 columns."""
import re

import lint_source

COMMENT_MAX = 100
TAG = re.compile(r"^(?:static |const |typedef )*(struct|enum|union) (\w+) \{", re.M)
PROTOTYPE = re.compile(r"^(?!typedef\b|_Static_assert\b)[A-Za-z_][^;{}=#]*?\b\w+\([^;{}]*\)[^;{}=]*(?:;|\n\{)", re.M)
UNSAID = "a prototype without a comment: directly above it, beside it, or above its group, which has no blank line in it"


class Tags:
    """The struct, union and enum tags of all files: each may be defined once."""

    def __init__(self, tell):
        self.tell, self.places = tell, {}

    def add(self, path, lines):
        for found in TAG.finditer("\n".join(lines)):
            self.places.setdefault(found[2], []).append((path, "\n".join(lines).count("\n", 0, found.start()) + 1, found[1]))

    def conclude(self):
        for tag, places in self.places.items():
            for path, line, kind in places[1:]:
                self.tell(path, line, f"'{kind} {tag}' is also in {places[0][0]}:{places[0][1]}: one of them needs another name")


def prototypes(text):
    """(first line, last line) of each function that a header declares, or defines inline."""
    code = lint_source.DIRECTIVE.sub(lint_source.blank, lint_source.without_comments(text))
    for found in PROTOTYPE.finditer(code):
        yield code.count("\n", 0, found.start()) + 1, code.count("\n", 0, found.end() - 1) + 1


def check_comments(path, lines, tell):
    """tell(path, line, message): a violation"""
    for line, message in list(unsaid(path, lines)) + list(wide(lines)):
        tell(path, line, message)


def unsaid(path, lines):
    """(line, message) of each prototype in a header of ours that has no comment."""
    if not path.endswith(".h") or path.startswith("tests/"):
        return
    commented, alone = set(), set()
    for first, comment in lint_source.comments("\n".join(lines)):
        here = range(first, first + comment.count("\n") + 1)
        commented.update(here)
        if lines[first - 1].lstrip().startswith("/"):
            alone.update(here)
    found = list(prototypes("\n".join(lines)))
    inside = {n for first, last in found for n in range(first, last + 1)}
    for first, last in found:
        above = first - 1
        while above in inside and above not in alone:
            above -= 1
        if above not in alone and commented.isdisjoint(range(first, last + 1)):
            yield first, UNSAID


def wide(lines):
    """(line, message) of each line of a comment that is too long."""
    for first, comment in lint_source.comments("\n".join(lines)):
        for n in range(first, first + comment.count("\n") + 1):
            if len(lines[n - 1]) > COMMENT_MAX:
                yield n, f"a comment that ends in column {len(lines[n - 1])}, beyond {COMMENT_MAX}"
