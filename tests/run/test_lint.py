"""tests/lint.py on small trees: each rule tells the file that breaks it, and leaves the one that does not."""
import os
import re
import sys

import cli
import pytest

LINT = os.path.join(cli.ROOT, "tests", "lint.py")


def lint_lines(root, files):
    """What it says about these files {path: text}: (path, line, message) of each violation."""
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    run = cli.execute([sys.executable, LINT, str(root)])
    assert run.rc in (0, 1) and not run.err, run
    found = re.findall(r"^([\w/.]+):(\d+): (?!note: )(.*)", run.out, re.M)
    return [(path, int(line), message) for path, line, message in found]


def lint(root, files):
    """Likewise: (path, message) of each."""
    return [(path, message) for path, _, message in lint_lines(root, files)]


def include(*headers):
    return "".join(f'#include "{h}"\n' for h in headers) + "\n"


def function(name, *called):
    return f"int {name}(void)\n{{\n    return 0{''.join(f' + {c}()' for c in called)};\n}}\n"


def header(*names):
    return "".join(f"int {n}(void); /* Something. */\n" for n in names)


@pytest.mark.parametrize("path, target", [
    ("core/base/a.h", "core/math/b.h"), ("core/math/a.c", "core/config/b.h"), ("core/config/a.c", "core/math/b.h"),
    ("core/math/layer/a.c", "core/data/b.h"), ("core/data/a.c", "core/file/b.h"), ("core/file/a.c", "core/plan/b.h"),
    ("core/plan/a.c", "proto/b.h"), ("proto/comm/a.c", "proto/stream/b.h"), ("proto/stream/a.c", "proto/comm/b.h"),
    ("proto/a.c", "proto/comm/b.h"), ("worker/inner/a.c", "worker/contract/b.h"),
    ("worker/contract/a.c", "worker/transfer/b.h"), ("worker/transfer/a.c", "worker/method/b.h"), ("worker/a.c", "coordinator/crew/b.h"),
    ("coordinator/crew/a.c", "coordinator/run/b.h"), ("coordinator/run/a.c", "worker/b.h"),
    ("observer/model/a.c", "observer/view/b.h"), ("launch/a.c", "observer/view/b.h"), ("core/plan/a.c", "tests/lib/b.h")])
def test_directions_between_rooms(tmp_path, path, target):
    room = os.path.dirname(path).replace("core/math/layer", "core/math")
    told = lint(tmp_path, {path: include(target), target: header("b")})
    assert (path, f"'{room}' may not include '{target}'") in told, told
    # The other way is open, but from tests.
    if not target.startswith("tests/") and (room, os.path.dirname(target)) not in {
            ("core/math", "core/config"), ("core/config", "core/math"), ("proto/comm", "proto/stream"),
            ("proto/stream", "proto/comm"), ("worker", "coordinator/crew"), ("coordinator/run", "worker"),
            ("core/data", "core/file"), ("launch", "observer/view"), ("proto", "proto/comm")}:
        back = target.replace(".h", ".c")
        told = lint(tmp_path, {path: "", back: include(path.replace(".c", ".h")), path.replace(".c", ".h"): header("a")})
        assert not [m for p, m in told if "may not include" in m], told


def test_paths_of_includes_start_at_the_root(tmp_path):
    told = lint(tmp_path, {"core/base/a.c": include("base/b.h")})
    assert ("core/base/a.c", "'base/b.h': paths of includes start at the root") in told


def circles(told):
    return [(p, m) for p, m in told if "in a circle" in m]


def test_files_that_include_each_other(tmp_path):
    told = circles(lint(tmp_path, {"core/file/a.h": header("a"), "core/file/a.c": include("core/file/a.h", "core/file/b.h"),
                                   "core/file/b.h": include("core/file/c.h"), "core/file/c.h": include("core/file/a.h")}))
    assert told == [("core/file/a", "core/file/a, core/file/b, core/file/c include each other in a circle: core/file/a -> "
                                    "core/file/b; core/file/b -> core/file/c; core/file/c -> core/file/a")]


