"""Markdown is rendered right, and safely whatever the model writes."""
import pathlib

from harness import PageTest


class MarkdownTest(PageTest):
    def test_renderer(self):
        checks = (pathlib.Path(__file__).parent / "markdown_checks.js").read_text()
        wrong = self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"(async () => {{{checks}}})().then(done, (error) => done([String(error.stack ?? error)]));")
        self.assertEqual(wrong, [])

    def test_hostile_answer_stays_text(self):
        hostile = ("<img src=x onerror=\"document.title='pwned'\"> <script>document.title='pwned'</script>\n\n"
                   "[click](javascript:document.title='pwned') ![leak](https://evil.example/x.png)\n\n"
                   "```\"><script>\n</pre><script>document.title='pwned'</script>\n```\n")
        self.server.script = [{"text": hostile}]
        text = self.ask("Attack me")
        self.assertIn("<script>document.title='pwned'</script>", text)
        self.assertNotIn("pwned", self.browser.title)
        self.assertEqual(self.js("return document.querySelectorAll('.messages :is(script, img, iframe)').length"), 0)
        links = self.js("return Array.from(document.querySelectorAll('.messages a'), (link) => link.href)")
        self.assertEqual(links, ["https://evil.example/x.png"])  # to be pressed or left; never loaded
        self.browser.refresh()
        self.wait(lambda: len(self.said()) == 2, "the conversation")
        self.assertNotIn("pwned", self.browser.title)

    def test_hostile_title_and_user_text_stay_text(self):
        self.ask("<img src=x onerror=alert(1)>")
        self.assertIn("<img src=x", self.one("#view-title").text)
        self.assertEqual(self.js("return document.querySelectorAll('img[src=x]').length"), 0)

    def test_policy_forbids_markup_from_text(self):
        refused = self.js("try { document.createElement('p').innerHTML = '<b>x</b>'; return false } catch { return true }")
        self.assertTrue(refused)
        self.js("window.seen.violations = []")  # the one just made

    def test_code_is_copied(self):
        self.browser.execute_cdp_cmd("Browser.grantPermissions", {
            "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": self.server.url.rstrip("/")})
        self.server.script = [{"text": "```py\nx = 1\n  y\n```"}]
        self.ask("Code")
        self.assertEqual(self.one(".language").text, "py")
        self.one("[aria-label='Copy the code']").click()
        self.wait(lambda: "Copied" in self.spoken(), "the copy")
        copied = self.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
        self.assertEqual(copied, "x = 1\n  y")
