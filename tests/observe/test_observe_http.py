"""--http: /metrics under a parser, /api, who is answered, and clients that misbehave."""
import json
import math
import os
import shutil
import socket
import time

import pytest

import cli
from observing import OBSERVE, Server

openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")

HOSTILE = '\\"\\\\\\" <script>alert(1)</script>\\n'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cli.done("train", cli.small(folder, replace={"every = 0 ": "every = 4 ", "inner_steps = 1": "inner_steps = 3"}))
    return str(folder / "run")


@pytest.fixture
def server(run):
    s = Server("--replay", run)
    s.until(lambda runs: runs[0]["state"] == "ended")
    yield s
    assert s.close() == 0


def metrics(run):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return [json.loads(line) for line in f]


def families(server):
    status, headers, body = server.get("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    found = list(openmetrics.text_string_to_metric_families(body.decode()))
    assert len({f.name for f in found}) == len(found)
    return {f.name: f.samples for f in found}


def test_metrics_parse_and_are_right(server, run):
    all = families(server)
    last = [e for e in metrics(run) if e["kind"] == "round"][-1]
    for field in ("loss", "accuracy", "gradient_norm", "communication"):
        sample, = all["metaloop_" + field]
        assert math.isclose(sample.value, last[field], rel_tol=1e-8)
        assert sample.labels["run"] == "small" and sample.labels["stage"] == "meta"
    for field in ("support_losses", "support_accuracies"):
        got = {int(s.labels["step"]): s.value for s in all["metaloop_" + field]}
        assert len(got) == 3 and got == {k: pytest.approx(v) for k, v in enumerate(last[field])}
    events = [e for e in metrics(run) if e["kind"] == "evaluation" and e["round"] == last["round"]]
    got = {(s.labels["of"], int(s.labels["step"]), s.labels["statistic"]): s.value for s in all["metaloop_evaluation_accuracy"]}
    assert got == {(e["data"], e["step"], name): pytest.approx(e[key]) for e in events
                   for name, key in (("mean", "accuracy"), ("ci95", "accuracy_ci95"))}
    assert all["metaloop_run_ended"][0].value == 1


def test_metrics_of_hostile_names_parse(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        f'{{"kind":"stage","stage":"{HOSTILE}","stage_index":0}}\n{{"kind":"round","stage_index":0,"round":1,"loss":2}}\n'
        f'{{"kind":"rank","rank":1,"what":"lost","host":"{HOSTILE}","text":"x"}}\n'
        '{"kind":"round","stage_index":0,"round":2,"run_ended":2,"worker_up":1,"loss":1e308}\n')
    shutil.copytree(tmp_path, tmp_path / "copy")
    s = Server("--replay", tmp_path, "--replay", tmp_path / "copy")
    s.until(lambda runs: runs[1]["state"] == "no end")
    assert families(s)["metaloop_loss"][0].labels["stage"].startswith('"\\" <script>')
    s.close()


def test_api(server, run):
    one, = server.json("/api/run")["runs"]
    assert one["name"] == "small" and one["state"] == "ended" and one["stages"][0]["rounds"] == 8
    assert one["digest"] == metrics(run)[-1]["digest"]
    series = {s["name"]: s for s in server.json("/api/series?run=0")["series"]}
    assert [p[:2] for p in series["loss"]["points"]] == \
        [[e["round"], e["loss"]] for e in metrics(run) if e["kind"] == "round"]
    for k in range(3):
        told = series[f"support_losses/step{k}"]
        assert told["step"] == k and [p[1] for p in told["points"]] == \
            [e["support_losses"][k] for e in metrics(run) if e["kind"] == "round"]
    chart, = (c for c in one["stages"][0]["charts"] if c["title"] == "support loss by step")
    assert [(c["name"], c["series"]) for c in chart["curves"]] == \
        [(f"step {k}", series[f"support_losses/step{k}"]["series"]) for k in range(3)]
    assert server.json(f"/api/series?run=0&since={one['serial']}")["series"] == []
    for chart in one["stages"][0]["charts"]:
        assert all(any(s["series"] == c["series"] for s in series.values()) for c in chart["curves"])
    assert b'format = "glyphs"' in server.get("/api/configuration?run=0")[2]


def test_what_is_not_there(server):
    assert server.get("/nothing")[0] == 404 and server.get("/../etc/passwd")[0] == 404
    assert server.get("/", "POST")[0] == 405 and server.get("/", "HEAD")[0] == 200
    for query in ("run=1", "run=-1", "run=x", "run=", "since=-1", "since=99999999999999999999999"):
        assert server.get("/api/series?" + query)[0] == 400, query


def test_nothing_but_this_machine_is_named(server):
    """A page elsewhere cannot make its own name point here."""
    assert server.get("/api/run", Host="evil.example")[0] == 403
    assert server.get("/api/run", Host="127.0.0.1.evil.example:80")[0] == 403
    for host in ("localhost", "LOCALHOST", "localhost:80", "127.0.0.1", f"127.0.0.1:{server.port}", "[::1]", "[::1]:65535"):
        assert server.get("/api/run", Host=host)[0] == 200, host
    for host in ("localhost.evil.example", "localhost.", "localhost:", "localhost:x", "localhost:80.evil.example", "xlocalhost",
                 "127.0.0.1.evil.example", "127.0.0.1:80.evil", "127.0.0.1:", "127.0.0.10", "127.0.0.1x", "[::1].evil.com", "[::1]x",
                 "[::1]:", "[::1", "::1", "0", "0.0.0.0", "127.1", "localhost@evil.example", "localhost:123456", " ", ""):
        assert server.get("/api/run", Host=host)[0] in (400, 403), host
    for method in ("GET", "HEAD"):
        assert server.get("/", method, Host="evil.example")[0] == 403
    headers = server.get("/")[1]
    assert "default-src 'self'" in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"


def raw(port, *lines):
    """The status of an answer to these lines; 0: none."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        s.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        text = b""
        while more := s.recv(65536):
            text += more
    return int(text.split()[1]) if text.startswith(b"HTTP/1.") else 0


def test_requests_that_name_a_host_otherwise(server):
    here = f"Host: localhost:{server.port}"
    assert raw(server.port, "GET /api/run HTTP/1.1", here) == 200
    for lines in (["GET /api/run HTTP/1.1"], ["GET /api/run HTTP/1.0"], ["GET /api/run HTTP/1.1", here, here],
                  ["GET /api/run HTTP/1.1", here, "Host: evil.example"], ["GET /api/run HTTP/1.1", "host: evil.example", "HOST: localhost"],
                  ["GET http://evil.example/api/run HTTP/1.1", here], [f"GET http://localhost:{server.port}/api/run HTTP/1.1", here],
                  ["GET //evil.example/api/run HTTP/1.1", "Host: evil.example"]):
        assert raw(server.port, *lines) in (400, 403), lines


def test_every_answer_is_for_this_site_alone(server):
    for path, method, host, status in (("/", "GET", "localhost", 200), ("/app.js", "GET", "localhost", 200), ("/api/run", "GET", "localhost", 200),
                                       ("/api/series", "GET", "localhost", 200), ("/api/series?since=1", "GET", "localhost", 200),
                                       ("/api/configuration", "GET", "localhost", 200), ("/metrics", "HEAD", "localhost", 200),
                                       ("/no", "GET", "localhost", 404), ("/", "GET", "evil.example", 403), ("/", "POST", "localhost", 405),
                                       ("/api/run", "DELETE", "localhost", 405), ("/", "OPTIONS", "localhost", 405),
                                       ("/api/series?run=9", "GET", "localhost", 400)):
        got, headers, _ = server.get(path, method, Host=host)
        assert got == status, (path, method)
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Allow"] == ("GET, HEAD" if status == 405 else None)


def test_tokens_are_compared_whole(run):
    token = "abcdefgh-IJKL_123"
    s = Server("--replay", run, "--token", token)
    assert s.get("/metrics", Authorization="Bearer " + token)[0] == 200 == s.get("/metrics?token=" + token)[0]
    for wrong in (token + "x", token + token, token[:-1], token[1:], token.upper(), " " + token, "", token[:-1] + "x", "x" + token[1:]):
        assert s.get("/metrics", Authorization="Bearer " + wrong)[0] == 401, wrong
        assert s.get("/metrics?token=" + wrong.replace(" ", "%20"))[0] == 401, wrong
        assert s.get("/metrics", Cookie=f"metaloop_{s.port}={wrong}")[0] == 401, wrong
    assert s.get("/metrics", Cookie=f"metaloop_{s.port}={token}")[0] == 200
    assert s.get("/metrics", Authorization=token)[0] == 401
    s.close()


def test_a_port_belongs_to_one(run, server):
    """Also to one observer of two, on one address or on all."""
    for address in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"0.0.0.0:{server.port}", f":{server.port}"):
        result = cli.run("--replay", run, "--http", address, program=OBSERVE)
        assert result.rc == 73 and "in use" in result.err, result


def test_elsewhere_a_token_is_asked_for(run):
    s = Server("--replay", run, address="0.0.0.0:0")
    assert len(s.token) == 32
    assert s.get("/")[0] == s.get("/api/run")[0] == s.get("/metrics?token=wrong")[0] == 401
    assert s.get("/metrics", Authorization="Bearer " + s.token[:-1])[0] == 401
    assert s.get("/metrics", Authorization="Bearer " + s.token)[0] == 200
    status, headers, _ = s.get("/?token=" + s.token)
    assert status == 200 and "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
    assert s.get("/api/run", Cookie=headers["Set-Cookie"].split(";")[0])[0] == 200
    s.close()


def test_addresses_and_tokens_that_cannot_be(run):
    for args in (["--http", "nowhere"], ["--http", "1.2.3.4.5:80"], ["--http", "127.0.0.1:99999"], ["--http", "127.0.0.1:x"],
                 ["--http", "127.0.0.1:0", "--token", "short"], ["--http", "127.0.0.1:0", "--token", "with blank"], ["--token", "12345678"]):
        assert cli.run("--replay", run, *args, program=OBSERVE).rc == 64, args
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        result = cli.run("--replay", run, "--http", f"127.0.0.1:{s.getsockname()[1]}", program=OBSERVE)
        assert result.rc == 73 and "in use" in result.err, result


def listen(server):
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return s


def test_events_are_streamed(server):
    with listen(server) as s:
        text, limit = b"", time.monotonic() + 60
        while text.count(b"event: runs") < 2 and time.monotonic() < limit:  # the second without news
            text += s.recv(1 << 16)
    assert b"text/event-stream" in text and text.count(b"event: points") >= 1 and text.count(b"event: runs") == 2


def test_clients_that_misbehave(server):
    """Listeners that do not read, connections that say nothing, garbage: the next one is answered all the same, and nothing
    spins."""
    idle = [listen(server) for _ in range(70)] + [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for s in idle[-20:]:
        s.sendall(os.urandom(200))
    time.sleep(0.5)

    def used():
        with open(f"/proc/{server.process.pid}/stat") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(2)
    assert used() - before < 1
    assert server.get("/api/run")[0] == 200
    for s in idle:
        s.close()


def closed(s):
    """Whether the other side has ended the connection; takes what there is."""
    try:
        s.setblocking(False)
        while True:
            if not s.recv(1 << 16):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_half_open_connections_keep_nobody_out(server):
    """More of them than there are places: silent ones, and headers that never end. The next one is answered; they go."""
    half = []
    for i in range(400):
        s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        if i % 2:
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        half.append(s)
    assert server.get("/api/run")[0] == 200
    drip, limit = half[-1], time.monotonic() + 100
    while not closed(drip):  # a byte now and then is no request
        assert time.monotonic() < limit
        try:
            drip.setblocking(True)
            drip.sendall(b"a")
        except OSError:
            break
        time.sleep(0.5)
    assert server.get("/api/run")[0] == 200
    for s in half:
        s.close()


def memory(server, key="VmHWM"):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(next(line for line in f if line.startswith(key)).split()[1]) / 1024


@pytest.fixture(scope="module")
def many_points(tmp_path_factory):
    """100 curves of 2,000 points: about 3 MB of text."""
    folder = tmp_path_factory.mktemp("many")
    with open(folder / "metrics.jsonl", "w") as f:
        f.write('{"kind":"stage","stage":"a","stage_index":0,"rounds":2000,"method":"maml"}\n')
        for i in range(1, 2001):
            f.write(f'{{"kind":"round","stage":"a","stage_index":0,"round":{i},"loss":1,"support_losses":[{",".join([str(i / 7)] * 100)}]}}\n')
    return folder


def test_listeners_share_one_text(many_points):
    """64 that read nothing hold little more than one does, and one that reads has everything."""
    s = Server("--replay", many_points)
    s.until(lambda runs: runs[0]["state"] == "no end", 60)
    size = len(s.get("/api/series")[2]) / 2**20
    before = memory(s)
    assert size > 2
    deaf = [listen(s) for _ in range(63)]
    with listen(s) as good:
        text = bytearray()
        good.settimeout(60)
        while b"]}]}\n\n" not in text[-64:]:
            more = good.recv(1 << 20)
            assert more
            text += more
    assert text.count(b"[2000,") >= 100
    requests = [socket.create_connection(("127.0.0.1", s.port), timeout=60) for _ in range(60)]
    for one in requests:
        one.sendall(b"GET /api/series HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert s.get("/api/run")[0] == 200
    assert memory(s) - before < 8 * size + 20, (before, memory(s), size)
    limit = time.monotonic() + 100
    while sockets(s) > 20:  # who takes nothing is dropped
        assert time.monotonic() < limit, sockets(s)
        time.sleep(0.5)
    for one in deaf + requests:
        one.close()
    s.close()


def sockets(server):
    """How many the server has open."""
    folder = f"/proc/{server.process.pid}/fd"
    return sum(os.readlink(os.path.join(folder, n)).startswith("socket:") for n in os.listdir(folder))
