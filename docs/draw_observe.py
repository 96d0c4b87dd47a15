#!/usr/bin/python3
"""Draws docs/observe.png: the page of metaloop-observe over a run that it trains first (half a minute).

usage: docs/draw_observe.py                      (needs chromium and selenium: launch/install-deps test)
"""
import base64
import os
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
import cli
from observing import Server

RUN = """
run { name = "glyphs"  seed = 1 }
data ink { format = "glyphs"  style = "ink"  first = 4  size = 14 }
data chalk { format = "glyphs"  style = "chalk"  first = 4  size = 14 }
model { type = "conv4"  filters = 8 }
stage source { method = "pretrain"  data = "ink"  batch = 16  tasks = 2  rounds = 300  evaluate = {ink, chalk} }
stage align { method = "adda"  start = "source"  anchor = "source"  data = "ink"  target = {chalk}  batch = 16  tasks = 2
              rounds = 400  discriminator = {16}  rate = 0.001  discriminator_rate = 0.002 }
evaluate { every = 50 }
"""
WIDTH, HEIGHT = 1280, 1120


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           dict(width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False))
    return driver


def main():
    with tempfile.TemporaryDirectory() as folder:
        conf, run = os.path.join(folder, "glyphs.conf"), os.path.join(folder, "glyphs")
        with open(conf, "w") as f:
            f.write(RUN)
        subprocess.run([cli.METALOOP, "train", conf, "--run", run, "--set", "metrics.endpoint="], check=True,
                       env=cli.environment(), stdout=subprocess.DEVNULL)
        os.chdir(folder)
        server, driver = Server("--replay", "glyphs"), browser()
        driver.get(server.url)
        time.sleep(3)
        driver.execute_script("document.getElementById('facts-card').hidden = true")  # a machine's own names
        picture = driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"]
        driver.quit()
        server.close()
        os.chdir(ROOT)
    with open(os.path.join(ROOT, "docs", "observe.png"), "wb") as f:
        f.write(base64.b64decode(picture))


if __name__ == "__main__":
    main()
