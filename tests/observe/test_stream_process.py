"""The process that serves observers: it has nothing of the run's, its death costs the stream a moment, and it never outlives
the run."""
import os
import re
import resource
import signal
import subprocess

import pytest
import zmq

import cli
import stream
import supervised
import test_stream
import test_stream_closed as closed

SLOW = stream.TEXT.replace("tasks = 4", "tasks = 64")  # a file that is recalled whole, however long the test takes

observers = test_stream.observers


def follow(observer, run, after):
    """Another incarnation than `after`, with all of the past and live."""
    observer.watch(lambda: observer.incarnation not in (None, after) and observer.complete and observer.of("run")
                   and observer.of("round"))
    newest = observer.of("round")[-1].round
    observer.watch(lambda: observer.of("round")[-1].round > newest + 20)
    assert observer.of("round")[0].round == 1
    return observer.incarnation


def test_it_is_killed(tmp_path, observers):
    """Twice: another one begins, after a pause that grows; observers have the whole curve, and hear the end."""
    with stream.Run(tmp_path, text=SLOW) as run:
        observer = observers(run.port)
        observer.watch(lambda: observer.complete and observer.incarnation and len(observer.of("round")) > 50)
        first, what = observer.incarnation, observer.of("run")[0]
        for _ in range(2):
            last = run.publisher()
            os.kill(last, signal.SIGKILL)
            first = follow(observer, run, first)
            assert not supervised.is_running(last) and last not in supervised.children(run.process.pid)  # no zombie
        assert observer.of("run")[0] == what
        result = run.stop()
        observer.watch(lambda: observer.of("end"))
        test_stream.compare(observer, run)
    assert result.rc == 75
    deaths = re.findall(r"warning: metrics: the process that serves observers was ended by signal 9 \(Killed\); the run goes on, "
                        r"another one starts in (\d) s", result.err)
    assert deaths == ["1", "2"], result
    assert [row["round"] for row in run.rows()] == list(range(1, len(run.rows()) + 1))


def test_it_is_killed_in_a_run_of_ranks(tmp_path):
    """The digest is that of a run without a stream."""
    with stream.Run(tmp_path / "alone", rounds=1500, args=["--set", "metrics.endpoint=", "--quiet"]) as alone:
        digest = alone.result().json()["digest"]
    with stream.Run(tmp_path / "ranks", rounds=1500, ranks=3) as run:
        run.await_round(20)
        last = run.publisher()
        os.kill(last, signal.SIGABRT)
        result = run.result()
    assert result.json()["digest"] == digest
    assert not supervised.is_running(last)


def test_it_has_nothing_of_the_run(tmp_path):
    """No file, no library's threads, no core, no place in MPI; and it goes first when memory runs out."""
    with stream.Run(tmp_path, ranks=2) as run:
        run.await_round(20)
        pid = run.publisher()
        files = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        threads = [open(f"/proc/{pid}/task/{t}/comm").read().strip() for t in os.listdir(f"/proc/{pid}/task")]
        environment = stream.fault.environment_of(pid)
        score = open(f"/proc/{pid}/oom_score_adj").read().strip()
        core = resource.prlimit(pid, resource.RLIMIT_CORE)
        group = os.getpgid(pid)
        assert run.stop().rc in (1, 75)
    assert not [f for f in files if f.startswith("/") and not f.startswith(("/dev/null", "/memfd:metaloop-stream", "/tmp/#"))]
    assert len(threads) == 3 and all(t.startswith(("metrics", "ZMQbg")) for t in threads), threads
    assert not [name for name in environment if name.startswith((b"OMPI_", b"PMIX_"))]
    assert score == "1000" and core == (0, 0) and group == pid


