"""What tests/lint.py reads from the text of a C file: its comments, what it includes, what it defines for other files, and
which words it uses. The layout is what clang-format makes of it: what stands at the top level begins in column 0."""
import re

TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
FUNCTION = re.compile(r"^([A-Za-z_](?:(?!\n\n)[^;{}=#])*?)\n\{", re.M)
OBJECT = re.compile(r"^(?!(?:static|extern|typedef|enum)\b)([A-Za-z_][\w \t*]*[ *]\w[\w, *\[\]]*?)[ \t]*[=;]", re.M)
KEYWORDS = "return", "else", "case", "sizeof", "goto", "do"


def blank(found):
    """A comment becomes a blank, a string an empty one; the number of lines stays."""
    return ('""' if found[0][0] in "\"'" else " ") + "\n" * found[0].count("\n")


def without_comments(text):
    return TOKEN.sub(blank, text)


def comments(text):
    """(first line, text) of each comment."""
    for found in TOKEN.finditer(text):
        if found[0][0] == "/":
            yield text.count("\n", 0, found.start()) + 1, found[0]


class Source:
    """The code of a C file.

    shared: names of the functions and objects that it defines for other files; own: those that are static; extern: the
    words of its extern declarations
    """

    def __init__(self, text):
        code = without_comments(text)
        self.includes = [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in INCLUDE.finditer(text)]
        self.code = DIRECTIVE.sub("", code)
        self.shared, self.own = set(), set()
        for found in FUNCTION.finditer(self.code):
            name = re.search(r"(\w+)\s*\(", found[1])
            if name:
                (self.own if re.match(r"(inline )?static\b", found[1]) else self.shared).add(name[1])
        for found in OBJECT.finditer(self.code):
            self.shared.update(re.findall(r"(\w+)(?:\[\w*\])*(?:$|,)", found[1]))
        self.extern = set(re.findall(r"\w+", " ".join(re.findall(r"^extern ([^;]*)", self.code, re.M))))
        # Members and tags are nobody's functions.
        bare = re.sub(r"(\.|->)\s*\w+|\b(struct|enum|union)\s+\w+|^extern [^;]*", r" \2 x", self.code, flags=re.M)
        self.words = set(re.findall(r"\b[A-Za-z_]\w*", bare))
        self.called = set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", bare))
        declared = re.findall(r"\b(\w+)[ \t]+\**(\w+)\s*(?=[;,)=\[:])|\*(\w+)\s*(?=[;,)=\[])", bare)
        self.declared = {a or b for kind, a, b in declared if kind not in KEYWORDS}

    def uses(self, name):
        """Whether it uses what another file defines under this name; a variable or parameter of that name hides it."""
        return name in self.words and name not in self.own and (name not in self.declared or name in self.called)
