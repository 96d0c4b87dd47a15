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
    (["--targets", "names nppy"], "no target 'nppy': config, idx,"), (["--tiem", "3"], "'--tiem'"),
])
def test_runner_refuses(words, part):
    done = cli.execute([RUN, "--check", *words], {}, 20)
    assert done.rc == 64 and part in done.err


def test_make_refuses_before_it_builds(tmp_path):
    done = cli.execute(["make", "-C", cli.ROOT, "fuzz", "FUZZ_TIME=soon"], {}, 20)
    assert done.rc == 2 and "FUZZ_TIME 'soon'" in done.err and "  CC " not in done.out