def test_signals_are_the_runs(tmp_path, observers):
    """What a terminal or a batch system sends to everybody does not end it before the run has said its last words."""
    with stream.Run(tmp_path) as run:
        observer = observers(run.port)
        observer.watch(lambda: observer.complete and observer.incarnation and observer.of("round"))
        first, pid = observer.incarnation, run.publisher()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
            os.kill(pid, number)
        newest = observer.of("round")[-1].round
        observer.watch(lambda: observer.of("round")[-1].round > newest + 20)
        os.kill(pid, signal.SIGTERM)
        os.killpg(run.process.pid, signal.SIGINT)
        observer.watch(lambda: observer.of("end"))
        result = run.wait()
    assert result.rc == 75 and observer.incarnation == first and "warning" not in result.err, result


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT])
def test_it_does_not_outlive_the_run(tmp_path, how):
    with stream.Run(tmp_path) as run:
        run.await_round(5)
        pid = run.publisher()
        run.process.send_signal(how)
        run.process.wait()
        supervised.wait_for(lambda: not supervised.is_running(pid))


def test_it_stands_still_at_the_end(tmp_path):
    """No observer takes the last events: the run ends nevertheless, with its status, its workers told meanwhile that it lives, and
    leaves nothing behind."""
    text = stream.TEXT.replace("threads = 1", "threads = 1 lease = 1")
    with stream.Run(tmp_path, ranks=2, text=text) as run:
        run.await_round(20)
        pid = run.publisher()
        os.kill(pid, signal.SIGSTOP)
        assert run.send(0, signal.SIGTERM)
        result = run.result(rc=75)
        assert "silent" not in result.err and not supervised.is_running(pid)


def test_a_run_that_stands_still(tmp_path):
    """It sends no heartbeat while the run is stopped."""
    context = stream.new_context()
    with stream.Run(tmp_path) as run:
        heart = context.socket(zmq.SUB)
        heart.connect(f"tcp://127.0.0.1:{run.port}")
        heart.subscribe("heartbeat")
        assert heart.poll(60000)
        run.process.send_signal(signal.SIGSTOP)
        supervised.wait_for(lambda: not heart.poll(3000) or heart.recv_multipart() and False)
        assert supervised.is_running(run.publisher())
        run.process.send_signal(signal.SIGCONT)
        assert heart.poll(60000)
        assert run.stop().rc == 75
    context.destroy(linger=0)


def test_its_keys_are_gone_for_a_while(tmp_path, observers):
    """Read again by the next one: told once, tried again, and served with keys once they are back."""
    server, alice = (closed.keygen(tmp_path / "keys", name) for name in ("server", "alice"))
    keys = closed.key_of(alice + ".public"), closed.key_of(alice + ".secret"), closed.key_of(server + ".public")
    with stream.Run(tmp_path, more=f'server_key = "{server}.secret"  allowed = "{alice}.public"') as run:
        observer = observers(run.port, keys=keys)
        observer.watch(lambda: observer.complete and observer.incarnation and observer.of("round"))
        first = observer.incarnation
        os.rename(server + ".secret", server + ".away")
        os.kill(run.publisher(), signal.SIGKILL)
        observer.watch(lambda: b"trying again" in os.pread(run.err.fileno(), 1 << 20, 0))
        os.rename(server + ".away", server + ".secret")
        follow(observer, run, first)
        result = run.stop()
    assert result.rc == 75
    assert len(re.findall(r"warning: metrics: cannot open '.*server\.secret': No such file or directory; trying again", result.err)) == 1


def test_the_verb_is_not_for_people():
    for more in ([], ["tcp://127.0.0.1:5555", "", "", "", "x", "y", "1", "0"]):
        result = cli.run("publish", *more)
        assert result.rc == 64 and "not for direct use" in result.err, result
    assert "publish" not in cli.done("--help").out


def test_a_run_that_may_start_no_process(tmp_path):
    """It trains without observers, says so once, and tries again."""
    program = tmp_path / "train.sh"  # root has no limit of processes: the executable is what is missing
    path = tmp_path / "watched.conf"
    path.write_text(stream.TEXT.format(directory=tmp_path / "run", rounds=2000, port=stream.free_port(), more=""))
    program.write_text(f'mount -t tmpfs none /proc && exec {cli.METALOOP} train {path} --json\n')
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no namespaces here")
    result = cli.execute(["unshare", "-m", "sh", str(program)])
    assert result.rc == 0 and result.json()["rounds"] == 2000, result
    assert result.err.count("cannot start the process that serves observers") == 1, result
