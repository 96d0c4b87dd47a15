"""What a folder of images holds, and its archive: the same set, and nothing is skipped silently."""
import os
import struct
import subprocess
import tarfile
import zipfile
import zlib

import cli
import pytest


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# Two grey pixels, by the PNG specification.
PNG = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0))
       + chunk(b"IDAT", zlib.compress(b"\0\x10\xf0")) + chunk(b"IEND", b""))
JPEG = b"\xff\xd8\xff\xe0 and so on"


def write(folder, files):
    for name, content in {"cat/1.png": PNG, "cat/2.PNG": PNG, "dog/sub/1.png": PNG, **files}.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def make(folder, kind):
    """tree, tree.tar.gz or tree.zip."""
    tree = folder / "tree"
    if kind == "tar.gz":
        with tarfile.open(folder / "tree.tar.gz", "w:gz") as t:
            t.add(tree, arcname=".")
    if kind == "zip":
        with zipfile.ZipFile(folder / "tree.zip", "w") as z:
            for path in sorted(tree.rglob("*"), reverse=True):
                z.write(path, path.relative_to(tree))
    return "tree" if kind == "folder" else f"tree.{kind}"


def pack(folder, kind, *sets):
    return cli.run("pack", make(folder, kind), folder / f"{kind}.npy", "--data-root", folder, *sets)


KINDS = pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])


@KINDS
@pytest.mark.parametrize("files,says", [
    ({"cat/3.jpg": JPEG}, "cat/3.jpg' is not a complete JPEG image, at byte "),
    ({"cat/3.png": JPEG}, "cat/3.png' is not a complete JPEG image, at byte "),
    ({"cat/3.gif": b"GIF89a...."}, "is a GIF file"),
    ({"cat/3.png": b"GIF89a...."}, "is a GIF file"),
    ({"cat/3.gif": PNG}, "call it .png"),
    ({"cat/3.jfif": JPEG}, "call it .jpg"),
    ({"cat/3.jpeg": b"no image"}, "no known image format"),
    ({"owl": None}, "class 'owl' holds no image"),
    ({"do": None}, "class 'do' holds no image"),
    ({"owl/notes.txt": b"x"}, "class 'owl' holds no image"),
    ({"owl/a/b/.DS_Store": b"x"}, "class 'owl' holds no image"),
    ({"3.png": PNG}, "in no folder that would be its class"),
])
def test_refused(files, says, kind, tmp_path):
    if kind == "zip" and "owl/a/b/.DS_Store" in files:
        pytest.skip("covered by the other two")
    write(tmp_path, files)
    result = pack(tmp_path, kind)
    assert result.rc == 65 and says in result.err, result


@KINDS
def test_files_that_are_not_read_are_told(kind, tmp_path):
    write(tmp_path, {"cat/notes.txt": b"x", "b.csv": b"y", "dog/sub/.hidden.png": PNG, "cat/.DS_Store": b"", "cat/Thumbs.db": b"",
                     "cat/._1.png": b"", "__MACOSX/cat/._1.png": b"", "cat/1.png.bak": PNG, "cat/3": JPEG})
    result = pack(tmp_path, kind)
    assert result.rc == 0 and "5 files of" in result.err and "the first is 'b.csv'" in result.err, result
    assert result.err.count("warning") == 1, result


def test_same_set(tmp_path):
    write(tmp_path, {"a b/é.png": PNG, "dog/z.png": PNG, "cat/x.txt": b""})
    for kind in "folder", "tar.gz", "zip":
        assert pack(tmp_path, kind).rc == 0
        for end in ".npy", "_labels.npy", "_classes.txt":
            assert (tmp_path / (kind + end)).read_bytes() == (tmp_path / ("folder" + end)).read_bytes(), (kind, end)


def test_empty_class_that_is_not_selected(tmp_path):
    write(tmp_path, {"owl": None})
    (tmp_path / "list.txt").write_text("cat\n")
    assert pack(tmp_path, "folder", "--set", "data.source.classes=list.txt").rc == 0


