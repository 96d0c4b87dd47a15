"""What a user names as an output is written as its kind asks, whichever program writes it."""
import os
import stat
import subprocess
import threading

import pytest

import cli

OBSERVE = os.path.join(cli.ROOT, "build", "metaloop-observe")
LINES = ['{"kind":"stage","stage":"a","stage_index":0,"rounds":3,"method":"maml"}',
         *(f'{{"kind":"round","stage":"a","stage_index":0,"round":{i},"loss":{1 / i}}}' for i in (1, 2, 3))]
OPTIONS = {"--jsonl": b'{"kind":"stage"', "--csv": b"run_id,", "--png": b"\x89PNG"}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "metrics.jsonl").write_text("\n".join(LINES) + "\n")
    return tmp_path / "x"


@pytest.mark.parametrize("option", OPTIONS)
def test_link_and_mode_stay(run, tmp_path, option):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o604)
    link.symlink_to("target")
    cli.done("--replay", run, option, link, program=OBSERVE)
    assert link.is_symlink() and target.read_bytes().startswith(OPTIONS[option])
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


@pytest.mark.parametrize("option", OPTIONS)
def test_device_stays(run, tmp_path, option):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        open(device, "wb").close()
    except OSError as e:
        pytest.skip(f"devices are not permitted here: {e}")
    cli.done("--replay", run, option, device, program=OBSERVE)
    assert stat.S_ISCHR(device.stat().st_mode)


@pytest.mark.parametrize("option", OPTIONS)
def test_fifo_is_read_once(run, tmp_path, option):
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    cli.done("--replay", run, option, fifo, program=OBSERVE)
    reader.join(60)
    assert got[0].startswith(OPTIONS[option]) and got[0].count(OPTIONS[option]) == 1
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("option", OPTIONS)
def test_standard_output(run, tmp_path, option):
    """A pipe, and a file that the shell appends to: what was there stays. Through a twin of /dev/stdout: a program that gets
    it wrong must not hit the machine's own."""
    twin = tmp_path / "stdout"
    twin.symlink_to("/proc/self/fd/1")
    command = [OBSERVE, "--replay", str(run), option, str(twin)]
    assert subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True).stdout.startswith(OPTIONS[option])
    log = tmp_path / "log"
    log.write_bytes(b"head\n")
    with open(log, "ab") as f:
        subprocess.run(command, stdout=f, timeout=60, check=True)
    assert log.read_bytes().startswith(b"head\n" + OPTIONS[option]) and twin.is_symlink()


def test_status_file_of_a_run(tmp_path):
    target, link = tmp_path / "status", tmp_path / "link"
    link.symlink_to(target)
    cli.done("train", cli.small(tmp_path, replace={"rounds = 8": "rounds = 1"}), "--set", "metrics.endpoint=",
             env={"METALOOP_STATUS": link})
    assert link.is_symlink() and "exit=0" in target.read_text()


def test_pack_keeps_modes_and_links(tmp_path):
    images, labels, packed = tmp_path / "x.npy", tmp_path / "x_labels.npy", tmp_path / "packed.npy"
    import struct

    def npy(path, descr, shape, data):
        head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head.encode() + data)

    npy(images, "|u1", "(4, 8, 8)", bytes(range(256)))
    npy(labels, "<i8", "(4,)", struct.pack("<4q", 0, 0, 1, 1))
    (tmp_path / "real").mkdir()
    packed.symlink_to("real/set.npy")
    (tmp_path / "packed_labels.npy").write_text("old")
    (tmp_path / "packed_labels.npy").chmod(0o600)
    cli.done("pack", images, packed, "--set", "data.source.format=npy", "--set", f"data.source.labels={labels}")
    assert packed.is_symlink() and (tmp_path / "real" / "set.npy").read_bytes().endswith(bytes(range(256)))
    assert stat.S_IMODE((tmp_path / "packed_labels.npy").stat().st_mode) == 0o600
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "packed_classes.txt").stat().st_mode) == 0o666 & ~mask
    assert not [name for name in os.listdir(tmp_path) if "tmp-" in name]


def test_tasks_of_check(tmp_path):
    conf, out = cli.small(tmp_path), tmp_path / "tasks"
    cli.done("check", conf, "--tasks", "1", "--out", out)
    name = sorted(os.listdir(out))[0]
    first = (out / name).read_bytes()
    (out / name).unlink()
    (out / name).symlink_to("elsewhere")
    cli.done("check", conf, "--tasks", "1", "--out", out)
    assert (out / name).is_symlink() and (out / "elsewhere").read_bytes() == first
