"""A browser, the servers, and what every test of the page checks at its end."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException, ElementNotInteractableException,
                                        InvalidElementStateException, StaleElementReferenceException)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from stub_server import StubServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("TESSERA_UI_PATIENCE", "180"))  # seconds to wait for something at most

# What a driver says, before it has done anything, of an element that the page is just replacing,
# hiding or covering. It may be otherwise in a moment; what stays so is a failure.
CHANGING = (ElementClickInterceptedException, ElementNotInteractableException, InvalidElementStateException,
            StaleElementReferenceException)

# Runs in each page before its own scripts.
WATCH = """
window.seen = {violations: [], errors: [], spoken: []};
addEventListener('securitypolicyviolation', (event) =>
  window.seen.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
addEventListener('error', (event) => window.seen.errors.push(event.message));
addEventListener('unhandledrejection', (event) => window.seen.errors.push(String(event.reason)));
addEventListener('DOMContentLoaded', () => {
  const region = document.getElementById('announcer');
  if (region) new MutationObserver(() => region.textContent && window.seen.spoken.push(region.textContent))
    .observe(region, {childList: true, characterData: true, subtree: true});
});
"""


def start_browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,860"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's sandbox refuses root
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.set_script_timeout(PATIENCE)
    browser.set_page_load_timeout(PATIENCE)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    return browser


class TesseraServer:
    """`tessera serve` with SmolLM2 135M, on a port of its own."""

    def __init__(self, *flags):
        model = os.environ.get("TESSERA_UI_MODEL") or subprocess.run(
            [ROOT / "script/fetch-model", "smollm2:135m"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.process = subprocess.Popen(
            [ROOT / "build/release/src/tessera", "serve", model, "--port", "0", "--kv-memory", "256M", *flags],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line).group(0) + "/"

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Shown:
    """The first displayed element of a selector, found anew for each use: the page may replace it at any
    moment. What is done to it waits until it is enabled and nothing lies above it."""

    def __init__(self, test, selector):
        self.test, self.selector = test, selector

    def use(self, action, ready=lambda found: True):
        def used():
            found = self.test.all(self.selector)
            return found and ready(found[0]) and (action(found[0]),)

        return self.test.wait(used, self.selector)[0]

    def act(self, action):
        self.use(action, lambda found: found.is_enabled())
        return self

    def click(self):
        return self.act(lambda found: found.click())

    def clear(self):
        return self.act(lambda found: found.clear())

    def send_keys(self, *keys):
        return self.act(lambda found: found.send_keys(*keys))

    def get_attribute(self, name):
        return self.use(lambda found: found.get_attribute(name))

    @property
    def text(self):
        return self.use(lambda found: found.text)

    @property
    def size(self):
        return self.use(lambda found: found.size)


class PageTest(unittest.TestCase):
    """Each test begins with an empty browser on the page of `self.url`."""
    make_server = StubServer

    @classmethod
    def setUpClass(cls):
        cls.downloads = tempfile.TemporaryDirectory()
        cls.browser = start_browser(cls.downloads.name)
        cls.server = cls.make_server()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.close()
        cls.downloads.cleanup()

    def setUp(self):
        self.screen(1280, 860)
        self.browser.get(self.server.url + "mark.svg")  # the origin, without the page
        self.js("localStorage.clear()")
        self.open()

    def tearDown(self):
        seen = self.js("return window.seen")
        self.assertEqual(seen["violations"], [])
        self.assertEqual(seen["errors"], [])
        origins = self.js("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)")
        self.assertLessEqual(set(origins), {self.js("return location.origin")})

    def open(self, hash_="#/"):
        self.browser.get("about:blank")
        self.browser.get(self.server.url + hash_)
        self.wait(lambda: self.js("return document.getElementById('model-name').textContent") or not self.has_model())

    def has_model(self):
        return True

    def screen(self, width, height, dark=False):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition, what="the page"):
        """Waits until `condition` holds, and returns what it gave."""
        end = time.monotonic() + PATIENCE
        obstacle = None
        while time.monotonic() < end:
            try:
                found, obstacle = condition(), None
            except CHANGING as error:
                found, obstacle = None, error
            if found:
                return found
            time.sleep(0.05)
        return self.fail(f"waited too long for {what}" + (f": {obstacle.msg}" if obstacle else ""))

    def all(self, selector):
        """What is displayed at one moment."""

        def displayed():
            return [[found for found in self.browser.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]]

        return self.wait(displayed, selector)[0]

    def one(self, selector):
        """The first one that is displayed, once there is one."""
        self.wait(lambda: self.all(selector), selector)
        return Shown(self, selector)

    def press(self, *keys):
        """Keys to whatever has the focus; those before the last are held."""
        chain = ActionChains(self.browser)
        for key in keys[:-1]:
            chain.key_down(key)
        chain.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            chain.key_up(key)
        chain.perform()

    def type(self, text):
        return self.one("#input").click().send_keys(text)

    def ask(self, text):
        """Sends a message and waits for its answer."""
        self.type(text).send_keys(Keys.ENTER)
        return self.answered()

    def answered(self):
        """Waits until nothing is being written, and messages can be edited again; returns the last answer's text."""
        self.wait(lambda: self.js(
            "return document.querySelector('.message.assistant') && !document.querySelector('[aria-busy=true]') "
            "&& document.getElementById('stop').hidden"), "the answer")
        return self.texts(".message.assistant")[-1]

    def texts(self, selector):
        return self.js("return Array.from(document.querySelectorAll(arguments[0]), (found) => "
                       "(found.querySelector('.prose, .said') ?? found).textContent)", selector)

    def said(self):
        return self.texts(".message")

    def spoken(self):
        return self.js("return window.seen.spoken")

    def focused(self):
        return self.js("const at = document.activeElement; return at.id || at.getAttribute('aria-label') || at.tagName")
