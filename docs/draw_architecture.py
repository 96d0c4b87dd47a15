#!/usr/bin/python3
"""Draws docs/architecture.svg: the rooms of the tree and who includes whom. tests/run/test_documents.py holds it to the tree.

usage: docs/draw_architecture.py [OUT.svg]
"""
import html
import os
import sys

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "architecture.svg")
WIDTH, HEIGHT = 1120, 868
TINTS = {"launch": "#f6f2e6", "coordinator": "#e7effb", "worker": "#e8f5e9", "observer": "#f8ecf8", "proto": "#fff5df",
         "core": "#eef0f3"}
WAYS = {"P": ("#1f5fbf", "a parameter"), "T": ("#2e7d32", "a task"), "M": ("#a5378f", "a metric")}

# room: x, y, width, height, what it does (lines), its stops on the three ways
ROOMS = {
    "launch": (30, 56, 730, 54, ["arguments, verbs, the start of MPI, each rank's role; scripts that start and watch over runs"], ""),
    "coordinator/run": (30, 144, 350, 84, ["stages, outer steps, evaluation, the guard,", "checkpoints, reports"], "P1 P7 M3"),
    "coordinator/crew": (30, 262, 350, 84, ["which ranks live, which rank gets which task,", "whether a round's sum is whole"],
                         "T1 P2"),
    "worker": (410, 144, 350, 84, ["serve: talks to rank 0; pool: threads;", "engine: runs a task; method_work: the method"], "P4 T4"),
    "worker/method": (410, 262, 86, 84, ["one file", "a method"], "P5 T5 M1"),
    "worker/transfer": (504, 262, 78, 84, ["batches,", "domains"], ""),
    "worker/contract": (590, 262, 82, 84, ["what a", "method is"], ""),
    "worker/inner": (680, 262, 80, 84, ["samples,", "inner loop"], ""),
    "observer": (810, 56, 280, 54, ["arguments; which views show which runs"], ""),
    "observer/view": (810, 144, 280, 54, ["screen, page, files, picture"], "M7"),
    "observer/source": (810, 218, 280, 54, ["the live stream, or a run's file"], "M5"),
    "observer/model": (810, 292, 280, 54, ["what is known of each run"], "M6"),
    "proto/comm": (30, 402, 350, 54, ["bytes between ranks: MPI, threads, simulated"], "P3 T3"),
    "proto": (410, 402, 350, 54, ["wire: structs to messages and back"], "T2"),
    "proto/stream": (810, 402, 280, 54, ["events to metrics.jsonl and to observers"], "M4"),
    "core/file": (30, 512, 230, 54, ["safetensors, checkpoints"], ""),
    "core/plan": (290, 512, 800, 54, ["the configuration made ready: stages, tasks, metrics, the round's sum"], "P6 M2"),
    "core/data": (290, 600, 800, 54, ["data sets: formats, generators, what all ranks must hold alike"], ""),
    "core/config": (750, 688, 340, 54, ["one table with every key"], ""),
    "core/sim": (30, 600, 155, 54, ["virtual time"], ""),
    "core/math": (30, 688, 690, 54, ["layers, losses, optimizers, networks, random numbers, the exact sum"], ""),
    "core/base": (30, 776, 1060, 54, ["errors, arena, clock, threads, output files"], ""),
}
GROUPS = {"coordinator": (20, 132, 370, 224), "worker": (400, 132, 370, 224), "observer": (800, 46, 300, 310),
          "proto": (20, 390, 1080, 76), "core": (20, 500, 1080, 340)}
