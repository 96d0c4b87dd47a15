"""The table of bench/accuracy/run: which examples, on how many seeds, and which of their figures beside which papers'."""
import math

EXAMPLES = {  # name: seeds
    "mnist-usps-adda": 5,
    "usps-mnist-adda": 5,
    "mnist-usps-dan": 5,
    "usps-mnist-dan": 5,
    "mnist-usps-coral": 5,
    "usps-mnist-coral": 5,
}

TZENG = "Tzeng et al. 2017: "

ROWS = [  # what, example, stage, data, the paper's
    ("MNIST -> USPS, source only", "mnist-usps-adda", "source", "usps-test", TZENG + "75.2"),
    ("MNIST -> USPS, DAN", "mnist-usps-dan", "dan", "usps-test", ""),
    ("MNIST -> USPS, Deep CORAL", "mnist-usps-coral", "coral", "usps-test", ""),
    ("MNIST -> USPS, ADDA", "mnist-usps-adda", "adda", "usps-test", TZENG + "89.4"),
    ("USPS -> MNIST, source only", "usps-mnist-adda", "source", "mnist-test", TZENG + "57.1"),
    ("USPS -> MNIST, DAN", "usps-mnist-dan", "dan", "mnist-test", ""),
    ("USPS -> MNIST, Deep CORAL", "usps-mnist-coral", "coral", "mnist-test", ""),
    ("USPS -> MNIST, ADDA", "usps-mnist-adda", "adda", "mnist-test", TZENG + "90.1"),
]

BEGIN, END = "<!-- bench/accuracy/run: begin -->\n", "<!-- bench/accuracy/run: end -->\n"


def row(what, example, stage, data, paper, summaries):
    mean, deviation, n = summaries[example].get((stage, data), (math.nan, 0, 0))
    if n == 0:
        return ""
    return f"| {what} | `{example}` | {mean:.1f} ± {deviation:.1f} | {n} | {paper} |\n"


def write(path, summaries):
    """summaries: {example: {(stage, data): (mean, standard deviation, seeds)}}"""
    table = "| experiment | example | accuracy, % | seeds | paper |\n| --- | --- | --- | --- | --- |\n"
    table += "".join(row(*r, summaries) for r in ROWS)
    with open(path) as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as f:
        f.write(before + BEGIN + table + END + after)
