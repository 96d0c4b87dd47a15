"""Every committed input of the fuzz targets, past findings among them, through its target; and the runner's
arguments. tests/fuzz/run is the fuzzing itself: make fuzz."""
import os

import pytest

import cli

FUZZ = os.path.join(cli.ROOT, "tests", "fuzz")
TARGETS = sorted(n[5:-2] for n in os.listdir(FUZZ) if n.startswith("fuzz_") and n.endswith(".c"))
RUN = os.path.join(FUZZ, "run")


def replay(target, *paths):
    return cli.execute([os.path.join(cli.ROOT, "build", "fuzz", target), *paths], {}, 60)


@pytest.mark.parametrize("target", TARGETS)
def test_corpus(target):
    folder = os.path.join(FUZZ, "corpus", target)
    n = len(os.listdir(folder))
    done = replay(target, folder)
    assert done.rc == 0, done.err[-2000:]
    assert done.err.endswith(f"\n{n} inputs\n")


def test_corpus_of_every_target():
    assert sorted(os.listdir(os.path.join(FUZZ, "corpus"))) == TARGETS


def test_replay_needs_an_input(tmp_path):
    assert replay("names", str(tmp_path / "none")).rc == 66
    assert replay("names", str(tmp_path)).rc == 66
    assert replay("names").rc == 64


def test_seeds_are_those_of_the_script(tmp_path):
    done = cli.execute([os.path.join(FUZZ, "make_corpus.py"), str(tmp_path)], {}, 60)
    assert done.rc == 0, done.err
    for target in TARGETS:
        committed = os.path.join(FUZZ, "corpus", target)
        assert sorted(os.listdir(tmp_path / target)) == sorted(n for n in os.listdir(committed) if n.startswith("seed-"))


@pytest.mark.parametrize("words, part", [
    (["--time", "0"], "FUZZ_TIME '0'"), (["--time", "5s"], "FUZZ_TIME '5s'"), (["--time", ""], "FUZZ_TIME ''"),
    (["--targets", "names nppy"], "no target 'nppy': config, csv, idx,"), (["--tiem", "3"], "'--tiem'"),
])
def test_runner_refuses(words, part):
    done = cli.execute([RUN, "--check", *words], {}, 20)
    assert done.rc == 64 and part in done.err


TARGET = """#!/bin/sh
echo "#1 INITED cov: 7 ft: 8" >&2
[ {status} = 77 ] && echo "==1== ERROR: libFuzzer: deadly signal
artifact_prefix='x'; Test unit written to {root}/found-1" >&2
echo "stat::number_of_executed_units: 1500" >&2
exit {status}
"""


def put_target(folder, status):
    os.makedirs(folder / "fuzz", exist_ok=True)
    (folder / "fuzz" / "names").write_text(TARGET.format(status=status, root=cli.ROOT))
    (folder / "fuzz" / "names").chmod(0o755)


def run_target(folder, status):
    put_target(folder, status)
    return cli.execute([RUN, "--build", str(folder), "--targets", "names", "--time", "3"], {}, 20)


def test_runner_adds_up(tmp_path):
    first, second = run_target(tmp_path, 0), run_target(tmp_path, 0)
    assert first.rc == 0 and second.rc == 0, (first, second)
    assert first.out.split("\n")[1].split() == ["names", "1,500", "1,500", "7", "none"]
    assert second.out.split("\n")[1].split() == ["names", "1,500", "3,000", "7", "none"]
    assert os.path.isdir(tmp_path / "corpus" / "names")


def test_runner_tells_of_a_finding(tmp_path):
    done = run_target(tmp_path, 77)
    assert done.rc == 1
    assert done.out.split("\n")[1].split() == ["names", "1,500", "1,500", "7", "found-1"]
    done = run_target(tmp_path, 3)
    assert done.rc == 1 and "exit status 3, see " in done.out


def test_make_refuses_before_it_builds():
    done = cli.execute(["make", "-C", cli.ROOT, "fuzz", "FUZZ_TIME=soon"], {}, 20)
    assert done.rc == 2 and "FUZZ_TIME 'soon'" in done.err and "  CC " not in done.out
