"""The page in a real browser: curves grow, a lost worker and the end show, dark and narrow, nothing leaves the machine."""
import json
import os
import signal
import subprocess
import time

import pytest

import cli
from observing import Server, free_port

webdriver = pytest.importorskip("selenium.webdriver")
pytest.importorskip("zmq")

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

import publisher


class Browser:
    def __init__(self, width, height, dark=False):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                         "--disable-background-networking", "--disable-component-update", f"--window-size={width},{height}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    dict(width=width, height=height, deviceScaleFactor=1, mobile=width < 500))
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, url):
        self.driver.get(url)
        self.until("document.body.dataset.state")

    def js(self, expression):
        return self.driver.execute_script("return " + expression)

    def until(self, expression, seconds=60):
        limit = time.monotonic() + seconds
        while not (value := self.js(expression)):
            assert time.monotonic() < limit, (expression, self.js("document.body.innerText"), self.driver.get_log("browser"))
            time.sleep(0.1)
        return value

    def requests(self):
        log = (json.loads(line["message"])["message"] for line in self.driver.get_log("performance"))
        return [m["params"]["request"]["url"] for m in log if m["method"] == "Network.requestWillBeSent"]

    def check(self, port):
        """Nothing in the console, no request but to the observer."""
        assert self.driver.get_log("browser") == []
        urls = self.requests()
        assert any(u.endswith("/api/events") for u in urls)
        assert all(u.startswith((f"http://127.0.0.1:{port}/", "data:")) for u in urls), urls


    def forget(self):
        """As if it had just been started."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        for log in "browser", "performance":
            self.driver.get_log(log)


@pytest.fixture(scope="module")
def browsers():
    """{(width, height, dark): a browser that was started}"""
    started = {}
    yield started
    for b in started.values():
        b.driver.quit()


@pytest.fixture
def browser(request, browsers):
    size = getattr(request, "param", (1400, 1200, False))
    if size not in browsers:
        try:
            browsers[size] = Browser(*size)
        except WebDriverException as e:
            pytest.fail(f"chromium does not start: {e}")
    yield browsers[size]
    browsers[size].forget()


@pytest.fixture
def stream():
    p = publisher.Publisher(free_port_of := free_port())
    p.port = free_port_of
    yield p
    p.close()


@pytest.fixture
def server(stream):
    s = Server(f"tcp://127.0.0.1:{stream.port}")
    yield s
    s.close()


def play(stream, first, last):
    for n in range(first, last + 1):
        stream.round(n, communication=0.25, support_losses=[3 / n, 2 / n, 1 / n])


def begin(stream):
    stream.begin()
    stream.tell("workers", workers=[dict(rank=r, host=f"node{r}", state="working", tasks=9, computing=3, waiting=1) for r in (1, 2)])
    play(stream, 1, 30)


POINTS = "Math.max(0, ...[...stores[0].series.values()].map(s => s.points.length))"
ROUND = "document.getElementById('round').textContent"
NUMBER = f"parseInt({ROUND}.match(/round (\\d+)/)[1])"


def test_a_run_from_its_middle_to_its_end(stream, server, browser):
    begin(stream)
    browser.open(server.url)
    browser.until(f"stores[0] && {POINTS} === 30")
    assert "round 30 of 100" in browser.js(ROUND)
    before = browser.js("document.querySelector('.chart canvas').toDataURL()")
    play(stream, 31, 60)
    browser.until(f"{POINTS} === 60 && {ROUND}.includes('round 60 of 100')")
    assert browser.js("document.querySelector('.chart canvas').toDataURL()") != before
    assert browser.js("document.querySelectorAll('.chart').length") >= 3
    legend = browser.js("document.querySelector('.chart[data-title=\"support loss by step\"] .legend').innerText")
    assert [name in legend for name in ("step 0", "step 1", "step 2", "step 3")] == [True] * 3 + [False], legend
    assert "25.0 %\ncommunication" in browser.js("document.getElementById('figures').innerText")
    stream.tell("rank", what="lost", rank=2, host="node2", text="rank 2 on 'node2' is lost", in_round=60)
    browser.until("document.querySelector('#workers tr.gone')")
    assert browser.js("document.querySelector('#workers tr.gone').innerText.includes('node2')")
    assert "rank 2 on 'node2' is lost" in browser.js("document.querySelector('#notes .fault').textContent")
    for step in (0, 1):
        stream.tell("evaluation", stage="meta", stage_index=0, round=60, data="ink", step=step, episodes=50, loss=1,
                    accuracy=0.8, accuracy_ci95=0.02)
    browser.until("document.querySelectorAll('#evaluations tr').length === 3")
    assert "80.0 % ± 2.0 %" in browser.js("document.getElementById('evaluations').innerText")
    stream.tell("end", digest="abcdef", status=0)
    browser.until("document.body.dataset.state === 'ended'")
    assert "done" in browser.js("document.getElementById('end').innerText")
    browser.check(server.port)


def test_a_killed_worker_of_a_real_run(tmp_path, browser):
    """Three ranks under launch/run; one is killed: it shows as lost, the curves grow; the run is stopped, and its end shows."""
    port = free_port()
    conf = cli.small(tmp_path, replace={"rounds = 8 ": "rounds = 1000000 ", "every = 4 ": "every = 2000 ", "tasks = 6": "tasks = 12"})
    s = Server(f"tcp://127.0.0.1:{port}")
    browser.open(s.url)
    run = subprocess.Popen([os.path.join(cli.ROOT, "launch", "run"), "-n", "4", "train", conf, "--set", "cluster.lease=2",
                            "--set", f"metrics.endpoint=tcp://127.0.0.1:{port}"], env=cli.environment(), start_new_session=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        browser.until(f"stores[0] && {POINTS} > 50 && document.querySelectorAll('#workers tr').length === 4", 60)
        with open(tmp_path / "run" / "manifest.json") as f:
            victim = next(w for w in json.load(f)["workers"] if w["rank"] == 2)
        os.kill(victim["pid"], signal.SIGKILL)
        browser.until("document.querySelector('#workers tr.gone')", 60)
        assert browser.js("document.querySelector('#workers tr.gone td').textContent") == "2"
        number = browser.js(NUMBER)
        browser.until(f"{NUMBER} > {number + 20}", 60)
        run.terminate()
        browser.until("document.getElementById('end').innerText.includes('signal')", 100)
        browser.check(s.port)
    finally:
        cli.end(run)
        s.close()


def test_adaptation_panel(stream, server, browser):
    stream.tell("stage", stage="align", stage_index=0, rounds=9, method="adda")
    browser.open(server.url)
    looks = dict(stage="align", stage_index=0, target="chalk", score=0.4, score_best=0.9, entropy=1.5)
    stream.tell("watch", round=1, **looks)
    browser.until("document.querySelector('#watch .badge.good')")
    stream.tell("watch", round=2, collapsed=1, **looks)
    browser.until("document.querySelector('#watch .badge.bad')")
    assert browser.js("document.querySelector('#notes .alarm').textContent") == "alarm: target 'chalk': collapsed"
    browser.check(server.port)


def test_controls(stream, server, browser):
    begin(stream)
    browser.open(server.url)
    browser.until(f"stores[0] && {POINTS} === 30")
    shot = lambda: browser.js("document.querySelector('.chart[data-title=loss] canvas').toDataURL()")
    browser.until("document.querySelector('.chart[data-title=loss] canvas')")
    plain = shot()
    browser.js("document.getElementById('log').click()")
    browser.until(f"charts.charts.get('loss').graph.getOption('logscale')")
    assert shot() != plain
    browser.js("(e => { e.value = 0; e.oninput(); })(document.getElementById('smooth'))")
    browser.until("charts.charts.get('loss').graph.getLabels().length === 2")
    browser.js("document.getElementById('configuration').setAttribute('open', '')")
    browser.until("document.querySelector('#configuration pre').textContent.includes('run { }')")
    browser.check(server.port)


@pytest.mark.parametrize("browser", [(375, 800, False)], indirect=True)
def test_on_a_phone(stream, server, browser):
    begin(stream)
    browser.open(server.url)
    browser.until("document.querySelectorAll('.chart').length >= 3")
    assert browser.js("document.documentElement.scrollWidth") <= 375
    wide = browser.js("[...document.querySelectorAll('.chart, .card, .figure')].filter(e => !e.hidden && "
                      "(e.getBoundingClientRect().right > 376 || e.getBoundingClientRect().left < -1)).length")
    assert wide == 0
    small = browser.js("[...document.querySelectorAll('button, select')].filter(e => e.offsetHeight && e.offsetHeight < 36).length")
    assert small == 0
    browser.check(server.port)


@pytest.mark.parametrize("browser", [(375, 800, True)], indirect=True)
def test_two_runs_of_one_name_on_a_phone(tmp_path, browser):
    """An entry each, which the id tells apart; a long place makes nothing wider than the screen; choosing one shows it."""
    folders = [tmp_path / f"a-rather-long-name-of-a-place-that-does-not-fit-{k}" for k in (1, 2)]
    for k, folder in enumerate(folders):
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(f'{{"kind":"run","run_id":"{k}a2b3c4d5e6f7081","name":"fs"}}\n'
                                              '{"kind":"stage","stage":"meta","stage_index":0,"rounds":9,"method":"maml"}\n'
                                              f'{{"kind":"round","stage":"meta","stage_index":0,"round":{k + 3},"loss":{k + 1}}}\n')
    s = Server("--replay", folders[0], "--replay", folders[1])
    try:
        browser.open(s.url)
        browser.until("document.querySelector('.chart') && runs.length === 2 && runs[1].run_id && stores[1]")
        labels = browser.js("[...document.getElementById('run').options].map(o => o.textContent)")
        assert [label.split(" · ")[0] for label in labels] == [f"fs {k}a2b3c4d5e6f7081" for k in (0, 1)]
        assert browser.js("document.documentElement.scrollWidth") <= 375
        browser.js("(e => { e.value = 1; e.onchange({target: e}); })(document.getElementById('run'))")
        browser.until("document.getElementById('name').textContent === 'fs 1a2b3c4d5e6f7081'")
        browser.until(f"{ROUND}.includes('round 4 of 9')")
        browser.check(s.port)
    finally:
        s.close()


def brightness(browser, element, what):
    colour = browser.js(f"getComputedStyle({element}).{what}.match(/[0-9.]+/g).slice(0, 3).map(Number)")
    return sum(colour) / 3


@pytest.mark.parametrize("browser", [(1200, 800, True)], indirect=True)
def test_dark(stream, server, browser):
    begin(stream)
    browser.open(server.url)
    browser.until("document.querySelector('.chart')")
    for element in ("document.body", "document.querySelector('.chart')", "document.querySelector('header')"):
        assert brightness(browser, element, "backgroundColor") < 60
    assert brightness(browser, "document.body", "color") > 180
    browser.js("document.getElementById('theme').click()")
    assert brightness(browser, "document.body", "backgroundColor") > 200
    browser.check(server.port)


def test_names_are_text(stream, server, browser):
    stream.tell("run", name="<img src=x onerror=alert(1)>", configuration="<b>")
    stream.tell("stage", stage="<b>a</b>", stage_index=0, rounds=9, method="<script>alert(1)</script>")
    stream.tell("evaluation", stage="<b>a</b>", stage_index=0, round=1, data="<img src=x onerror=alert(2)>", step=0, episodes=5,
                loss=1, accuracy=0.8, accuracy_ci95=0.02)
    stream.tell("log", level="warning", text="<svg onload=alert(3)>")
    browser.open(server.url)
    browser.until("document.querySelector('#notes .fault') && document.querySelectorAll('#evaluations tr').length === 2")
    assert browser.js("document.querySelectorAll('img, svg, body b b, nav b').length") == 0
    assert browser.js("document.getElementById('name').textContent").startswith("<img")
    browser.check(server.port)


def test_the_token_stays_out_of_other_requests(stream, browser):
    s = Server(f"tcp://127.0.0.1:{stream.port}", address="0.0.0.0:0")
    begin(stream)
    browser.open(s.url.replace("0.0.0.0", "127.0.0.1"))
    browser.until("document.querySelector('.chart')")
    urls = browser.requests()
    assert sum(s.token in u for u in urls) == 1
    s.close()