def test_files_that_call_each_other(tmp_path):
    files = {"core/file/all.h": header("a", "b", "c"),
             "core/file/a.c": include("core/file/all.h") + function("a", "b"),
             "core/file/b.c": include("core/file/all.h") + function("b", "c"),
             "core/file/c.c": include("core/file/all.h") + function("c", "a")}
    assert circles(lint(tmp_path, files)) == [
        ("core/file/a", "core/file/a, core/file/b, core/file/c call each other in a circle: core/file/a -> core/file/b (b); "
                        "core/file/b -> core/file/c (c); core/file/c -> core/file/a (a)")]


@pytest.mark.parametrize("c", [
    'static int a(void)\n{\n    return 1;\n}\n\nint c(void)\n{\n    return a();\n}\n',  # of its own
    "int c(struct thing *t)\n{\n    return t->a + t->x.a;\n}\n",  # a member
    "int c(int a)\n{\n    return a;\n}\n",  # a parameter
    'int c(void)\n{\n    /* a() */\n    return puts("a()");\n}\n'])  # talk
def test_what_is_no_call_makes_no_circle(tmp_path, c):
    files = {"core/file/all.h": header("a", "c"), "core/file/a.c": include("core/file/all.h") + function("a", "c"),
             "core/file/c.c": include("core/file/all.h") + c}
    assert circles(lint(tmp_path, files)) == []


def test_a_call_by_way_of_a_table_counts(tmp_path):
    files = {"core/math/table.c": "extern const struct ops ops_a;\nconst struct ops *const all[] = {&ops_a};\n",
             "core/math/table.h": "extern const struct ops *const all[]; /* Ended by NULL. */\n",
             "core/math/a.c": include("core/math/table.h") + "const struct ops ops_a = {run};\n\n" + function("run", "all")}
    assert len(circles(lint(tmp_path, files))) == 1


def test_the_interior_of_a_file_is_no_circle(tmp_path):
    files = {"core/file/a.h": header("a"), "core/file/a_internal.h": include("core/file/a.h"),
             "core/file/a.c": include("core/file/a_internal.h") + function("a"),
             "core/file/b.c": include("core/file/a_internal.h") + function("b", "a")}
    assert circles(lint(tmp_path, files)) == []


def test_a_tag_means_one_thing(tmp_path):
    told = lint(tmp_path, {"core/file/a.c": "struct part {\n    int x;\n};\n", "launch/b.h": "enum part { ONE };\n",
                           "tests/unit/c.c": "struct part {\n    int x;\n};\n", "launch/d.c": "struct part *p;\n"})
    assert [m for m in told if "another name" in m[1]] == [
        ("launch/b.h", "'enum part' is also in core/file/a.c:1: one of them needs another name")]


@pytest.mark.parametrize("text, unsaid", [
    ("int a(void);\n", [1]),
    ("/* Does a. */\nint a(void);\n", []),
    ("int a(void); /* Does a. */\n", []),
    ("int a(int x,\n      int y); /* Does a. */\n", []),
    ("/* Both do it. */\nint a(void);\nint b(int x,\n      int y);\n", []),
    ("/* Does a. */\nint a(void);\n\nint b(void);\n", [4]),
    ("int a(void); /* Does a. */\nint b(void);\n", [2]),
    ("struct s {\n    int (*call)(int x); /* a slot */\n};\nint a(void);\n", [4]),
    ("static inline int a(void)\n{\n    return 1;\n}\n", [1]),
    ("typedef int call(int x);\n#define A(x) f(x)\nextern const int a[]; /* Numbers. */\n", []),
    ("_Static_assert(sizeof(int) == 4, \"as on every machine\");\n", [])])
def test_a_prototype_has_a_comment(tmp_path, text, unsaid):
    assert lines_told(tmp_path, {"core/file/a.h": text}, "a prototype without a comment") == unsaid
    assert lines_told(tmp_path, {"core/file/a.h": "", "core/file/a.c": text}, "a prototype without a comment") == []


def lines_told(root, files, message):
    return [line for _, line, m in lint_lines(root, files) if message in m]


def test_a_comment_fits_in_100_columns(tmp_path):
    fits, wide = "/* " + 94 * "x" + " */", "/* " + 95 * "x" + " */"
    text = f"{fits}\n{wide}\n/* x\n *{98 * 'y'}\n *{99 * 'y'}\n */\n" + f'const char *a = "{100 * "z"}";\n'
    assert lines_told(tmp_path, {"core/file/a.c": text}, "a comment that ends in column 101, beyond 100") == [2, 5]