# (room, room that it includes); what follows from two arrows is not drawn
ARROWS = [
    ("launch", "coordinator/run"), ("launch", "worker"),
    ("coordinator/run", "coordinator/crew"), ("coordinator/run", "core/file"), ("coordinator/run", "proto/stream"),
    ("coordinator/crew", "proto/comm"), ("coordinator/crew", "proto"),
    ("worker", "worker/method"), ("worker/method", "worker/transfer"), ("worker/transfer", "worker/contract"),
    ("worker/contract", "worker/inner"), ("worker/inner", "core/plan"),
    ("worker", "proto/comm"), ("worker", "proto"),
    ("observer", "observer/view"), ("observer/view", "observer/source"), ("observer/source", "observer/model"), ("observer/model", "proto/stream"),
    ("proto/comm", "core/plan"), ("proto/comm", "core/sim"), ("proto", "core/plan"), ("proto/stream", "core/config"),
    ("core/plan", "core/file"), ("core/plan", "core/data"), ("core/data", "core/config"), ("core/data", "core/math"), ("core/file", "core/math"),
    ("core/config", "core/base"), ("core/math", "core/base"), ("core/sim", "core/base"),
]
# where an arrow does not run straight down between two boxes: its corners
CORNERS = {
    ("coordinator/run", "core/file"): [(30, 190), (10, 190), (10, 539), (30, 539)],
    ("coordinator/run", "proto/stream"): [(380, 174), (390, 174), (390, 374), (850, 374), (850, 402)],
    ("worker", "proto/comm"): [(410, 206), (402, 206), (402, 429), (380, 429)],
    ("worker", "proto"): [(760, 206), (768, 206), (768, 429), (760, 429)],
    ("coordinator/crew", "proto"): [(340, 346), (340, 384), (440, 384), (440, 402)],
    ("worker/inner", "core/plan"): [(760, 304), (785, 304), (785, 512)],
    ("worker", "worker/method"): [(453, 228), (453, 262)],
    ("proto/comm", "core/plan"): [(330, 456), (330, 512)],
    ("proto/stream", "core/config"): [(1090, 429), (1112, 429), (1112, 715), (1090, 715)],
    ("core/data", "core/config"): [(920, 654), (920, 688)],
    ("core/data", "core/math"): [(505, 654), (505, 688)],
    ("core/plan", "core/file"): [(290, 539), (260, 539)],
    ("core/file", "core/math"): [(225, 566), (225, 688)],
    ("proto/comm", "core/sim"): [(30, 429), (16, 429), (16, 620), (30, 620)],
    ("core/sim", "core/base"): [(30, 640), (16, 640), (16, 803), (30, 803)],
}


def text(x, y, what, size=12, weight="normal", colour="#222", anchor="start"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}">'
            f'{html.escape(what)}</text>')


def room(name):
    x, y, w, h, lines, stops = ROOMS[name]
    tint = TINTS[name.split("/")[0]]
    out = [f'<g id="{name}"><rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{tint}" stroke="#555"/>',
           text(x + 10, y + 20, (name if w > 150 else name.split("/")[1]) + "/", 14, "bold")]
    out += [text(x + 10, y + 40 + 17 * i, line) for i, line in enumerate(lines)]
    for i, stop in enumerate(stops.split()):
        cx = x + w - 16 - 27 * (len(stops.split()) - 1 - i)
        cy = y + h - 14 if w < 150 else y + 16
        out.append(f'<circle cx="{cx}" cy="{cy}" r="11" fill="{WAYS[stop[0]][0]}"/>' +
                   text(cx, cy + 4, stop, 11, "bold", "#fff", "middle"))
    return out + ["</g>"]


def straight(a, b):
    """From a's lower edge down to b, or from its right edge to b beside it."""
    ax, ay, aw, ah = ROOMS[a][:4]
    bx, by, bw = ROOMS[b][:3]
    if ay == by:
        return [(ax + aw, ay + ah / 2), (bx, by + ah / 2)]
    x = (max(ax, bx) + min(ax + aw, bx + bw)) / 2
    return [(x, ay + ah), (x, by)]


def arrow(a, b):
    points = " ".join(f"{x:g},{y:g}" for x, y in CORNERS.get((a, b)) or straight(a, b))
    return (f'<polyline data-from="{a}" data-to="{b}" points="{points}" fill="none" stroke="#666" stroke-width="1.4" '
            'marker-end="url(#head)"/>')


def legend():
    x, out = 30, []
    for letter, (colour, what) in WAYS.items():
        out.append(f'<circle cx="{x + 8}" cy="24" r="8" fill="{colour}"/>')
        out.append(text(x + 22, 29, f"{letter}1, {letter}2 ...: the way of {what}", 13))
        x += 280
    return out + [text(1090, 29, "an arrow: includes", 13, anchor="end")]


def picture():
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="Helvetica, Arial, sans-serif"><defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" '
            'refY="4" orient="auto"><path d="M0,0 L9,4 L0,8 z" fill="#666"/></marker></defs>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>')
    out = [head, *legend()]
    for x, y, w, h in GROUPS.values():
        out.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="9" fill="none" stroke="#bbb" stroke-dasharray="5 4"/>')
    out += [arrow(a, b) for a, b in ARROWS]
    for name in ROOMS:
        out += room(name)
    out += [text(30, 858, "build/metaloop: everything but observer/", 12, colour="#555"),
            text(1090, 858, "build/metaloop-observe: observer/, proto/stream/, core/base/", 12, colour="#555", anchor="end")]
    return "\n".join(out + ["</svg>", ""])


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    with open(sys.argv[1] if len(sys.argv) == 2 else OUT, "w", encoding="utf-8") as f:
        f.write(picture())
