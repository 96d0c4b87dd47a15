"""The transport between processes keeps the contract of proto/comm/comm.h: the scripts of conform_comm under mpirun."""
import os
import re

import pytest

import cli

PROGRAM = os.path.join(cli.ROOT, "build", "tests", "conform", "conform_comm")
RANKS = 3


def play(*args, options=()):
    """How many ranks have played each script."""
    result = cli.execute(["mpirun", *options, "-n", str(RANKS), PROGRAM, *args])
    assert not result.timed_out, result
    assert "not ok" not in result.out, result
    names = re.findall(r"^ok - (.*)$", result.out, re.M)
    return result, {name: names.count(name) for name in names}


def scripts():
    with open(os.path.join(cli.ROOT, "tests", "lib", "comm_scripts.h")) as f:
        return re.findall(r'^    \{"(.+)", play_\w+\},$', f.read(), re.M)


@pytest.mark.parametrize("transport", ["mpi"])
def test_scripts(transport, tmp_path):
    result, played = play(transport, str(tmp_path / "meet"))
    assert result.rc == 0, result
    assert len(scripts()) >= 10
    assert played == {name: RANKS for name in scripts()}, result


def test_a_rank_is_killed():
    result, played = play("mpi", "death", options=["--enable-recovery"])
    assert played == {"a rank is killed": RANKS - 1}, result
