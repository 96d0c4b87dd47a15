"""metaloop-observe --http and its answers, for tests; free ports."""
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
