"""metaloop simulate: the real protocol in virtual time. Computed tasks give training's parameters; the same seed gives the same run."""
import collections
import shutil

import pytest

import cli

TRANSFER = """
run {{ name = "chain"  seed = 5  directory = "{directory}" }}
cluster {{ threads = 1 }}
metrics {{ endpoint = "" }}
data ink {{ format = "glyphs"  size = 12  first = 4 }}
data chalk {{ format = "glyphs"  size = 12  first = 4  style = "chalk" }}
data outline {{ format = "glyphs"  size = 12  first = 4  style = "outline" }}
model {{ type = "mlp"  widths = {{"300"}} }}
stage source {{ method = "pretrain"  data = "ink"  batch = 4  tasks = 3  rounds = 2 }}
stage one {{ method = "adda"  data = "ink"  target = {{"chalk"}}  batch = 4  tasks = 5  discriminator = {{"4"}}  rounds = 3 }}
stage many {{ method = "adda"  start = "source"  data = "ink"  target = {{"chalk", "outline"}}  batch = 4  discriminator = {{"4"}}
             rounds = 3  steps = 2 }}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulate")
    path = folder / "small.conf"
    path.write_text(cli.SMALL.format(directory=folder / "run"))
    return path


def simulate(*args):
    return cli.done("simulate", *args, "--json").json()


def sizes(*args):
    return simulate(*args)["sizes"]


def test_computed_tasks_are_those_of_training(small):
    """On 5, 17 and 64 simulated ranks, the digest of training in one process: 3 rounds that do not count and 5 more."""
    trained = cli.done("train", small, "--json", "--quiet").json()
    found = sizes(small, "--ranks", "5,17,64", "--real", "--rounds", "5", "--task-seconds", "0.002", "--jitter", "0.5")
    assert [s["digest"] for s in found] == [trained["digest"]] * 3
    assert len({s["record"] for s in found}) == 3


def test_same_seed_same_run(small):
    """Equal to the last message; another seed makes other tasks longer, and the same parameters."""
    args = (small, "--ranks", "9", "--real", "--task-seconds", "0.002", "--jitter", "0.3")
    first, again, other = (sizes(*args, "--seed", str(seed))[0] for seed in (1, 1, 2))
    for size in (first, again):
        del size["seconds"], size["host_mib"]  # of this process
    assert first == again
    assert other["record"] != first["record"] and other["round_seconds"] != first["round_seconds"]
    assert other["digest"] == first["digest"]


def test_a_thousand_ranks(small):
    """Nobody computes: sizes alone. All get their tasks, and time is sensible."""
    result = simulate(small, "--ranks", "1024", "--tasks-each", "2", "--task-seconds", "0.01")
    size = result["sizes"][0]
    assert (size["ranks"], size["hosts"], size["cores"], size["tasks"]) == (1024, 64, 1024, 2046)
    assert size["digest"] is None
    assert size["round_seconds"] > 0.02
    assert size["efficiency"] == pytest.approx(2046 * 0.01 / (1024 * size["round_seconds"]), rel=1e-6)
    parts = size["parts"]
    assert sum(parts.values()) == pytest.approx(size["round_seconds"], rel=1e-6)
    assert parts["tasks"] == pytest.approx(0.02, rel=1e-3) and min(parts.values()) > 0
    assert 0 < size["communication"] < 1 and 0 < size["rank_0"] < 1
    assert result["peak_mib"] < 1024


def test_hollow_is_as_long_as_real(small):
    """Short vectors that weigh as much as whole ones take as long, but for how real sums are packed and cut into pieces."""
    args = (small, "--ranks", "6", "--task-seconds", "0.002", "--network", "10G", "--hosts", "3", "--set", "model.filters=24")
    real, hollow = sizes(*args, "--real")[0], sizes(*args)[0]
    assert hollow["round_seconds"] == pytest.approx(real["round_seconds"], rel=0.05)
    assert hollow["host_bytes"] == pytest.approx(real["host_bytes"], rel=0.15)


def test_a_size_among_others(small):
    """It is as long in a curve as alone."""
    args = (small, "--tasks-each", "1", "--task-seconds", "0.002", "--set", "model.filters=64")
    assert sizes("--ranks", "4,9", *args)[1]["record"] == sizes("--ranks", "9", *args)[0]["record"]


def test_slower_networks_are_slower(small):
    args = (small, "--ranks", "32", "--hosts", "32", "--tasks-each", "1", "--task-seconds", "0.001", "--set", "model.filters=64")
    seconds = [sizes(*args, "--network", name)[0]["round_seconds"] for name in ("100G", "25G", "10G")]
    assert seconds == sorted(seconds) and seconds[-1] > 1.5 * seconds[0]
    assert sizes(*args, "--network", "10G", "--oversubscription", "32")[0]["round_seconds"] > seconds[-1]


def test_where_more_ranks_stop_paying(small):
    """Six tasks a round keep five workers busy, not fifty."""
    assert simulate(small, "--ranks", "2,3,4", "--task-seconds", "0.1")["pays_up_to"] is None
    assert simulate(small, "--ranks", "2,7,50", "--task-seconds", "0.1")["pays_up_to"] == 7
    table = cli.done("simulate", small, "--ranks", "2,7,50", "--task-seconds", "0.1").out
    assert "beyond 7 ranks a rank adds less than half of what one adds at first" in table


def test_threads(small):
    """A worker with four threads does as much as four; rank 0 stands beside the first."""
    size = sizes(small, "--ranks", "3", "--threads", "4", "--tasks-each", "3", "--task-seconds", "0.05", "--set", "cluster.schedule=static")[0]
    assert (size["cores"], size["tasks"]) == (8, 24)
    assert size["efficiency"] > 0.95


@pytest.mark.parametrize("stage", ["source", "one", "many"])
def test_stages_of_transfer(stage, tmp_path):
    """Stages with an anchor, and with models that travel with their tasks; computed and hollow ones are as long."""
    path = tmp_path / "chain.conf"
    path.write_text(TRANSFER.format(directory=tmp_path / "run"))
    args = (path, "--stage", stage, "--ranks", "4", "--hosts", "2", "--task-seconds", "0.01")
    real, hollow = sizes(*args, "--real")[0], sizes(*args)[0]
    assert hollow["round_seconds"] == pytest.approx(real["round_seconds"], rel=0.02)


@pytest.mark.parametrize("args, rc, text", [
    ((), 64, "'simulate' needs --ranks N"),
    (("--ranks", "1"), 64, "numbers from 2 to 65536, not '1'"),
    (("--ranks", "4,x"), 64, "not '4,x'"),
    (("--ranks", "4,"), 64, "not '4,'"),
    (("--ranks", "8,4"), 64, "numbers that grow"),
    (("--ranks", "4", "--network", "10g"), 64, "no network is called '10g'"),
    (("--ranks", "4", "--task-seconds", "0"), 64, "a number above 0, not '0'"),
    (("--ranks", "4", "--jitter", "1.5"), 64, "'--jitter' is a share below 1"),
    (("--ranks", "4", "--set", "stage.meta.rate=x"), 78, "rate"),
])
def test_what_is_refused(small, args, rc, text):
    result = cli.run("simulate", small, *args)
    assert result.rc == rc and text in result.err, result


FAULTS = """
at 0.004  rank 3     kill     # one alone
at 0.006  host 2     kill
at 0.002  rank 1     stop 0.02

