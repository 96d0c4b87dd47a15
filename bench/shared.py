"""What the scripts of this folder share: workloads, their simulation, and places in RESULTS.md."""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
METALOOP = os.path.join(ROOT, "build", "metaloop")
RESULTS = os.path.join(ROOT, "bench", "RESULTS.md")

TEXT = """
run {{ name = "scale"  seed = 1  directory = "runs/scale" }}
metrics {{ endpoint = "" }}
data images {{ {data} }}
model {{ {model} }}
stage meta {{ method = "maml"  data = "images"  way = {way}  shot = {shot}  query = {query}  tasks = 32
             inner_steps = 1  inner_rate = 0.4  optimizer = "adam"  rate = 0.001  rounds = 10 }}
"""
MODELS = {
    "conv4": dict(data='format = "glyphs"  size = 28', model='type = "conv4"  filters = 64', way=5, shot=1, query=1),
    "resnet12": dict(data='format = "glyphs"  size = 84', model='type = "resnet12"  filters = 64', way=5, shot=1, query=1),
    "sinusoid": dict(data='format = "sinusoid"', model='type = "mlp"  widths = {"40", "40"}', way=1, shot=10, query=10),
}


def simulate(folder, model, seconds, options):
    path = os.path.join(folder, model + ".conf")
    with open(path, "w") as f:
        f.write(TEXT.format(**MODELS[model]))
    command = [METALOOP, "simulate", path, "--task-seconds", repr(seconds), "--rounds", "2", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench/simulate: {' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def write(name, text):
    """Between the marks of bench/NAME."""
    begin, end = (f"<!-- bench/{name}: {mark} -->" for mark in ("begin", "end"))
    with open(RESULTS, encoding="utf-8") as f:
        before = f.read()
    assert begin in before and end in before, f"bench/RESULTS.md has no place for bench/{name}"
    after = re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", before, flags=re.S)
    with open(RESULTS, "w", encoding="utf-8") as f:
        f.write(after)
