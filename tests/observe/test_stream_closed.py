"""Who may not watch does not: keys, files of keys, addresses that others reach."""
import os
import socket
import stat
import threading
import time

import pytest
import zmq

import cli
import stream

GREETING = bytes([0xff] + [0] * 8 + [0x7f, 3, 0])  # ZMTP 3.0, then mechanism and as-server


def greeting(mechanism):
    return GREETING + mechanism.ljust(20, b"\0") + b"\0" + b"\0" * 31


def key_of(path):
    with open(path) as f:
        return f.read().split()[1].encode()


def keygen(folder, name):
    os.makedirs(folder, exist_ok=True)
    cli.done("keygen", os.path.join(folder, name))
    return os.path.join(folder, name)


@pytest.fixture
def locked(tmp_path):
    """A run with keys: (run, the keys of alice, those of mallory: public, secret, server's public)."""
    server, alice, mallory = (keygen(tmp_path / "keys", n) for n in ("server", "alice", "mallory"))
    os.makedirs(tmp_path / "observers")
    os.rename(alice + ".public", tmp_path / "observers" / "alice.public")
    more = f'server_key = "{server}.secret"  allowed = "{tmp_path}/observers"'
    keys = [(key_of(p), key_of(n + ".secret"), key_of(server + ".public"))
            for p, n in ((tmp_path / "observers" / "alice.public", alice), (mallory + ".public", mallory))]
    with stream.Run(tmp_path, more=more) as run:
        run.await_round(2000)  # so there is a history
        yield run, keys[0], keys[1]


