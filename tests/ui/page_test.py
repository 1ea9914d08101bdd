"""The page as a whole: keys, widths, colours, and what assistive technology is told."""
from selenium.webdriver.common.keys import Keys

from harness import PageTest
from stub_server import engine_of

LONG = ("# " + "Long " * 20 + "\n\n" + "x" * 400 + "\n\n```\n" + "code " * 80 + "\n```\n\n|" + " column |" * 12 + "\n|" + "---|" * 12 + "\n|"
        + " cell |" * 12 + "\n\n- " * 3 + "`" + "y" * 200 + "`\n\nhttps://example.org/" + "z" * 300)

# The contrast of each text with what lies behind it (WCAG 2.1), where below its threshold.
CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
function ground(node) {
  for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
const low = [];
for (const node of document.querySelectorAll('body *')) {
  const hasText = Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.data.trim());
  if (!hasText || !node.checkVisibility({visibilityProperty: true}) || node.closest('.visually-hidden, .skip-link, [disabled]')) continue;
  const style = getComputedStyle(node);
  const text = luminance(rgb(node instanceof SVGElement ? style.fill : style.color)), back = luminance(ground(node));
  const contrast = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
  if (contrast < 4.5) low.push(`${node.tagName} ${node.className.baseVal ?? node.className} '${node.textContent.slice(0, 20)}': ${contrast.toFixed(2)}`);
}
return low;
"""

# Controls without a name, and ids used twice.
NAMES = """
const bad = [];
for (const control of document.querySelectorAll('button, a[href], input, textarea, [role=img], canvas')) {
  const label = control.getAttribute('aria-label') || control.labels?.[0]?.textContent || control.textContent;
  if (!label.trim()) bad.push(control.outerHTML.slice(0, 80));
}
const ids = Array.from(document.querySelectorAll('[id]'), (found) => found.id);
bad.push(...ids.filter((id, i) => ids.indexOf(id) !== i));
return bad;
"""


class PageAsAWholeTest(PageTest):
    def setUp(self):
        self.server.script = []
        self.server.engine = engine_of([[0, 1, 2], [0, 3]], [[]], "suuucc.." * 8, [{"second": 3, "generated_tokens": 9, "prompt_tokens": 1}])
        super().setUp()

    def views(self):
        """Each state of the page that is worth a look."""
        yield "empty"
        self.server.script = [{"text": LONG}, {"error": (500, "the server failed")}]
        self.ask("A long " + "w" * 300)
        yield "chat"
        self.ask("More")
        yield "error"
        self.one("#toggle-settings").click()
        yield "settings"
        self.press(Keys.ESCAPE)
        self.open("#/engine")
        self.wait(lambda: self.all(".sequences"), "the sequences")
        yield "engine"

    def test_nothing_is_wider_than_a_phone(self):
        self.screen(360, 740)
        self.open()
        for name in self.views():
            with self.subTest(name):
                self.assertEqual(self.js("return document.documentElement.scrollWidth"), 360)
                for scroller in ("#scroller", "#engine-view", "#settings"):
                    wide = self.js("const at = document.querySelector(arguments[0]); return at.scrollWidth - at.clientWidth", scroller)
                    self.assertLessEqual(wide, 0, scroller)

    def test_contrast_in_light_and_dark(self):
        for dark in (False, True):
            self.screen(1280, 860, dark)
            self.js("localStorage.clear()")
            self.open()
            for name in self.views():
                with self.subTest(name, dark=dark):
                    self.assertEqual(self.js(CONTRAST), [])

    def test_everything_has_a_name(self):
        for name in self.views():
            with self.subTest(name):
                self.assertEqual(self.js(NAMES), [])

    def test_landmarks_and_language(self):
        self.assertEqual(self.js("return document.documentElement.lang"), "en")
        for landmark in ("main", "aside[aria-label]", "nav[aria-labelledby]", "h1"):
            self.assertEqual(len(self.browser.find_elements("css selector", landmark)), 1, landmark)
        self.assertEqual(self.js("return document.getElementById('announcer').getAttribute('aria-live')"), "polite")

    def test_theme_is_chosen_and_kept(self):
        ground = "return getComputedStyle(document.body).backgroundColor"
        light = self.js(ground)
        self.one("#toggle-theme").click()  # light
        self.one("#toggle-theme").click()  # dark
        dark = self.js(ground)
        self.assertNotEqual(light, dark)
        self.open()
        self.assertEqual(self.js(ground), dark)
        self.assertIn("dark", self.one("#theme-name").text)

    def test_shortcuts(self):
        self.type("one")
        self.press(Keys.SHIFT, Keys.ENTER)
        self.press("two")
        self.assertEqual(self.one("#input").get_attribute("value"), "one\ntwo")
        self.press(Keys.ENTER)
        self.answered()
        self.press(Keys.CONTROL, "/")
        self.assertIn("Edit your last message", self.one("dialog").text)
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.all("dialog"), "the dialog's end")
        self.assertEqual(self.focused(), "input")
        self.press(Keys.CONTROL, ",")
        self.assertEqual(self.focused(), "setting-system")
        self.press(Keys.ESCAPE)
        self.assertEqual(self.focused(), "toggle-settings")
        self.press(Keys.CONTROL, "e")
        self.one("#engine-view .tiles")
        self.press(Keys.CONTROL, "e")
        self.wait(lambda: len(self.said()) == 2, "the chat")
        self.press(Keys.CONTROL, "k")
        self.wait(lambda: self.said() == [], "a new chat")
        self.assertEqual(self.focused(), "input")

    def test_escape_stops(self):
        self.server.script = [{"text": "word " * 2000, "pause": 0.05}]
        self.type("Go on").send_keys(Keys.ENTER)
        self.wait(lambda: len(self.said()) == 2 and "word" in self.said()[1], "the first piece")
        self.press(Keys.ESCAPE)
        self.answered()
        self.assertIn("Stopped", self.one(".message.assistant .note").text)

    def test_drawer_on_a_phone(self):
        self.screen(360, 740)
        self.open()
        self.assertFalse(self.all("#new-chat"))
        self.one("#open-sidebar").click()
        self.one("#new-chat")
        self.assertEqual(self.focused(), "close-sidebar")
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.all("#new-chat"), "the drawer's end")
        self.assertEqual(self.focused(), "open-sidebar")
