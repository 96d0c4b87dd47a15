#!/usr/bin/python3
"""Builds a colour few-shot set from Debian's icon themes: an icon's name is its class, a theme is its writer.

usage: examples/icons/make_icons.py [--size 48] [OUT]          (OUT: icons in METALOOP_DATA, or in data/)

    apt-get install --no-install-recommends librsvg2-bin papirus-icon-theme breeze-icon-theme oxygen-icon-theme \\
        gnome-icon-theme mate-icon-theme tango-icon-theme adwaita-icon-theme elementary-xfce-icon-theme \\
        lxde-icon-theme numix-icon-theme suru-icon-theme

It reads /usr/share/icons alone. It writes OUT/all/NAME/THEME.png, the same in two styles as OUT/flat/ and OUT/shaded/, and
lists of classes OUT/train.txt, OUT/val.txt and OUT/test.txt (64, 16 and 20 % by the digest of the name, so that a class
stays where it is when themes change). A class is a name of which at least two themes of each style have a picture; a
picture that has several names counts for the one that most themes know. PNG files are taken as they are, SVG files are
rendered by rsvg-convert."""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys

ICONS = "/usr/share/icons"
STYLES = {"flat": ["Papirus", "Numix", "breeze", "suru"], "shaded": ["oxygen", "gnome", "mate", "Tango", "Adwaita", "nuoveXT2", "elementary-xfce"]}
KINDS = "actions", "apps", "applets", "categories", "devices", "emblems", "emotes", "mimetypes", "mimes", "places", "status", "preferences"


def fail(message, status=1):
    print(f"make_icons.py: {message}", file=sys.stderr)
    sys.exit(status)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", type=int, default=48, choices=(32, 48))
    p.add_argument("out", nargs="?", default=os.path.join(os.environ.get("METALOOP_DATA", "data"), "icons"))
    return p.parse_args()


def is_kind(path, size):
    """Whether it is a folder of icons of that size: 48x48/apps, apps/48, scalable/apps."""
    parts = path.split(os.sep)
    return any(k in parts for k in KINDS) and any(s in parts for s in (f"{size}x{size}", str(size), "scalable"))


def pictures(theme, size):
    """The file of each name, PNG of the size before SVG of it before any SVG."""
    found = {}
    top = os.path.join(ICONS, theme)
    for folder, folders, files in os.walk(top):
        folders.sort()
        if not is_kind(os.path.relpath(folder, top), size):
            continue
        for file in sorted(files):
            name, end = os.path.splitext(file)
            path = os.path.join(folder, file)
            if end not in (".png", ".svg") or not os.path.isfile(path) or name.endswith("-symbolic"):
                continue
            rank = (0 if end == ".png" else 1, "scalable" in folder, path)
            if name not in found or rank < found[name][0]:
                found[name] = rank, path
    return {name: path for name, (_, path) in found.items()}


def without_copies(files, count):
    """files: {name: path} of a theme. Of several names for the same content, the one that most themes know is kept."""
    seen, kept = set(), {}
    for name in sorted(files, key=lambda n: (-count[n], n)):
        with open(files[name], "rb") as f:
            digest = hashlib.sha256(f.read()).digest()
        if digest not in seen:
            kept[name] = files[name]
        seen.add(digest)
    return kept


def put(path, size, to):
    if path.endswith(".png"):
        shutil.copyfile(path, to)
    else:
        subprocess.run(["rsvg-convert", "-w", str(size), "-h", str(size), "-o", to, path], check=True)


def rendered(jobs, size):
    """Drops pictures that are the same once they are rendered."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: put(job[0], size, job[1]), jobs))
    seen = set()
    for _, path in jobs:
        with open(path, "rb") as f:
            digest = hashlib.sha256(f.read()).digest()
        if digest in seen:
            os.unlink(path)
        seen.add(digest)


def is_class(themes):
    return all(len(set(of) & set(themes)) >= 2 for of in STYLES.values())


def part_of(name):
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2 ** 32
    return "train" if share < 0.64 else "val" if share < 0.8 else "test"


def main():
    a = arguments()
    themes = [t for style in STYLES.values() for t in style]
    missing = [t for t in themes if not os.path.isdir(os.path.join(ICONS, t))]
    if len(missing) > 2 or not shutil.which("rsvg-convert"):
        fail(f"missing: {', '.join(missing) or 'rsvg-convert'}; --help names the packages", 69)
    if os.path.exists(a.out):
        fail(f"'{a.out}' is there already", 73)
    files = {t: pictures(t, a.size) for t in themes}
    count = collections.Counter(name for t in themes for name in files[t])
    files = {t: without_copies(files[t], count) for t in themes}
    names = sorted(n for n in set().union(*files.values()) if is_class([t for t in themes if n in files[t]]))
    jobs = []
    for name in names:
        os.makedirs(os.path.join(a.out, "all", name))
        jobs += [(files[t][name], os.path.join(a.out, "all", name, f"{t}.png")) for t in themes if name in files[t]]
    rendered(jobs, a.size)
    for name in names:
        there = os.path.join(a.out, "all", name)
        have = [file[:-4] for file in os.listdir(there)]
        if not is_class(have):
            shutil.rmtree(there)
            continue
        for style, of in STYLES.items():
            os.makedirs(os.path.join(a.out, style, name))
            for t in set(of) & set(have):
                os.link(os.path.join(there, f"{t}.png"), os.path.join(a.out, style, name, f"{t}.png"))
    names = sorted(os.listdir(os.path.join(a.out, "all")))
    for part in "train", "val", "test":
        with open(os.path.join(a.out, f"{part}.txt"), "w") as f:
            f.writelines(n + "\n" for n in names if part_of(n) == part)
    pictures_all = sum(len(os.listdir(os.path.join(a.out, "all", n))) for n in names)
    print(f"{len(names)} classes, {pictures_all} pictures in '{a.out}'")


if __name__ == "__main__":
    main()
