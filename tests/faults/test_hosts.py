"""Several hosts, in network namespaces of this machine (tests/hosts): the same digest as on one, also when a host dies or
its cable is pulled for good."""
import os
import signal
import subprocess

import pytest

import cli
from supervised import Supervised, checkpoints_of, wait_for

TOOLS = os.path.join(cli.ROOT, "tests", "faults", "hosts")
N = 7
ROUNDS = 1000
LONG = {"rounds = 8": f"rounds = {ROUNDS}", "every = 4": "every = 25", "threads = 1": "threads = 1  lease = 1"}


def tool(name, *args):
    return subprocess.run([os.path.join(TOOLS, name), *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def hosts():
    """Their names."""
    if os.geteuid() != 0:
        pytest.skip("hosts in network namespaces need root")
    prefix = f"m{os.getpid()}h"
    try:
        made = tool("up", prefix, N)
        seen = tool("on", f"{prefix}1", "hostname") if made.returncode == 0 else made
        if seen.returncode != 0 or seen.stdout.strip() != f"{prefix}1":
            pytest.skip(f"no network namespaces here: {(seen.stdout.strip() or 'no output')[-200:]}")
        yield [f"{prefix}{i + 1}" for i in range(N)]
    finally:
        tool("down", prefix, N)


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    return cli.done("train", cli.small(tmp_path_factory.mktemp("digest"), replace=LONG), "--json").json()["digest"]


def start(folder, hosts, slots, at=None):
    """launch/run on the first of the hosts (or at another), with a hostfile, and a run directory that all of them see."""
    path = cli.small(folder, replace=LONG)
    hostfile = folder / "hosts"
    hostfile.write_text("# these\n" + "".join(f"{h} slots={n}\n" for h, n in zip(hosts, slots)))
    return Supervised(folder, "--hostfile", hostfile, "train", path, "--json",
                      before=[os.path.join(TOOLS, "on"), at or hosts[0]],
                      env={"OMPI_MCA_plm_rsh_agent": os.path.join(TOOLS, "on")})


def test_same_digest(tmp_path, hosts, digest):
    with start(tmp_path, hosts[:3], [2, 1, 1]) as run:
        result = run.result()
    assert result.rc == 0 and result.json()["digest"] == digest, result
    with open(tmp_path / "run" / "manifest.json") as f:
        manifest = f.read()
    assert all(h in manifest for h in hosts[:3]), manifest
    assert [name for name in os.listdir(tmp_path / "run") if name.startswith(".")] == []


def crash(host):
    """Every process of the host, Open MPI's daemon too."""
    for pid in subprocess.run(["ip", "netns", "pids", host], stdout=subprocess.PIPE, text=True).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_host_lost(tmp_path, hosts, digest):
    """One run loses a host whose processes are killed, another one a host whose cable is pulled; a third one, started from
    a host that computes nothing, loses rank 0's host. At once, because they mostly wait."""
    folders = tmp_path / "crash", tmp_path / "cable", tmp_path / "rank0"
    for folder in folders:
        folder.mkdir()
    with start(folders[0], hosts[:2], [2, 1]) as first, start(folders[1], hosts[2:4], [2, 1]) as second, \
            start(folders[2], hosts[4:6], [1, 1], at=hosts[6]) as third:
        for folder in folders:
            wait_for(lambda: len(checkpoints_of(folder / "run")) >= 2)
        crash(hosts[1])
        crash(hosts[4])
        subprocess.run(["ip", "-n", hosts[3], "link", "set", "eth0", "down"], check=True)
        results = first.result(), second.result(), third.result()
        crash(hosts[3])  # a daemon behind the cable does not know that its run has ended
    for result, lost in zip(results, (hosts[1], hosts[3], "rank 0 was lost; restart 1")):
        assert result.rc == 0 and result.json()["digest"] == digest, result
        assert lost in result.err, result
    assert f"host '{hosts[3]}' does not answer and is left out" in results[1].err or "restart" not in results[1].err


def test_host_that_cannot_be_reached(tmp_path, hosts):
    """At the start that is the user's mistake, told at once and not tried again."""
    with start(tmp_path, [hosts[0], "nowhere"], [1, 1]) as run:
        result = run.result()
    assert result.rc == 1 and "nothing was run" in result.err and "restart" not in result.err, result