def test_links(tmp_path):
    """Those of a directory are followed, unless they lead nowhere; those of an archive are refused by name."""
    write(tmp_path, {"cat/3.png": "1.png", "owl": "cat"})
    assert pack(tmp_path, "folder").rc == 0
    result = pack(tmp_path, "tar.gz")
    assert result.rc == 65 and "which is a link" in result.err, result
    subprocess.run(["tar", "czf", tmp_path / "tree.tar.gz", "-C", tmp_path / "tree", "-h", "--hard-dereference", "."], check=True)
    cli.done("pack", "tree.tar.gz", tmp_path / "again.npy", "--data-root", tmp_path)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "folder.npy").read_bytes()
    os.unlink(tmp_path / "tree" / "owl")
    os.symlink("nowhere", tmp_path / "tree" / "owl")
    result = pack(tmp_path, "folder")
    assert result.rc == 66 and "owl" in result.err, result


def shell(folder, command):
    subprocess.run(command, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def zip_of(folder, name, top):
    with zipfile.ZipFile(folder / name, "w") as z:
        for path in sorted((folder / top).rglob("*")):
            z.write(path, path.relative_to(folder))


def test_one_folder_on_top(tmp_path):
    """An archive of the folder, and one of what is in it, hold the set that the folder holds; so does a folder around it."""
    write(tmp_path, {"dog/z.png": PNG})
    shell(tmp_path, "tar czf in.tgz -C tree . && tar czf on.tgz tree && tar cf ./dot.tar ./tree && mkdir -p a/b && cp -r tree a/b/ && tar cf deep.tar a")
    zip_of(tmp_path, "on.zip", "tree")
    for source in "tree", "in.tgz", "on.tgz", "dot.tar", "deep.tar", "on.zip", "a":
        cli.done("pack", source, tmp_path / "out.npy", "--data-root", tmp_path)
        assert (tmp_path / "out_classes.txt").read_text() == "cat\ndog\ndog/sub\n", source
        made = [(tmp_path / f"out{end}").read_bytes() for end in (".npy", "_labels.npy")]
        first = made if source == "tree" else first
        assert made == first, source


def test_hard_links(tmp_path):
    """tar holds the file itself once; what is a link to it is refused by name."""
    write(tmp_path, {})
    os.link(tmp_path / "tree" / "cat" / "1.png", tmp_path / "tree" / "cat" / "9.png")
    shell(tmp_path, "tar czf tree.tar.gz tree/cat/1.png tree/cat/9.png tree/dog")
    result = cli.run("pack", "tree.tar.gz", tmp_path / "out.npy", "--data-root", tmp_path)
    assert result.rc == 65 and "'tree/cat/9.png', which is a link" in result.err, result


def test_one_class_below_folders(tmp_path):
    write(tmp_path, {})
    shell(tmp_path, "rm -r tree/dog && tar czf one.tgz tree")
    cli.done("pack", "one.tgz", tmp_path / "out.npy", "--data-root", tmp_path)
    assert (tmp_path / "out_classes.txt").read_text() == "cat\n"


def test_two_folders_on_top(tmp_path):
    write(tmp_path, {"owl/a/1.png": PNG, "owl/b/1.png": PNG})
    cli.done("pack", "tree", tmp_path / "out.npy", "--data-root", tmp_path)
    assert (tmp_path / "out_classes.txt").read_text() == "cat\ndog/sub\nowl/a\nowl/b\n"


@pytest.mark.parametrize("entry", ["cat", "tree/cat", "b/tree/cat", "a/b/tree/cat"])
def test_lists_may_name_the_folders_on_top(entry, tmp_path):
    write(tmp_path, {})
    shell(tmp_path, "mkdir -p a/b && mv tree a/b/ && tar cf deep.tar a")
    (tmp_path / "list.txt").write_text(f"{entry}\n")
    cli.done("pack", "deep.tar", tmp_path / "out.npy", "--data-root", tmp_path, "--set", "data.source.classes=list.txt")
    assert (tmp_path / "out_classes.txt").read_text() == "cat\n"
    for wrong in "x/cat", "e/cat", "tree/tree/cat":
        (tmp_path / "list.txt").write_text(f"{wrong}\n")
        result = cli.run("pack", "deep.tar", tmp_path / "out.npy", "--data-root", tmp_path, "--set", "data.source.classes=list.txt")
        assert result.rc == 65 and "no class is named" in result.err, result
