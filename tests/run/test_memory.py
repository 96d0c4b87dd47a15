"""What `check --json` says that the processes of a run will hold, against what they do hold.

Each rank runs below a process that reads its largest resident memory when it has ended. From that goes what a run holds
that ends before it allocates anything: the rest is what the run itself takes."""
import os
import re
import sys

import cli
import pytest

SHARE = 0.10  # of what is measured; half a MiB of pages is touched or not from run to run, so each run holds more than 5
MIB = 2 ** 20

RANK = """
import os, resource, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)  # if another rank fails first, mpirun ends all
status = subprocess.run(sys.argv[2:]).returncode
with open(os.path.join(sys.argv[1], os.environ.get("OMPI_COMM_WORLD_RANK", "0")), "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""
HEAD = """
run { name = "m"  directory = "%s/run" }
cluster { threads = %d }
metrics { endpoint = "" }
evaluate { every = 0  episodes = 4 }
"""
FEW_SHOT = """
stage s { method = "maml"  data = "d"  shot = %d  query = 15  tasks = 8  inner_steps = 3  inner_rate = 0.01  rounds = 3 }
"""
RUNS = {
    "sinusoid": 'data d { format = "sinusoid" }\nmodel { type = "mlp"  widths = {700, 700} }' + FEW_SHOT % 10,
    "conv4": 'data d { format = "glyphs"  size = 28 }\nmodel { type = "conv4"  filters = 64 }' + FEW_SHOT % 1,
    "adda": """
data d { format = "glyphs"  first = 10  size = 28 }
data e { format = "glyphs"  first = 10  size = 28  style = "chalk" }
model { type = "mlp"  widths = {800, 500} }
stage source { method = "pretrain"  data = "d"  batch = 32  tasks = 4  rounds = 2 }
stage align { method = "adda"  data = "d"  target = "e"  batch = 32  tasks = 4  rounds = 3  discriminator = {500}
              guard = "off" }
""",
}
ROWS_BEFORE = ("program, libraries", "MPI")  # what a run holds that has not begun


def peaks(folder, ranks, *arguments):
    """The largest resident memory of each rank in MiB."""
    program = folder / "rank.py"
    program.write_text(RANK)
    command = [sys.executable, str(program), str(folder), cli.METALOOP, "train", *map(str, arguments), "--quiet"]
    result = cli.execute(["mpirun", "-n", str(ranks), *command] if ranks > 1 else command)
    return [int((folder / str(rank)).read_text()) / 1024 for rank in range(ranks)], result


def bytes_of(plan, row, owner):
    return next(r[owner] for r in plan["rows"] if r["name"] == row)


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", RUNS)
def test_memory_is_what_check_says(name, threads, ranks, tmp_path):
    conf = tmp_path / "m.conf"
    conf.write_text(HEAD % (tmp_path, threads) + RUNS[name])
    plan = cli.done("check", "--json", conf).json()
    assert plan["threads"] == threads
    before, refused = peaks(tmp_path, ranks, conf, "--set", "data.d.format=npy", "--set", "data.d.path=/nowhere")
    assert refused.rc != 0
    held, result = peaks(tmp_path, ranks, conf)
    assert result.rc == 0, result
    for rank in range(ranks):
        of = "alone" if ranks == 1 else "worker" if rank else "rank_0"
        fixed = sum(bytes_of(plan, row, "worker") for row in ROWS_BEFORE)
        planned, measured = (plan[of] - fixed) / MIB, held[rank] - before[rank]
        # Rank 0 has room for the messages of two ranks; they need not arrive at the same time.
        spare = bytes_of(plan, "messages", "rank_0") / 2 / MIB if of == "rank_0" else 0
        assert abs(planned - measured) <= SHARE * measured + spare, (of, planned, measured, plan)
        assert abs(plan[of] / MIB - held[rank]) <= SHARE * held[rank] + spare, (of, plan, held)


def test_memory_adds_up(tmp_path):
    conf = tmp_path / "m.conf"
    conf.write_text(HEAD % (tmp_path, 3) + RUNS["conv4"])
    plan = cli.done("check", "--json", conf).json()
    thread, worker, first = (sum(row[owner] for row in plan["rows"]) for owner in ("thread", "worker", "rank_0"))
    assert plan["thread"] == thread and plan["worker"] == worker + 3 * thread and plan["rank_0"] == first
    assert max(plan["worker"], plan["rank_0"]) < plan["alone"] < plan["worker"] + plan["rank_0"]
    said = cli.done("check", conf).out
    for row in plan["rows"]:
        assert f"  {row['name']} " in said
    alone = float(re.search(r"a single process: ([\d.]+) MiB", said)[1])
    assert abs(alone - plan["alone"] / MIB) < 0.6  # it prints what it holds itself when it is asked


def test_memory_of_data(tmp_path):
    """A mapped file is no process's own; one that is unpacked or resized is."""
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "x.npy", np.random.default_rng(1).integers(0, 255, (600, 40, 40), dtype=np.uint8))
    np.save(tmp_path / "y.npy", np.arange(600) % 20)
    data = 'data d { format = "npy"  path = "x.npy"  labels = "y.npy"%s }\nmodel { type = "conv4"  filters = 4 }'
    plans = []
    for size in ("", "  resize = 20"):
        conf = tmp_path / "m.conf"
        conf.write_text(HEAD % (tmp_path, 1) + data % size + FEW_SHOT % 1)
        plans.append(cli.done("check", "--json", conf, "--data-root", tmp_path).json())
    assert plans[0]["mapped"] >= 600 * 40 * 40 and plans[1]["mapped"] == 0
    assert bytes_of(plans[0], "data", "worker") == 600 * 4
    assert bytes_of(plans[1], "data", "worker") == 600 * 4 + 600 * 20 * 20


def test_many_layers(tmp_path):
    """200 hidden layers: what they are called, what they take, and that they train and are saved."""
    widths = "{" + ", ".join(["4"] * 200) + "}"
    conf = tmp_path / "m.conf"
    conf.write_text(HEAD % (tmp_path, 1) + f'data d {{ format = "sinusoid" }}\nmodel {{ type = "mlp"  widths = {widths}  '
                    f'activation = "tanh"  dropout = 1 }}' + FEW_SHOT % 10)
    said = cli.done("check", conf).out
    assert "fc200.weight" in said and said.count("tanh") == 200
    result = cli.done("train", conf, "--quiet", "--json").json()
    assert result["rounds"] == 3
    assert cli.done("train", conf, "--quiet", "--json", "--run", tmp_path / "again", ranks=3).json()["digest"] == result["digest"]
    assert os.path.exists(result["checkpoint"])
    assert "fc200.weight" in cli.done("inspect", "--all", result["checkpoint"]).out
