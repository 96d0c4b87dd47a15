"""metaloop-observe for tests: --http and its answers, a stream into files; free ports."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

import cli

OBSERVE = os.path.join(cli.ROOT, "build", "metaloop-observe")


def free_port():
    """Of two in a row."""
    while True:
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            port = a.getsockname()[1]
            try:
                b.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                pass


class Server:
    """The observer with --http; url is what it printed."""

    def __init__(self, *args, address="127.0.0.1:0"):
        self.process = subprocess.Popen([OBSERVE, "--http", address, *map(str, args)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search(r"http://(\S+):(\d+)/(\?token=(\S+))?", line)
        assert found, line
        self.url, self.port, self.token = found[0], int(found[2]), found[4]

    def get(self, path, method="GET", **headers):
        """(status, headers, body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request(method, path, headers=headers)
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return answer.status, answer.headers, body

    def json(self, path):
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def until(self, what, seconds=60):
        limit = time.monotonic() + seconds
        while not what(self.json("/api/run")["runs"]):
            assert time.monotonic() < limit, self.json("/api/run")
            time.sleep(0.05)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process.stderr.close()
        return code


class Observer:
    """metaloop-observe with lines and JSON lines into files."""

    all = []

    def __init__(self, folder, port, *options):
        self.all.append(self)
        self.out, self.jsonl = os.path.join(folder, "lines.txt"), os.path.join(folder, "events.jsonl")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                [OBSERVE, f"tcp://127.0.0.1:{port}", "--lines", "--jsonl", self.jsonl, *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def text(self):
        with open(self.out, encoding="utf-8") as f:
            return f.read()

    def events(self, kind):
        if not os.path.exists(self.jsonl):
            return []
        with open(self.jsonl, encoding="utf-8") as f:
            return [e for e in map(json.loads, (line for line in f if line.endswith("\n"))) if e["kind"] == kind]

    def rounds(self):
        return [e["round"] for e in self.events("round")]

    def until(self, what, seconds=60):
        limit = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < limit and self.process.poll() is None, self.text()
            time.sleep(0.05)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)
