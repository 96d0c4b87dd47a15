"""The metrics stream, as docs/stream.md has it: live, from the beginning for those who join late, closed to those who may
not watch, and without any effect on the run."""
import os
import re
import subprocess
import sys
import time

import pytest

import cli
import stream


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
        assert stage == "meta" and abs(float(loss) - rows[int(number)]["loss"]) < 1e-8