at 0      50% ranks  slow 2
every 0.02 rank      stop 0.001
"""


def test_faults(small, tmp_path):
    """Ranks and a host are killed, others stand still or are slow: the parameters are the undisturbed ones, and what it cost is told."""
    file = tmp_path / "faults"
    file.write_text(FAULTS)
    args = (small, "--ranks", "9", "--hosts", "3", "--real", "--rounds", "7", "--task-seconds", "0.002", "--jitter", "0.3")
    calm = sizes(*args)[0]
    size = sizes(*args, "--faults", str(file))[0]
    assert calm["faults"] is None
    assert size["digest"] == calm["digest"] and size["record"] != calm["record"]
    faults = size["faults"]
    assert (faults["ranks_lost"], faults["losses"]) == (4, 2)  # rank 3, and 6, 7, 8 of host 2
    assert faults["tasks_again"] > 0
    assert faults["undisturbed_round_seconds"] == calm["round_seconds"] < size["round_seconds"]
    assert "4 ranks lost at 2 times" in cli.done("simulate", *args, "--faults", str(file)).out


def test_a_loss_costs_about_a_round(small, tmp_path):
    """A host is lost in the middle of a round: its ranks are asked when the round is late, and do not answer."""
    file = tmp_path / "faults"
    file.write_text("at 0.23 host 1 kill\n")
    size = sizes(small, "--ranks", "64", "--tasks-each", "4", "--task-seconds", "0.01", "--rounds", "12", "--faults", str(file))[0]
    faults = size["faults"]
    assert (faults["ranks_lost"], faults["losses"]) == (16, 1)
    assert 0 < faults["loss_seconds"] < 1.5 * faults["undisturbed_round_seconds"]


def test_slow_ranks(small, tmp_path):
    """Ranks at half speed, from the beginning: the others take more tasks, and a round is no longer than the cores that are left explain."""
    file = tmp_path / "faults"
    file.write_text("at 0 10% ranks slow 2\n")
    size = sizes(small, "--ranks", "101", "--tasks-each", "8", "--task-seconds", "0.01", "--faults", str(file))[0]
    faults = size["faults"]
    assert (faults["ranks_lost"], faults["losses"], faults["loss_seconds"]) == (0, 0, 0)
    assert 1.01 < size["round_seconds"] / faults["undisturbed_round_seconds"] < 1.27  # five tasks at half speed are as long as ten


def test_a_rank_that_errs(small, tmp_path):
    """All tasks are done twice: it is named in the round in which it first errs, and the parameters are the undisturbed ones. Without
    an audit nobody is named, and they are others."""
    file = tmp_path / "faults"
    file.write_text("at 0 rank 2 err 0.3\n")
    args = (small, "--ranks", "5", "--hosts", "5", "--real", "--rounds", "5", "--task-seconds", "0.002")
    calm = sizes(*args)[0]
    audited = sizes(*args, "--faults", str(file), "--set", "cluster.audit=1")[0]
    faults = audited["faults"]
    assert faults["wrong_results"] > 0 and faults["ranks_named"] == 1 and faults["named_in"] in (1, 2, 3), faults
    assert audited["digest"] == calm["digest"]
    plain = sizes(*args, "--faults", str(file))[0]
    assert plain["faults"]["ranks_named"] == plain["faults"]["named_in"] == 0 and plain["digest"] != calm["digest"], plain


@pytest.mark.parametrize("line, said", [
    ("at soon rank 1 kill", "faults:2: needs seconds, not 'soon'"),
    ("every 0 rank kill", "faults:2: needs seconds above 0, not '0'"),
    ("after 1 rank 1 kill", "needs 'at SECONDS' or 'every SECONDS', not 'after'"),
    ("at 1 rank 0 kill", "needs a rank from 1 on, not '0'"),
    ("at 1 host 0 kill", "needs a host beside the first one, 0, where rank 0 is, not '0'"),
    ("at 1 rank 9 kill", "there is no rank 9 beside 9 ranks on 1 host"),
    ("at 1 120% ranks kill", "needs a share above 0% and up to 100%, not '120%'"),
    ("at 1 rank 2 explode", "needs 'kill', 'stop SECONDS', 'slow TIMES' or 'err SHARE', not 'explode'"),
    ("at 1 rank 2 stop", "needs a number above 0, not ''"),
    ("at 1 rank 2 kill now", "needs the end of the line, not 'now'"),
])
def test_faults_that_are_none(small, tmp_path, line, said):
    file = tmp_path / "faults"
    file.write_text("# one a line\n" + line + "\n")
    result = cli.run("simulate", small, "--ranks", "9", "--task-seconds", "0.002", "--faults", str(file))
    assert result.rc == 65 and said in result.err


def test_faults_that_are_not_there(small):
    result = cli.run("simulate", small, "--ranks", "9", "--faults", "none-such")
    assert result.rc == 66 and "cannot open 'none-such'" in result.err


def test_trace(small, tmp_path):
    """Every message of a rank to another is one isend and one recv of as many bytes; tasks are in what is computed."""
    file = tmp_path / "trace"
    size = sizes(small, "--ranks", "5", "--task-seconds", "0.002", "--rounds", "2", "--trace", str(file))[0]
    sent, received, computed = collections.Counter(), collections.Counter(), 0
    for line in file.read_text().splitlines():
        rank, action, *rest = line.split()
        if action == "compute":
            computed += int(rest[0])
        elif action in ("isend", "recv"):
            other, tag, n = rest
            (sent if action == "isend" else received)[(rank, other, n) if action == "isend" else (other, rank, n)] += 1
    assert sent == received and len(sent) > 20
    assert computed > 1e9 * 3 * size["tasks"] * 0.002
    assert cli.run("simulate", small, "--ranks", "3,5", "--task-seconds", "0.002", "--trace", str(file)).rc == 64


def test_picture(small, tmp_path):
    """The curve as PNG; without gnuplot, or where nothing can be written, nothing is simulated."""
    args = ("simulate", small, "--ranks", "3,5,9", "--task-seconds", "0.002", "--png")
    missing = cli.run(*args, str(tmp_path / "none.png"), env={"PATH": str(tmp_path)})
    assert missing.rc == 1 and "gnuplot" in missing.err and not missing.out
    nowhere = cli.run(*args, str(tmp_path / "no" / "curve.png"))
    assert not nowhere.out
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    assert nowhere.rc == 73
    cli.done(*args, str(tmp_path / "it's.png"))
    assert (tmp_path / "it's.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
