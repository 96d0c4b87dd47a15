#!/usr/bin/python3
"""Draws what docs/observe.md shows, from a run of cluster.conf that it trains first (two minutes): the page over its two stages,
docs/observe.png and docs/observe-meta.png, and the screen, between the marks in docs/observe.md.

usage: docs/draw_observe.py                      (needs chromium, selenium and tmux: launch/install-deps test)
"""
import base64
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import cli
from observing import OBSERVE, Server
from test_observe_terminal import Terminal

SETS = ("stage.meta.inner_steps=2", "stage.meta.inner_rate=0.2", "evaluate.every=50", "metrics.endpoint=")
WIDTH, HEIGHT, COLUMNS, ROWS = 1280, 1120, 100, 30


def train(folder):
    subprocess.run(["launch/run", "-n", "3", "train", "cluster.conf", "--run", os.path.join(folder, "glyphs"), "--quiet",
                    *(word for pair in SETS for word in ("--set", pair))],
                   check=True, cwd=ROOT, env=cli.environment(), stdout=subprocess.DEVNULL)


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           dict(width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False))
    return driver


def picture(driver, url, name, stage, scheme):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    driver.get(url)
    time.sleep(2)
    driver.execute_script(f"[...document.querySelectorAll('button')].find(b => b.textContent.startsWith('{stage}')).click()")
    time.sleep(2)
    driver.execute_script("document.getElementById('facts-card').hidden = true")  # a machine's own names
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"]
    with open(os.path.join(ROOT, "docs", name), "wb") as f:
        f.write(base64.b64decode(shot))


def screen(folder):
    terminal = Terminal(folder, COLUMNS, ROWS, OBSERVE, "--replay", "glyphs")
    try:
        return terminal.until(lambda text: "align" in text and "done" in text)
    finally:
        terminal.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        train(folder)
        os.chdir(folder)
        server, driver = Server("--replay", "glyphs"), browser()
        picture(driver, server.url, "observe.png", "align", "light")
        picture(driver, server.url, "observe-meta.png", "meta", "dark")
        driver.quit()
        server.close()
        text = screen(folder)
        os.chdir(ROOT)
    path = os.path.join(ROOT, "docs", "observe.md")
    with open(path, encoding="utf-8") as f:
        page = f.read()
    host = socket.gethostname()[:8]
    text = re.sub(rf"(?<= ){re.escape(host)}(?= )", ("node" * 2)[:len(host)], text)  # a machine's own name
    block = "\n".join(line.rstrip() for line in text.rstrip().split("\n"))
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"(?s)(<!-- draw_observe.py: begin -->\n).*?(<!-- draw_observe.py: end -->)",
                       lambda m: f"{m[1]}```\n{block}\n```\n{m[2]}", page))


if __name__ == "__main__":
    main()
