"""The search for faults of the round's protocol (tests/sim/search.c): it finds none here, and those that are planted."""
import os
import re
import shlex
import subprocess

import pytest

import cli

SEARCH = os.path.join(cli.ROOT, "build", "tests", "sim", "search")
NO_MAKE = {**os.environ, "MAKEFLAGS": "", "MAKELEVEL": ""}

PLANTED = {  # file, what stands there, what is planted
    "a stale sum is accepted": ("coordinator/crew/hear.c", "bool counts = m->h.attempt == p->h.attempt && p->stands;",
                                "bool counts = p->stands;"),
    "an orphan is forgotten": ("coordinator/crew/mend.c", "            p->n_orphans++;", "            p->n_orphans += slot > 0;"),
    "a lease never ends": ("coordinator/crew/leases.c", "if (now - worker->heard > lease)", "if (now - worker->heard > 1e9)"),
    "what was reported is owed": ("coordinator/crew/mend.c", "worker->owing = !worker->finished;", "worker->owing = true;"),
    "a rank that is out gives its sum": ("worker/sums.c", "if (!worker_is_current(w, m) || m->h.attempt != w->round.attempt)",
                                         "if (!worker_is_current(w, m))"),
    "an audit's difference is ignored": ("coordinator/crew/round.c", "if (audit_differs(c, &difference)) {", "if (audit_differs(c, &difference) && 0) {"),
    "nobody is told that an old round is over": ("coordinator/crew/give.c", "if (!worker->owing || worker->gone || worker->left)", "if (worker)"),
}


def command_for(target, source):
    """How make builds a target, as words."""
    out = subprocess.run(["make", "-n", "V=1", "-o", "build/flags", "-W", source, target], cwd=cli.ROOT, env=NO_MAKE, check=True,
                         capture_output=True, text=True).stdout
    line = [line for line in out.splitlines() if re.search(rf"-o {re.escape(target)} ", line)][-1]
    return [word for word in shlex.split(line) if word not in ("-MMD", "-MP")]



@pytest.fixture
def planted(tmp_path, request):
    """The search program with one line of the protocol changed."""
    path, before, after = PLANTED[request.param]
    text = open(os.path.join(cli.ROOT, path), encoding="utf-8").read()
    assert text.count(before) == 1, f"{path} has changed: plant this fault anew"
    source, thing, program = tmp_path / "planted.c", tmp_path / "planted.o", tmp_path / "search"
    source.write_text(text.replace(before, after))
    built = f"build/{path[:-2]}.o"
    compile_it = ["-o" if word == "-o" else {path: str(source), built: str(thing)}.get(word, word) for word in command_for(built, path)]
    subprocess.run(compile_it, cwd=cli.ROOT, check=True)
    link_it = [{"build/tests/sim/search": str(program)}.get(word, word) for word in command_for("build/tests/sim/search", "tests/sim/search.c")]
    at = link_it.index("build/libmetaloop.a")
    subprocess.run(link_it[:at] + [str(thing)] + link_it[at:], cwd=cli.ROOT, check=True)
    return str(program)


def test_nothing_is_found():
    result = cli.execute([SEARCH, "--runs", "600"], timeout=600)
    assert result.rc == 0 and re.search(r"600 runs from seed 1 in .*, 0 failed", result.out), result


@pytest.mark.parametrize("planted", PLANTED, indirect=True)
def test_planted_faults_are_found(planted):
    result = cli.execute([planted, "--runs", "20000", "--first"], timeout=600)
    seed = re.search(r"^tests/sim/search --seed (\d+): ", result.out, re.M)
    assert result.rc == 1 and seed, result
    again = cli.execute([planted, "--seed", seed[1]], timeout=600)
    assert again.rc == 1 and seed[0] in again.out, again


def test_the_same_seed_is_the_same_run():
    one, other = (re.sub(r"in [0-9.]* s|[0-9]* times", "", cli.execute([SEARCH, "--seed", "77"]).out) for _ in range(2))
    assert one == other and " ranks on " in one
