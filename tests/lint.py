#!/usr/bin/python3
"""Directions and circles of files, names, comments, sizes, formatting, forbidden words and what shellcheck says. Prints
file:line: message; exit 1 on any.

usage: tests/lint.py [ROOT]
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import lint_headers
import lint_rooms
import lint_source

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))

ONLY_IN = [  # header, who may include it
    (r"mpi\.h", r"proto/comm/mpi\.c|launch/metaloop\.c"),
    (r"zmq\.h", r"proto/stream/(publish|sockets|serve|gate|keys)\.c|observer/.*"),
    (r"(.*/)?[^/]*\.pb-c\.h", r"proto/wire(_hello)?\.c|proto/stream/event\.c|observer/(source/decode|view/tensorboard)\.c"),
    (r"cblas\.h", r"core/math/blas\.h"),
]
FUNCTION_MAX, FUNCTION_NINE_IN_TEN, FUNCTION_MEDIAN = 80, 40, 15
FILE_MAX, FILE_WARN = 600, 300
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
TEXT = (".c", ".h", ".proto", ".py", ".conf", ".sh", ".sbatch", ".html", ".js", ".css")
FLAGS = re.compile(r"-Ofast|-f(?:fast-math|finite-math-only|unsafe-math-optimizations|associative-math)")

violations = []


def violation(path, line, message):
    violations.append((path, line, message))


def is_script(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.read(2) == b"#!"


def files():
    for folder, folders, names in os.walk(ROOT):
        here = [f for f in folders if f not in (".git", "__pycache__", ".pytest_cache")]
        if folder == ROOT:
            here = [f for f in here if f not in ("runs", "data") and not f.startswith("build")]
        folders[:] = sorted(here)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                yield os.path.relpath(path, ROOT)


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read().split("\n")


def check_text(path, lines):
    for n, line in enumerate(lines, 1):
        if line.endswith((" ", "\t", "\r")):
            violation(path, n, "trailing white space")
        if path.endswith((".c", ".h")) and "\t" in line:
            violation(path, n, "a tab")
        found = UNFINISHED.search(line)
        if found:
            violation(path, n, f"'{found[0]}': finish it or leave it out")
    if lines[-1] != "":
        violation(path, len(lines), "no newline at the end of the file")


def check_includes(path, lines):
    """Headers that only some may include, of ours and of others."""
    folder = path.split("/")[0]
    if folder in lint_rooms.FREE:
        return
    for n, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^">]+)[>"]', line)
        if not found:
            continue
        header = found[1]
        owner = next((who for what, who in ONLY_IN if re.fullmatch(what, header)), None)
        if owner and not re.fullmatch(owner, path):
            where = owner.replace("\\", "").replace(".*", "").replace("|", " and ")
            violation(path, n, f"'{header}' may be included only in {where}")


def functions(lines):
    """(line, lines between the braces in column 0) of each function."""
    start = None
    for n, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start is not None:
            yield start, n - start - 1
            start = None


def check_sizes(path, lines, sizes):
    n_lines = len(lines) - 1
    if n_lines > FILE_MAX:
        violation(path, n_lines, f"{n_lines} lines, more than {FILE_MAX}")
    elif n_lines > FILE_WARN:
        print(f"{path}:{n_lines}: note: {n_lines} lines, more than {FILE_WARN}")
    for n, size in functions(lines):
        sizes.append((size, path, n))
        if size > FUNCTION_MAX:
            violation(path, n, f"a function of {size} lines, more than {FUNCTION_MAX}")


def check_distribution(sizes):
    """Median and 90 % over all functions."""
    if not sizes:
        return "no functions"
    sizes.sort()
    median, ninth = sizes[len(sizes) // 2], sizes[min(len(sizes) - 1, len(sizes) * 9 // 10)]
    if median[0] > FUNCTION_MEDIAN:
        violation(median[1], median[2], f"the median function has {median[0]} lines, more than {FUNCTION_MEDIAN}")
    if ninth[0] > FUNCTION_NINE_IN_TEN:
        violation(ninth[1], ninth[2], f"one function in ten has {ninth[0]} lines or more, above {FUNCTION_NINE_IN_TEN}")
    size, path, line = sizes[-1]
    return f"{len(sizes)} functions: median {median[0]} lines, 90 % {ninth[0]}, largest {size} ({path}:{line})"


def check_format(paths):
    try:
        run = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        violation("clang-format", 0, "not installed: launch/install-deps lint")
        return
    places = {}
    for found in re.finditer(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", run.stdout, re.M):
        places[found[1], int(found[2])] = True
    for path, line in places:
        violation(path, line, "not as clang-format has it")
    if run.returncode and not places:
        violation("clang-format", 0, run.stdout.strip() or f"exit status {run.returncode}")


def check_shell(paths):
    try:
        run = subprocess.run(["shellcheck", "-S", "warning", "-f", "gcc", *paths], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        violation("shellcheck", 0, "not installed: launch/install-deps lint")
        return
    for path, line, message in re.findall(r"^(.+?):(\d+):\d+: (.*)", run.stdout, re.M):
        violation(path, int(line), message)
    if run.returncode > 1:
        violation("shellcheck", 0, run.stdout.strip())


def check_flags(path, lines):
    for n, line in enumerate(lines, 1):
        found = FLAGS.search(line.split("#")[0])
        if found:
            violation(path, n, f"'{found[0]}' makes isfinite lie")


def main():
    sizes, code, shell = [], [], []
    tags = lint_headers.Tags(violation)
    rooms = lint_rooms.Rooms(violation)
    for path in files():
        is_code = path.endswith((".c", ".h"))
        name = os.path.basename(path)
        if not (path.endswith(TEXT) or name == "Makefile" or ("." not in name and is_script(path))):
            continue
        lines = lines_of(path)
        check_text(path, lines)
        if lines[0] == "#!/bin/bash":
            shell.append(path)
        if is_code:
            code.append(path)
            if not path.startswith("tests/"):
                tags.add(path, lines)
            lint_headers.check_comments(path, lines, violation)
            rooms.add(path, lint_source.Source("\n".join(lines)))
            check_includes(path, lines)
            check_sizes(path, lines, sizes)
        if name == "Makefile":
            check_flags(path, lines)
    tags.conclude()
    rooms.conclude()
    distribution = check_distribution(sizes)
    if code:
        check_format(code)
    if shell:
        check_shell(shell)
    for path, line, message in sorted(violations):
        print(f"{path}:{line}: {message}")
    print(f"lint: {len(code)} C files, {distribution}; {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
