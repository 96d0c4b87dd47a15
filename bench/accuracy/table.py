"""The table of bench/accuracy/run: which examples, on how many seeds, and which of their figures beside which papers'."""
import math

EXAMPLES = {  # name: seeds
    "mnist-usps-adda": 5,
    "usps-mnist-adda": 5,
    "mnist-usps-dan": 5,
    "usps-mnist-dan": 5,
    "mnist-usps-coral": 5,
    "usps-mnist-coral": 5,
    "usps-200-scratch": 5,
    "usps-200-finetune": 5,
    "mnist-lwf": 5,
    "mnist-fitnet": 5,
    "mnist-kd": 5,
}

TZENG, HINTON, ROMERO = "Tzeng et al. 2017", "Hinton et al. 2015, 60,000 images", "Romero et al. 2015, 60,000 images"

ROWS = [  # what, example, stage, data, the paper's figure, the paper
    ("MNIST to USPS, source only", "mnist-usps-adda", "source", "usps-test", 75.2, TZENG),
    ("MNIST to USPS, DAN", "mnist-usps-dan", "dan", "usps-test", None, None),
    ("MNIST to USPS, Deep CORAL", "mnist-usps-coral", "coral", "usps-test", None, None),
    ("MNIST to USPS, ADDA", "mnist-usps-adda", "adda", "usps-test", 89.4, TZENG),
    ("USPS to MNIST, source only", "usps-mnist-adda", "source", "mnist-test", 57.1, TZENG),
    ("USPS to MNIST, DAN", "usps-mnist-dan", "dan", "mnist-test", None, None),
    ("USPS to MNIST, Deep CORAL", "usps-mnist-coral", "coral", "mnist-test", None, None),
    ("USPS to MNIST, ADDA", "usps-mnist-adda", "adda", "mnist-test", 90.1, TZENG),
    ("200 images of USPS, from scratch", "usps-200-scratch", "scratch", "usps-test", None, None),
    ("200 images of USPS, fine-tuned after MNIST", "usps-200-finetune", "finetune", "usps-test", None, None),
    ("MNIST, before new characters", "mnist-lwf", "old", "mnist-test", None, None),
    ("new characters, plain", "mnist-lwf", "plain", "glyphs", None, None),
    ("MNIST after that", "mnist-lwf", "plain", "mnist-test", None, None),
    ("new characters, without forgetting", "mnist-lwf", "lwf", "glyphs", None, None),
    ("MNIST after that", "mnist-lwf", "lwf", "mnist-test", None, None),
    ("teacher, LeNet, 2,000 images", "mnist-fitnet", "teacher", "mnist-test", 99.45, ROMERO),
    ("thin deep student, distilled", "mnist-fitnet", "kd", "mnist-test", 99.35, ROMERO),
    ("thin deep student, hint and distilled", "mnist-fitnet", "fitnet", "mnist-test", 99.49, ROMERO),
    ("teacher, 2 x 1200 with dropout, 10,000 images", "mnist-kd", "teacher", "mnist-test", 99.33, HINTON),
    ("student, 2 x 800, alone", "mnist-kd", "alone", "mnist-test", 98.54, HINTON),
    ("student, 2 x 800, distilled", "mnist-kd", "distilled", "mnist-test", 99.26, HINTON),
]

BEGIN, END = "<!-- bench/accuracy/run: begin -->\n", "<!-- bench/accuracy/run: end -->\n"


def row(what, example, stage, data, figure, paper, summaries):
    mean, deviation, n = summaries[example].get((stage, data), (math.nan, 0, 0))
    if n == 0:
        return ""
    ours = f"{mean:.2f} ± {deviation:.2f}" if n > 1 else f"{mean:.2f}"
    theirs = f"{figure} ({paper})" if paper else ""
    return f"| {what} | `{example}`, {stage} | {ours} | {n} | {theirs} |\n"


def write(path, summaries):
    """summaries: {example: {(stage, data): (mean, standard deviation, seeds)}}"""
    table = "| experiment | example, stage | accuracy, % | seeds | paper |\n| --- | --- | --- | --- | --- |\n"
    table += "".join(row(*r, summaries) for r in ROWS)
    with open(path) as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as f:
        f.write(before + BEGIN + table + END + after)
