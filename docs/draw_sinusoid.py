#!/usr/bin/python3
"""Draws docs/sinusoid.png: what a trained sinusoid model predicts before and after adapting to 10 points.

usage: docs/draw_sinusoid.py CHECKPOINT [OUT.png]      (needs python3-numpy and gnuplot: launch/install-deps docs)
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
if len(sys.argv) not in (2, 3):
    sys.stderr.write(__doc__)
    sys.exit(64)
try:
    import numpy as np
except ImportError:
    np = None
if not np or not shutil.which("gnuplot"):
    sys.exit(sys.stderr.write("draw_sinusoid.py: numpy or gnuplot is not there: launch/install-deps docs\n") and 69)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "torch"))
import safetensors_io

CURVES = [(4.0, 0.6), (2.0, 2.4), (1.0, 1.5)]  # amplitude, phase


def predictions(checkpoint, folder, amplitude, phase, rng):
    """x, truth and the model's curve after 0, 1 and 5 steps; and the points it saw."""
    grid = np.linspace(-5, 5, 100).reshape(-1, 1)
    points = rng.uniform(-5, 5, (10, 1))
    sine = lambda x: amplitude * np.sin(x - phase)
    task, out = os.path.join(folder, "task.safetensors"), os.path.join(folder, "out.safetensors")
    safetensors_io.save(task, {"support.x": points, "support.y": sine(points), "query.x": grid, "query.y": sine(grid)})
    columns = [grid, sine(grid)]
    for steps in (1, 5):
        subprocess.run([os.path.join(ROOT, "build/metaloop"), "gradient", os.path.join(ROOT, "examples/sinusoid.conf"),
                        "--params", checkpoint, "--task", task, "--out", out,
                        "--set", f"stage.meta.inner_steps={steps}"], check=True, stdout=subprocess.DEVNULL)
        result = safetensors_io.load(out)
        columns += [result["logits_before"], result["logits"]] if steps == 1 else [result["logits"]]
    return np.hstack(columns), np.hstack([points, sine(points)])


def main():
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        plots = []
        for i, (amplitude, phase) in enumerate(CURVES):
            curve, points = predictions(sys.argv[1], folder, amplitude, phase, rng)
            names = [os.path.join(folder, f"{kind}{i}") for kind in ("curve", "points")]
            np.savetxt(names[0], curve)
            np.savetxt(names[1], points)
            plots.append(f"""
set title "amplitude {amplitude}, phase {phase}"
plot "{names[0]}" u 1:2 w l lw 2 lc rgb "#999999" t "truth", "" u 1:3 w l lw 1.5 dt 3 lc rgb "#5588cc" t "before", \\
     "" u 1:4 w l lw 2 lc rgb "#dd8833" t "1 step", "" u 1:5 w l lw 2 lc rgb "#228855" t "5 steps", \\
     "{names[1]}" w p pt 7 ps 0.9 lc rgb "#000000" t "10 points"
""")
        script = f"""
set terminal png size 1200,400 font "DejaVuSans,10"
set output "{sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, 'docs/sinusoid.png')}"
set multiplot layout 1,3
set xrange [-5:5]; set yrange [-7:5]; set xlabel "x"; set key bottom left
{''.join(plots)}
"""
        subprocess.run(["gnuplot"], input=script, text=True, check=True)


main()
