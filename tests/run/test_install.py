"""What a user without packages, or without the right to install them, reads. No package is touched: the commands that
would do it are stood for by scripts in front of PATH."""
import os
import re

import pytest

import cli

NO_MAKE = {"MAKEFLAGS": "", "MAKELEVEL": ""}  # `make test` hands its own on
DEPS = os.path.join(cli.ROOT, "launch", "install-deps")


@pytest.fixture
def place(tmp_path):
    """stand_in(name, script) puts a command in front of PATH; run(...) runs with it."""
    folder = tmp_path / "bin"
    folder.mkdir()

    class Place:
        log = tmp_path / "log"

        def stand_in(self, name, script):
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)

        def run(self, *command):
            return cli.execute(command, {"PATH": f"{folder}:{os.environ['PATH']}", **NO_MAKE})

    p = Place()
    for name in ("apt-get", "sudo"):  # each call is written down
        p.stand_in(name, f'echo {name} "$@" >>{p.log}; exit 1')
    return p


def nobody_has_packages(place):
    place.stand_in("dpkg-query", "exit 0")
    place.stand_in("id", "echo 1000")


@pytest.mark.parametrize("goals, group", [([], "build"), (["observe"], "observe")])
def test_make_names_the_remedy(place, tmp_path, goals, group):
    place.stand_in("pkg-config", "exit 1")
    place.stand_in("protoc-c", "exit 127")
    result = place.run("make", "-C", cli.ROOT, f"BUILD={tmp_path}/b", *goals)
    assert result.rc != 0 and f"launch/install-deps {group}" in result.err and "libzmq" in result.err, result
    assert "  CC " not in result.out, "something was compiled first"


def test_a_refused_sudo_is_answered_with_the_command(place):
    nobody_has_packages(place)
    result = place.run(DEPS, "lint")
    assert result.rc == 77 and "apt-get install --no-install-recommends clang-format python3 shellcheck" in result.err, result
    assert "apt-get" not in place.log.read_text().replace("sudo", ""), "it was installed all the same"


def test_root_installs_what_is_missing(place):
    place.stand_in("dpkg-query", 'echo "installed python3"')
    place.stand_in("id", "echo 0")
    place.stand_in("apt-get", f'echo "$@" >>{place.log}')
    result = place.run(DEPS, "lint")
    assert result.rc == 0 and "installing clang-format shellcheck" in result.err, result
    asked = place.log.read_text().strip().split("\n")[-1]
    assert asked.endswith("install --no-install-recommends clang-format shellcheck"), asked


def test_an_installation_that_fails(place):
    place.stand_in("dpkg-query", "exit 0")
    place.stand_in("id", "echo 0")
    place.stand_in("apt-get", "echo no such mirror; exit 100")
    result = place.run(DEPS, "lint")
    assert result.rc == 1 and "no such mirror" in result.err and "could not install" in result.err, result


def test_a_laptop_needs_neither_mpi_nor_blas(place, tmp_path):
    nobody_has_packages(place)
    asked = place.run(DEPS, "observe").err
    assert "libzmq3-dev" in asked and "libmicrohttpd-dev" in asked
    assert "openmpi" not in asked and "blas" not in asked, asked
    commands = cli.done("-n", "-C", cli.ROOT, "observe", f"BUILD={tmp_path}/b", program="make", env=NO_MAKE).out
    assert "-lzmq" in commands and not re.search(r"-lmpi|openmpi|openblas", commands), commands


@pytest.mark.parametrize("goal, group", [("quickstart", "build"), ("test", "test")])
def test_what_it_does_and_how_long_it_takes_is_said_first(goal, group):
    commands = cli.done("-n", "-C", cli.ROOT, goal, program="make", env=NO_MAKE).out
    first = commands.split("launch/install-deps " + group + "\n")[0]
    assert "installs what is missing" in first and "minute" in first and f"install-deps {group}" in first, commands


def test_an_unknown_group(place):
    result = place.run(DEPS, "tset")
    assert result.rc == 64 and "no group 'tset'" in result.err and "test" in result.err, result


def test_not_debian(place, tmp_path):
    """The packages' names are told, nothing is tried."""
    place.stand_in("id", "echo 0")
    for name in ("bash", "sort", "paste", "fold", "sed", "dirname", "env"):
        os.symlink(f"/usr/bin/{name}", tmp_path / "bin" / name)
    os.remove(tmp_path / "bin" / "apt-get")
    result = cli.execute([DEPS, "lint"], {"PATH": str(tmp_path / "bin")})
    assert result.rc == 69 and "neither Debian nor Ubuntu" in result.err and "shellcheck" in result.err, result
