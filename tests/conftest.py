"""Makes pytest collect the C test programs: tests/X.c stands for build/tests/X, and for
build64/tests/X where that was built. Each is run once, a few at a time; each line of its TAP output is an item."""
import collections
import concurrent.futures
import os
import re
import signal
import sys

import pytest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("lib", "run", "observe", "faults"):
    sys.path.insert(0, os.path.join(HERE, folder))
import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored, and so would the programs

LIMIT = 300  # seconds for one program
AT_ONCE = min(4, os.cpu_count() or 1)  # programs
POOL = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
BUILDS = "build", "build64"


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".c" and file_path.name.startswith(("test_", "conform_")):
        return Source.from_parent(parent, path=file_path)


class Source(pytest.File):
    """Its programs are started when the file is found, and awaited when their lines are asked for."""

    def __init__(self, **kw):
        super().__init__(**kw)
        programs = {build: os.path.join(cli.ROOT, build, os.path.relpath(self.path, cli.ROOT)[:-2]) for build in BUILDS}
        self.runs = {build: (p, run_later(p)) for build, p in programs.items() if build == "build" or os.path.exists(p)}

    def collect(self):
        for build, (program, running) in self.runs.items():
            yield Program.from_parent(self, name=build, program=program, running=running)


def run_later(program):
    return POOL.submit(cli.execute, [program], {"CMOCKA_MESSAGE_OUTPUT": "TAP"}, LIMIT) if os.path.exists(program) else None


class Line:
    """One line of TAP, with what was printed about it."""

    def __init__(self, name, outcome, notes):
        self.name, self.outcome, self.notes = name, outcome, notes


def parse(text):
    """The lines of TAP, and how many the plans promise. cmocka prints a skip's reason before the
    line, what fails after it."""
    lines, planned, notes = [], 0, []
    for row in text.split("\n"):
        plan = re.fullmatch(r"1\.\.(\d+)", row)
        found = re.fullmatch(r"(ok|not ok) (\d+)(?: -)? ?(.*)", row)
        if plan:
            planned += int(plan[1])
        elif found:
            skip = re.match(r"# SKIP ?(.*)", found[3], re.I)
            outcome = "skip" if skip else found[1]
            lines.append(Line(skip[1] if skip else found[3], outcome, notes if skip else []))
            notes = []
        elif row.startswith("# ") and lines and lines[-1].outcome == "not ok":
            lines[-1].notes.append(row[2:])
        elif row.strip():
            notes.append(row)
    return lines, planned


def complaint(result, lines, planned):
    """What is wrong with a program beyond its lines, or None."""
    failed = sum(line.outcome == "not ok" for line in lines)
    if result.timed_out:
        return f"did not end within {LIMIT} s"
    if result.rc < 0:
        return f"was ended by {signal.Signals(-result.rc).name}"
    if not lines:
        return f"reported no test (exit status {result.rc})"
    if len(lines) != planned:
        return f"reported {len(lines)} of {planned} tests (exit status {result.rc})"
    if (result.rc != 0) != (failed > 0):
        return f"ended with exit status {result.rc} and {failed} failed tests"
    return None


class Program(pytest.Collector):
    def __init__(self, program, running, **kw):
        super().__init__(**kw)
        self.program, self.running = program, running

    def collect(self):
        if not self.running:
            yield Item.from_parent(self, name="built", failure=f"{self.program} has not been built")
            return
        result = self.running.result()
        lines, planned = parse(result.out)
        output = f"--- the end of what {os.path.relpath(self.program, cli.ROOT)} printed\n" \
                 f"{result.out[-2000:]}{result.err[-4000:]}"
        wrong = complaint(result, lines, planned)
        names, reason = collections.Counter(), "no reason given"
        for line in lines:
            notes = "\n".join(line.notes)
            if line.outcome == "skip":  # a program that gives its reason once means it for all
                reason = notes or reason
            names[line.name] += 1
            again = f" [{names[line.name]}]" if names[line.name] > 1 else ""
            yield Item.from_parent(
                self, name=line.name + again,
                failure=f"{notes}\n{output}" if line.outcome == "not ok" else None,
                skipped=reason if line.outcome == "skip" else None)
        if wrong:
            yield Item.from_parent(self, name="program", failure=f"{wrong}\n{output}")


class Item(pytest.Item):
    def __init__(self, failure=None, skipped=None, **kw):
        super().__init__(**kw)
        self.failure, self.skipped = failure, skipped

    def runtest(self):
        if self.skipped:
            pytest.skip(self.skipped)
        if self.failure:
            pytest.fail(self.failure, pytrace=False)

    def reportinfo(self):
        return self.path, None, self.name
