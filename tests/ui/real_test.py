"""A real conversation: `tessera serve` with SmolLM2, and the page that is embedded in it."""
import urllib.error
import urllib.request

from selenium.webdriver.common.keys import Keys

from harness import ROOT, PageTest, TesseraServer
from stub_server import content_security_policy


class RealTest(PageTest):
    make_server = TesseraServer

    def settings(self, **values):
        self.one("#toggle-settings").click()
        for name, value in values.items():
            field = self.one(f"#setting-{name}")
            field.clear()
            field.send_keys(value)
        self.press(Keys.ESCAPE)

    def test_conversation(self):
        self.settings(temperature="0", max_tokens="30")
        # A long answer: of a few tokens, which a fast machine has at once, no rate is told.
        answer = self.ask("Tell me about Paris, the capital of France.")
        self.assertIn("Paris", answer)
        facts = self.one(".facts").text
        self.assertRegex(facts, r"\d+ tokens? · [\d.]+ tokens/s · .*\d+ of \d+ prompt tokens cached")
        self.ask("And of Italy?")
        self.assertRegex(self.all(".facts")[1].text, r"[1-9]\d* of \d+ prompt tokens cached")
        said = self.said()
        self.browser.refresh()
        self.wait(lambda: self.said() == said, "the conversation")
        self.one("[aria-label='Edit the message']").click()
        self.one(".editor textarea").send_keys(Keys.CONTROL, "a")
        self.one(".editor textarea").send_keys("What is the capital of Spain? Answer briefly.", Keys.ENTER)
        self.wait(lambda: len(self.said()) == 2 and "Madrid" in self.answered(), "the new answer")

    def test_same_seed_same_answer(self):
        self.settings(seed="5", max_tokens="20")
        first = self.ask("Tell me a story.")
        self.one("[aria-label='Answer again']").click()
        self.wait(lambda: self.server_calls() == 2, "the second answer")
        self.assertEqual(self.answered(), first)

    def server_calls(self):
        return self.js("return performance.getEntriesByType('resource').filter((entry) => "
                       "entry.name.endsWith('/v1/chat/completions')).length")

    def test_stop_frees_the_engine(self):
        self.js("const send = window.fetch; window.fetch = (path, options) => send(path, options?.body ? {...options, "
                "body: JSON.stringify({...JSON.parse(options.body), ignore_eos: true})} : options)")  # so that it does not end
        self.type("Tell me a long story.").send_keys(Keys.ENTER)
        self.wait(lambda: len(self.said()) == 2 and len(self.said()[1]) > 20, "the beginning")
        self.press(Keys.CONTROL, "e")
        self.wait(lambda: "#" in self.one(".legend").text, "the running sequence")
        self.assertRegex(self.one(".pool-box .detail").text, r"[1-9]\d* in use")
        self.press(Keys.CONTROL, "e")
        self.one("#stop").click()
        self.answered()
        self.press(Keys.CONTROL, "e")
        self.wait(lambda: " 0 in use" in self.one(".pool-box .detail").text, "the free blocks")

    def test_server_that_goes_away(self):
        server = TesseraServer()
        self.browser.get(server.url)
        self.wait(lambda: self.all("#input"), "the page")
        server.close()
        self.ask("Anybody there?")
        self.assertIn("cannot be reached", self.one(".problem").text)
        self.assertEqual(self.said()[0], "Anybody there?")

    def test_files_are_served_right(self):
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        for file in sorted((ROOT / "ui").rglob("*.*")):
            url = self.server.url + str(file.relative_to(ROOT / "ui"))
            with self.subTest(url), urllib.request.urlopen(url) as response:
                self.assertEqual(response.read(), file.read_bytes())
                self.assertTrue(response.headers["Content-Type"].startswith(kinds[file.suffix]))
                self.assertEqual(response.headers["Content-Security-Policy"], content_security_policy())
                again = urllib.request.Request(url, headers={"If-None-Match": response.headers["ETag"]})
                with self.assertRaises(urllib.error.HTTPError) as unchanged:
                    urllib.request.urlopen(again)
                self.assertEqual(unchanged.exception.code, 304)
                unchanged.exception.close()
