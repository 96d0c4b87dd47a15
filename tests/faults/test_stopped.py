"""Rank 0 stands still for ever, under launch/run: it is ended, and the run goes on from its last checkpoint."""
import json
import os
import signal

import cli
import fault
import supervised


def test_rank_0_stopped_for_ever(tmp_path):
    for name in ("undisturbed", "stopped"):
        os.mkdir(tmp_path / name)
    expected = cli.done("train", cli.small(tmp_path / "undisturbed", fault.LONG), "--json").json()["digest"]
    conf = cli.small(tmp_path / "stopped", fault.LONG)
    with supervised.Supervised(tmp_path, "-n", 3, "train", conf, "--set", "cluster.lease=1", "--json", "--quiet") as run:
        first, job = run.rank0()
        supervised.wait_for(lambda: fault.round_of(tmp_path / "stopped") >= 25)
        os.kill(first, signal.SIGSTOP)
        second, _ = run.rank0(after=job)
        assert second != first and not supervised.is_running(first)
        result = run.result()
    assert result.rc == 0, result
    assert "rank 0 has given no sign of life for more than 13 s; restart 1 of 3 from" in result.err, result
    assert json.loads(result.out.splitlines()[-1])["digest"] == expected, result
    fault.check_rounds(tmp_path / "stopped", 240, 16)
