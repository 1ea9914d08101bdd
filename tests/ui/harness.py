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
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from stub_server import StubServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("TESSERA_UI_PATIENCE", "180"))  # seconds to wait for something at most

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
        while time.monotonic() < end:
            try:
                found = condition()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            time.sleep(0.05)
        return self.fail(f"waited too long for {what}")

    def all(self, selector):
        return [found for found in self.browser.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]

    def one(self, selector):
        return self.wait(lambda: self.all(selector), selector)[0]

    def type_into(self, selector, *keys):
        """Keys to an element that the page may be about to replace."""

        def typed():
            found = self.all(selector)
            if found:
                found[0].send_keys(*keys)
            return bool(found)

        self.wait(typed, selector)

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
        field = self.one("#input")
        field.click()
        field.send_keys(text)
        return field

    def ask(self, text):
        """Sends a message and waits for its answer."""
        self.type(text).send_keys(Keys.ENTER)
        return self.answered()

    def answered(self):
        """Waits until nothing is being written; returns the last answer's text."""
        self.wait(lambda: self.js(
            "return document.querySelector('.message.assistant') && !document.querySelector('[aria-busy=true]')"),
            "the answer")
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