class Tap(threading.Thread):
    """Between a client and a port: counts what comes back."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.server, self.port, self.bytes, self.connections = socket.create_server(("127.0.0.1", 0)), port, 0, 0
        self.start()

    def run(self):
        while True:
            client = self.server.accept()[0]
            self.connections += 1
            there = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.pass_on, args=(client, there, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(there, client, True), daemon=True).start()

    def pass_on(self, a, b, counted):
        try:
            while data := a.recv(65536):
                self.bytes += len(data) * counted
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def attempt(port, keys, kind):
    """Subscribes to all, or asks for a snapshot, through a tap for a moment: messages, bytes, connections."""
    context, tap, got = stream.new_context(), Tap(port), 0
    s = context.socket(kind)
    s.linger = 0
    if keys:
        s.curve_publickey, s.curve_secretkey, s.curve_serverkey = keys
    s.connect(f"tcp://127.0.0.1:{tap.server.getsockname()[1]}")
    if kind == zmq.SUB:
        s.subscribe("")
    else:
        s.send(b"snapshot")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        if s.poll(100):
            s.recv_multipart()
            got += 1
    context.destroy(linger=0)
    return got, tap.bytes, tap.connections


@pytest.mark.parametrize("socket_kind", [zmq.SUB, zmq.DEALER])
def test_only_allowed_keys_see_anything(locked, socket_kind):
    run, alice, mallory = locked
    port = run.port + (socket_kind == zmq.DEALER)
    got, count, _ = attempt(port, alice, socket_kind)
    assert got >= 1 and count > 2000
    other = zmq.curve_public(mallory[1])
    assert other == mallory[0]
    wrong_server = (alice[0], alice[1], mallory[0])
    for keys in (mallory, wrong_server, None):
        got, count, connections = attempt(port, keys, socket_kind)
        assert got == 0 and connections >= 1
        assert count <= 400 * connections, keys  # greetings and the refusal
    assert run.alive()


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN", b"CURVE"])
def test_not_a_byte_after_the_greeting(locked, mechanism, offset):
    """A raw socket that introduces itself, claims to be ready and subscribes or asks."""
    run = locked[0]
    ready = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
    with socket.create_connection(("127.0.0.1", run.port + offset)) as s:
        s.settimeout(3)
        s.sendall(greeting(mechanism))
        received = b""
        try:
            while mechanism == b"CURVE" and len(received) < 64:
                received += s.recv(64 - len(received)) or pytest.fail("no greeting")
            s.sendall(ready + b"\0\x01\x01" + b"\0\x08snapshot")
            while more := s.recv(65536):
                received += more
        except (TimeoutError, ConnectionError, socket.timeout):
            pass
    whole = b"\xff" + b"\0" * 7 + b"\1" + greeting(b"CURVE")[9:64]
    assert whole.startswith(received[:10]) and received[12:] == whole[12:len(received)]
    assert len(received) == 64 or mechanism != b"CURVE"  # hung up on in the middle of it
    assert run.alive()


def test_the_allowed_one_sees_the_whole_run(locked):
    run, alice, _ = locked
    observer = stream.Observer(run.port, keys=alice)
    try:
        observer.watch(lambda: observer.complete and len(observer.of("round")) > 20)
        run.stop()
        observer.watch(lambda: observer.of("end"))
        assert observer.of("round")[0].round == 1
    finally:
        observer.close()


def test_keygen(tmp_path):
    name = keygen(tmp_path, "k")
    assert stat.S_IMODE(os.stat(name + ".secret").st_mode) == 0o600
    assert zmq.curve_public(key_of(name + ".secret")) == key_of(name + ".public")
    before = key_of(name + ".secret")
    again = cli.run("keygen", name)
    assert again.rc == 73 and "k.secret" in again.err and key_of(name + ".secret") == before
    assert cli.run("keygen", tmp_path / "no" / "k").rc == 73
    os.unlink(name + ".secret")  # the public one stands in the way: no secret one is left alone
    assert cli.run("keygen", name).rc == 73 and not os.path.exists(name + ".secret")


def refused(tmp_path, more, says, port=None, rc=78):
    with stream.Run(tmp_path, rounds=20, more=more, port=port) as run:
        result = run.wait()
    assert result.rc == rc and not result.timed_out, result
    for word in says:
        assert word in result.err, result
    assert len(run.rows()) == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_secret_that_others_may_read_is_refused(mode, tmp_path):
    name = keygen(tmp_path, "k")
    os.chmod(name + ".secret", mode)
    refused(tmp_path, f'server_key = "{name}.secret"  allowed = "{name}.public"', [f"{name}.secret", f"{mode:04o}"])


@pytest.mark.parametrize("what, says, rc", [
    ("metaloop-secret-key short\n", ["bad:1", "5 characters"], 78),
    ("# only a remark\n\n", ["bad", "no line"], 78),
    ("metaloop-public-key " + "a" * 40 + "\n", ["bad:1", "metaloop-secret-key"], 78),
    ("metaloop-secret-key " + "~" * 40 + "\n", ["bad:1", "not a key"], 78),
    (None, ["bad", "No such file"], 66)])
def test_files_that_are_no_keys(what, says, rc, tmp_path):
    name = keygen(tmp_path, "k")
    if what is not None:
        (tmp_path / "bad").write_text(what)
        os.chmod(tmp_path / "bad", 0o600)
    refused(tmp_path, f'server_key = "{tmp_path}/bad"  allowed = "{name}.public"',
            [w.replace("bad:1", "bad':1") for w in says], rc=rc)


def test_an_empty_list_of_observers(tmp_path):
    name = keygen(tmp_path, "k")
    os.makedirs(tmp_path / "nobody")
    refused(tmp_path, f'server_key = "{name}.secret"  allowed = "{tmp_path}/nobody"', ["nobody"])


@pytest.mark.parametrize("sets, says", [
    (["endpoint=tcp://0.0.0.0:5555"], ["0.0.0.0", "server_key"]),
    (["endpoint=tcp://*:5555"], ["server_key"]),
    (["endpoint=tcp://[::]:5555"], ["server_key"]),
    (["endpoint=tcp://127.0.0.1.example.com:5555"], ["server_key"]),
    (["snapshot=tcp://0.0.0.0:5556"], ["metrics.snapshot"]),
    (["endpoint=ipc:///run/metaloop"], ["tcp://ADDRESS:PORT"]),
    (["endpoint=tcp://127.0.0.1"], ["write tcp://127.0.0.1:5555"]),
    (["endpoint=localhost:5555"], ["write tcp://127.0.0.1:5555"]),
    (["endpoint=tcp://127.0.0.1:0"], ["port"]),
    (["endpoint=tcp://127.0.0.1:65535"], ["65534"]),
    (["endpoint=tcp://127.0.0.1:99999999999999999999"], ["port"]),
    (["endpoint=tcp://127.0.0.1:5555;tcp://0.0.0.0:1"], ["metrics.endpoint"]),
    (["snapshot=tcp://127.0.0.1:5555"], ["both"]),
    (["server_key=x"], ["allowed"]),
    (["allowed=x"], ["server_key"])])
def test_addresses_that_are_refused(sets, says, tmp_path):
    """Also by check, before anything runs."""
    path = cli.small(tmp_path)
    more = [w for s in sets for w in ("--set", f"metrics.{s}")]
    result = cli.run("check", path, *more)
    assert result.rc == 78, result
    for word in [*says, "metrics."]:
        assert word in result.err, result


def test_insecure_warns(tmp_path):
    port = stream.free_port()
    args = ["--set", f"metrics.endpoint=tcp://0.0.0.0:{port}", "--set", "metrics.insecure=true", "--quiet"]
    with stream.Run(tmp_path, rounds=20, args=args) as run:
        result = run.result()
    assert "warning: metrics.insecure" in result.err and f"0.0.0.0:{port}" in result.err


def test_an_address_that_is_not_here(tmp_path):
    args = ["--set", "metrics.endpoint=tcp://192.0.2.1:5555", "--set", "metrics.insecure=true"]
    with stream.Run(tmp_path, rounds=20, args=args) as run:
        result = run.wait()
    assert result.rc == 78 and "192.0.2.1" in result.err, result
