"""The metrics stream, as docs/stream.md has it: live, from the beginning for those who join late, closed to those who may
not watch, and without any effect on the run."""
import json
import os
import re
import subprocess
import sys
import time

import pytest

import cli
import stream
import supervised


def document():
    """The subscriber that docs/stream.md shows."""
    with open(os.path.join(cli.ROOT, "docs", "stream.md")) as f:
        return re.search(r"```python\n(.*?)```", f.read(), re.S)[1]


@pytest.fixture
def observers():
    made = []

    def make(*args, **how):
        made.append(stream.Observer(*args, **how))
        return made[-1]
    yield make
    for observer in made:
        observer.close()


# ---- live ----

def test_the_subscriber_of_the_document(tmp_path):
    """Ten lines that print the live loss, and end with the run."""
    stream.generate(tmp_path)
    assert len(document().strip().split("\n")) <= 10
    out = tmp_path / "out"
    with stream.Run(tmp_path) as run, open(out, "w") as to:
        subscriber = subprocess.Popen(["/usr/bin/python3", "-c", document(), f"tcp://127.0.0.1:{run.port}"], stdout=to,
                                      cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
        try:
            limit = time.monotonic() + 60
            while out.read_text().count("\n") < 20:
                assert time.monotonic() < limit and run.alive() and subscriber.poll() is None
                time.sleep(0.02)
            assert run.alive()  # so they were live
            assert run.stop().rc == 75
            assert subscriber.wait(30) == 0
        finally:
            subscriber.kill()
    rows = {row["round"]: row for row in run.rows()}
    lines = [line.split() for line in out.read_text().splitlines()]
    assert [int(line[1]) for line in lines] == list(range(int(lines[0][1]), len(rows) + 1))
    for stage, number, loss in lines:
        assert stage == "meta" and float(loss) == pytest.approx(rows[int(number)]["loss"], rel=1e-8)


# ---- late joiners, gaps ----

def compare(observer, run):
    """The observer has every curve of the file, thinned as documented or better, and nothing else."""
    rounds = run.rows()
    have = {e.round: e for e in observer.of("round")}
    for row in stream.thinned(rounds):
        assert stream.same(have[row["round"]], row)
    for row in rounds:
        if row["round"] in have:
            stream.same(have[row["round"]], row)
    assert len(have) == len(observer.of("round"))  # none twice
    curves = {(row["data"], row["step"]): [] for row in run.rows("evaluation")}
    for row in run.rows("evaluation"):
        curves[row["data"], row["step"]].append(row)
    assert len(observer.of("evaluation")) == sum(len(c) for c in curves.values())
    for row, event in zip(run.rows("evaluation"), observer.of("evaluation")):
        assert stream.same(event, row)


def test_a_late_joiner_has_everything(tmp_path, observers):
    """More rounds than the history keeps: the thinned ones within a bounded wait, then live without a gap or a double."""
    with stream.Run(tmp_path) as run:
        run.await_round(4500)
        late = observers(run.port)
        start = time.monotonic()
        late.watch(lambda: late.complete)
        waited = time.monotonic() - start
        first = [e.round for e in late.of("round")]
        assert waited < 60 and len(late.of("run")) == len(late.of("stage")) == 1
        newest = max(first)
        late.watch(lambda: late.of("round")[-1].round > newest + 300)
        assert late.gaps == 0 and late.twice == 0
        live = [e.round for e in late.of("round") if e.round > newest]
        assert live == list(range(newest + 1, live[-1] + 1))
        assert run.stop().rc == 75
        late.watch(lambda: late.of("end"))
    assert late.of("end")[-1].status == 75 and "signal" in late.of("end")[-1].reason
    rows = run.rows()
    snapshot = [r for r in first if r <= newest]
    assert 1000 < len(snapshot) < newest  # it was thinned
    live = {e.round for e in late.of("round")} - set(snapshot)
    assert set(snapshot) >= {row["round"] for row in stream.thinned(rows[:snapshot[-1]])} - live
    compare(late, run)
    assert late.of("run")[0].configuration == open(os.path.join(run.directory, "configuration.conf")).read()
    print(f"history of {newest} rounds in {waited:.3f} s")


def test_a_gap_is_noticed_and_healed(tmp_path, observers):
    with stream.Run(tmp_path) as run:
        run.await_round(20)
        observer = observers(run.port)
        observer.watch(lambda: observer.complete)
        joined = observer.last
        lost = range(joined + 5, joined + 15)
        observer.drop = set(lost)
        observer.watch(lambda: observer.gaps and observer.complete and observer.last > lost[-1] + 5)
        run.stop()
        observer.watch(lambda: observer.of("end"))
    assert observer.gaps >= 1 and observer.snapshots >= 2
    missing = set(range(joined + 1, max(observer.seen) + 1)) - set(observer.seen)
    assert missing <= set(lost)  # of a long history every second round is kept, of words about the workers the last one
    assert len(missing) <= 2 or len(run.rows()) > 2000
    compare(observer, run)


def test_the_last_event_is_missed(tmp_path, observers):
    """Nothing follows that would show the gap but a heartbeat."""
    with stream.Run(tmp_path, ranks=2) as run:
        run.await_round(20)
        observer = observers(run.port)
        observer.watch(lambda: observer.complete and len(observer.of("round")) > 30)
        os.kill(run.rank(1), 19)  # SIGSTOP: no round ends any more
        observer.drop = set(range(observer.last + 1, observer.last + 100000))
        missing = observer.last
        time.sleep(0.5)
        observer.step()
        end = time.monotonic() + 60
        while not observer.gaps:  # workers are told of meanwhile: lose these, too
            assert time.monotonic() < end
            observer.step()
        observer.drop = set()
        observer.watch(lambda: observer.complete and observer.last > missing)
        os.kill(run.rank(1), 18)
        assert run.stop().rc in (75, 1)
    assert sorted(observer.seen)[-1] >= observer.last


def test_a_resumed_run_has_its_past(tmp_path, observers):
    """Stopped, resumed: an observer goes on by itself, and one who joins now has the rounds of the first run."""
    port = stream.free_port()
    with stream.Run(tmp_path, port=port) as run:
        faithful = observers(port)
        faithful.watch(lambda: faithful.complete and faithful.incarnation and len(faithful.of("round")) > 50)
        first, name = faithful.incarnation, next(iter(faithful.seen.values())).run_id
        assert run.stop().rc == 75
        faithful.watch(lambda: faithful.of("end"))
    with stream.Run(tmp_path, port=port, args=["--resume"]) as run:
        faithful.watch(lambda: faithful.incarnation != first and faithful.complete)
        late = observers(port)
        late.watch(lambda: late.complete)
        newest = late.of("round")[-1].round
        for observer in (faithful, late):  # live by now: a gap could not be healed after the end
            observer.watch(lambda: observer.complete and observer.of("round")[-1].round > newest + 200)
        assert run.stop().rc == 75
        for observer in (faithful, late):
            observer.watch(lambda: observer.of("end"))
            compare(observer, run)
            assert observer.of("round")[0].round == 1
            assert {e.run_id for e in observer.seen.values()} == {name}


# ---- ports ----

def test_two_runs_at_one_address(tmp_path, observers):
    """The second one goes on, says so, and is published once the first is over."""
    with stream.Run(tmp_path / "a") as a:
        a.await_round(5)
        with stream.Run(tmp_path / "b", port=a.port) as b:
            b.await_round(5)
            observer = observers(a.port)
            observer.watch(lambda: observer.complete)
            first = next(iter(observer.seen.values())).run_id
            assert a.stop().rc == 75
            observer.watch(lambda: observer.complete and observer.seen[min(observer.seen)].run_id != first)
            observer.watch(lambda: len(observer.of("round")) > 20)
            result = b.stop()
    assert result.rc == 75 and f"tcp://127.0.0.1:{a.port}' is in use" in result.err
    assert observer.of("run")[0].directory == b.directory


def test_nothing_is_published_where_nothing_is_wanted(tmp_path):
    with stream.Run(tmp_path, rounds=20, args=["--set", "metrics.endpoint="]) as run:
        assert run.result().rc == 0
    assert len(run.rows()) == 20


# ---- what only observers hear ----

def test_workers(tmp_path, observers):
    """Their hosts, their states, what they have done; a killed one is lost."""
    more = "} cluster { threads = 1 lease = 2 "
    text = stream.TEXT.replace("cluster {{ threads = 1 }}\n", "")
    began = time.monotonic()
    with stream.Run(tmp_path, ranks=4, more=more, text=text, env=stream.fault.RECOVERY) as run:
        observer = observers(run.port)
        observer.watch(lambda: observer.complete and observer.of("workers"))
        what = observer.of("run")[0]
        with open(os.path.join(run.directory, "manifest.json")) as f:
            manifest = json.load(f)
        assert what.ranks == 4 and what.hosts[0].ranks == 3 and what.hosts[0].threads == 3
        for key in ("version", "cpu", "blas", "host", "transport", "precision"):
            assert getattr(what, key) == manifest[key], key
        assert (what.name, what.seed, what.directory) == ("watched", 3, run.directory)
        states = {w.state for w in observer.of("workers")[-1].workers}
        assert states <= {"working", "waiting"}
        observer.watch(lambda: all(w.tasks > 10 and w.computing > 0 for w in observer.of("workers")[-1].workers))
        for w in observer.of("workers")[-1].workers:
            passed = time.monotonic() - began  # seconds; of all threads together
            assert w.rank in (1, 2, 3) and w.threads == 1 and 1 < w.memory_mib < 2000 and w.host
            assert 0 < w.computing <= passed * w.threads and 0 <= w.waiting <= passed * w.threads
            assert w.computing + w.waiting <= passed * w.threads
        observer.watch(lambda: observer.of("round")[-1].gflops > 0)
        assert 0 <= observer.of("round")[-1].idle <= 1
        assert run.send(2, 9)
        observer.watch(lambda: {w.rank: w.state for w in observer.of("workers")[-1].workers}[2] == "lost")
        assert any(e.what == "lost" and e.rank == 2 for e in observer.of("rank"))
        assert any(e.level == "warning" and "rank 2" in e.text for e in observer.of("log"))
        first, last = observer.of("workers")[0], observer.of("workers")[-1]
        assert all(a.tasks <= b.tasks and a.computing <= b.computing for a, b in zip(first.workers, last.workers))


def test_the_end_of_a_run_that_is_done(tmp_path, observers):
    with stream.Run(tmp_path, rounds=3000) as run:
        observer = observers(run.port)
        observer.watch(lambda: observer.of("end"))
        digest = run.result().json()["digest"]
    assert (observer.of("end")[0].status, observer.of("end")[0].reason, observer.of("end")[0].digest) == (0, "done", digest)
    assert stream.same(observer.of("end")[0], run.rows("end")[0])
    assert observer.of("checkpoint") and observer.of("evaluation")


def test_the_end_of_a_run_that_fails(tmp_path, observers):
    """Its exit status, and why."""
    text = stream.TEXT.replace("threads = 1", "threads = 1 lease = 2")
    with stream.Run(tmp_path, ranks=2, text=text, env=stream.fault.RECOVERY) as run:
        observer = observers(run.port)
        observer.watch(lambda: observer.complete and observer.of("round"))
        assert run.send(1, 9)
        observer.watch(lambda: observer.of("end"))
        result = run.wait()
    assert observer.of("end")[0].status == 1
    assert observer.of("end")[0].reason in result.err


def test_the_coordinator_is_killed(tmp_path, observers):
    """launch/run starts it again, and an observer goes on by itself, with every round."""
    port = stream.free_port()
    path = tmp_path / "watched.conf"
    path.write_text(stream.TEXT.format(directory=tmp_path / "run", rounds=1000000, port=port, more=""))
    with supervised.Supervised(str(tmp_path), "-n", "3", "train", path) as run:
        observer = observers(port)
        observer.watch(lambda: observer.complete and len(observer.of("round")) > 20)
        observer.watch(lambda: observer.of("checkpoint"))
        first, (pid, job) = observer.incarnation, run.rank0()
        name = next(iter(observer.seen.values())).run_id
        os.kill(pid, 9)
        run.rank0(after=job)
        observer.watch(lambda: observer.incarnation != first and observer.complete and observer.of("round"))
        before = observer.of("round")[-1].round
        observer.watch(lambda: observer.of("round")[-1].round > before + 20)
        assert {e.run_id for e in observer.seen.values()} == {name}
        run.process.terminate()
        observer.watch(lambda: observer.of("end"))
        assert observer.of("end")[-1].status == 75
        assert run.result().rc == 75
    rows = [row for row in stream.json_of(tmp_path / "run" / "metrics.jsonl") if row["kind"] == "round"]
    have = {e.round: e for e in observer.of("round")}
    assert min(have) == 1
    for row in stream.thinned(rows):
        assert stream.same(have[row["round"]], row)
