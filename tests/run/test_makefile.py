"""The Makefile: what is compiled again when flags change, which compiler, what is printed."""
import os
import re
import stat

import cli
import pytest

ONE = "core/base/run_id.o"
UNSET = dict.fromkeys(["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "ARCH", "OPT", "SANITIZE", "DEFINES", "V"])  # of make test


def make(build, *words, env={}):
    """Compiles one file into a folder of its own; what make printed."""
    run = cli.execute(["make", "--no-print-directory", f"BUILD={build}", *words, f"{build}/{ONE}"], {**UNSET, **env})
    assert run.rc == 0, run
    return run.out


def test_other_flags_compile_anew(tmp_path):
    assert "CC core/base/run_id.c" in make(tmp_path)
    assert "CC" not in make(tmp_path)
    for flags in "ARCH=x86-64-v2", "OPT=-O1", "SANITIZE=-fsanitize=undefined", "DEFINES=-DREAL64":
        assert "CC core/base/run_id.c" in make(tmp_path, flags), flags
        assert "CC" not in make(tmp_path, flags), flags
    assert "CC core/base/run_id.c" in make(tmp_path)


def test_commands_are_printed_on_demand(tmp_path):
    assert re.search(r"^gcc .*-march=x86-64-v2 .*-c -o \S+ core/base/run_id\.c$", make(tmp_path, "V=1", "ARCH=x86-64-v2"), re.M)


@pytest.mark.parametrize("env", [True, False], ids=["environment", "command line"])
def test_another_compiler(tmp_path, env):
    compiler, used = tmp_path / "cc", tmp_path / "used"
    compiler.write_text(f'#!/bin/sh\n: > {used}\nexec gcc "$@"\n')
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    make(tmp_path / "build", *[] if env else [f"CC={compiler}"], env={"CC": str(compiler)} if env else {})
    assert used.exists()


def test_help_names_every_target():
    with open(os.path.join(cli.ROOT, "Makefile")) as f:
        targets = set(re.search(r"^\.PHONY: (.*)", f.read(), re.M)[1].split())
    told = set(re.findall(r"\bmake ([a-z-]+)", cli.execute(["make", "help"]).out))
    inner = {"all", "have-packages", "have-protoc", "have-observe-packages", "fuzzers", "help", "FORCE"}
    assert told >= targets - inner and told <= targets, (targets - inner - told, told - targets)
