"""Where `make install` puts what, that it works from there, and that `make uninstall` leaves nothing of it."""
import os
import re
import shutil
import subprocess

import pytest

import cli

PREFIX = "/opt/metaloop"
COMPLETION = os.path.join(cli.ROOT, "launch", "package", "completion")
INSTALL = os.path.join(cli.ROOT, "launch", "package", "install")  # what make calls, once all is built


def place(action, top, prefix=PREFIX):
    return cli.execute([INSTALL, action], {"PREFIX": prefix, "DESTDIR": str(top)})


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """An installation that was moved elsewhere afterwards: nothing in it may name where it was."""
    top = tmp_path_factory.mktemp("destdir")
    assert place("--list", top).rc == 0
    moved = tmp_path_factory.mktemp("moved") / "metaloop"
    shutil.copytree(f"{top}{PREFIX}", moved, symlinks=True)
    return moved


def everything(folder):
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files)


def on_path(tree):
    return {"PATH": f"{tree}/bin:{os.environ['PATH']}"}


def complete(tree, line, program="metaloop"):
    """What bash offers for the last word of a line."""
    words = line.replace("=", " = ").split(" ")
    script = (f'source "{tree}/share/bash-completion/completions/{program}"; COMP_LINE=$1; shift; COMP_WORDS=("$@"); '
              f'COMP_CWORD=$(($# - 1)); "$(complete -p "$1" | sed "s/.*-F \\([a-z_]*\\) .*/\\1/")" "$1" 2>/dev/null; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = cli.execute(["bash", "-c", script, "bash", line, *words], on_path(tree))
    return result.out.split()


def test_it_trains_and_evaluates_from_anywhere(tree, tmp_path):
    program, run = f"{tree}/bin/metaloop-run", f"{tmp_path}/run"
    small = ["--set", "stage.meta.rounds=2", "--set", "stage.align.rounds=2", "--set", "evaluate.episodes=4"]
    conf = f"{tree}/share/metaloop/cluster.conf"
    result = cli.execute([program, "-n", "2", "train", conf, *small, "--run", run], cli.environment(), cwd=tmp_path)
    assert result.rc == 0 and "digest " in result.out, result
    checkpoint = f"{run}/checkpoint-00-000000002.safetensors"
    result = cli.execute([program, "evaluate", conf, *small, "--stage", "meta", "--checkpoint", checkpoint],
                         cli.environment(), cwd=tmp_path)
    assert result.rc == 0 and "accuracy" in result.out, result


def test_its_messages_name_the_program_that_is_there(tree):
    result = cli.execute([f"{tree}/bin/metaloop-run", "--nothing"], cli.environment())
    assert result.rc == 64 and result.err.startswith("metaloop-run: ") and "launch/run" not in result.err, result


def test_nothing_names_the_source_tree(tree):
    for path in everything(tree):
        if os.path.isfile(path) and not os.path.islink(path) and "/bin/" not in path:
            assert cli.ROOT.encode() not in open(path, "rb").read(), path
        assert not (os.path.islink(path) and os.readlink(path).startswith("/")), path


def test_uninstall_leaves_what_was_there_before(tmp_path):
    theirs = tmp_path / PREFIX[1:] / "share" / "man" / "man1" / "theirs.1"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("x")
    before = everything(tmp_path)
    for _ in range(2):  # the second time over itself
        assert place("--list", tmp_path).rc == 0
    assert len(everything(tmp_path)) > len(before) + 50
    assert place("--remove", tmp_path).rc == 0
    assert everything(tmp_path) == before


def test_uninstall_without_an_installation_says_so(tmp_path):
    result = place("--remove", tmp_path, "/usr/local")
    assert result.rc == 66 and "nothing was installed in '/usr/local'" in result.err, result


def test_manual_pages_hold_every_verb_option_and_key(tree, tmp_path):
    if not shutil.which("help2man"):
        pytest.skip("manual pages need help2man (launch/install-deps install)")
    pages = os.listdir(f"{tree}/share/man/man1")
    verbs = re.findall(r"^  ([a-z]+) ", cli.done("--help").out, re.M)
    assert "train" in verbs
    assert {f"metaloop-{verb}.1" for verb in verbs} <= set(pages) and "metaloop-observe.1" in pages
    for verb in verbs:
        page = open(f"{tree}/share/man/man1/metaloop-{verb}.1").read().replace("\\-", "-")
        for line in cli.done(verb, "--help").out.splitlines():
            if line.startswith("  --"):
                assert line.split()[0] in page, (verb, line)
    keys = open(f"{tree}/share/man/man5/metaloop.conf.5").read().replace("\\-", "-")
    for line in cli.done("list", "keys").out.splitlines():
        if line.startswith("    "):
            assert f".BR {line.split()[0]} " in keys, line


@pytest.mark.parametrize("line, offered", [
    ("metaloop tr", ["train"]),
    ("metaloop-run tr", ["train"]),
    ("metaloop-run -n 4 tr", ["train"]),
    ("metaloop train --over", ["--overwrite"]),
    ("metaloop list met", ["methods"]),
    ("metaloop train CONF --set cluster.th", ["cluster.threads="]),
    ("metaloop train CONF --set stage.meta.roun", ["stage.meta.rounds="]),
    ("metaloop train CONF --set stage.meta.method=fom", ["fomaml"]),
    ("metaloop evaluate CONF --stage al", ["align"]),
    ("metaloop train CONFIGS/sinu", ["CONFIGS/sinusoid.conf"]),
])
def test_bash_completes(tree, line, offered):
    share = f"{tree}/share/metaloop"
    place = {"CONFIGS": f"{share}/examples", "CONF": f"{share}/cluster.conf"}
    for word, path in place.items():
        line = line.replace(word, path)
        offered = [offer.replace(word, path) for offer in offered]
    assert complete(tree, line, line.split()[0]) == offered


def test_the_observer_completes_endpoints_and_options(tree):
    assert complete(tree, "metaloop-observe --tens", "metaloop-observe") == ["--tensorboard"]


@pytest.mark.parametrize("shell, check", [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_other_shells_can_read_their_completion(shell, check):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    for name in os.listdir(os.path.join(COMPLETION, shell)):
        subprocess.run([shell, *check, os.path.join(COMPLETION, shell, name)], check=True)


def test_fish_completes(tree):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    for line, offered in [("metaloop tr", "train"), ("metaloop train --over", "--overwrite"), ("metaloop list met", "methods")]:
        script = f"source {tree}/share/fish/vendor_completions.d/metaloop.fish; complete -C '{line}'"
        assert cli.execute(["fish", "-N", "-c", script], on_path(tree)).out.split()[0] == offered
