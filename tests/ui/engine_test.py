"""The engine view shows what GET /engine says."""
from harness import PageTest
from stub_server import engine_of, idle_engine

# How many pixels of the picture have each colour of the legend's swatches.
PIXELS = """
const canvas = document.querySelector('canvas.pool');
const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
const count = {};
for (let i = 0; i < data.length; i += 4) {
  const colour = `rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`;
  count[colour] = (count[colour] ?? 0) + 1;
}
return Array.from(document.querySelectorAll('.legend .swatch'),
  (swatch) => [swatch.parentElement.textContent, count[getComputedStyle(swatch).backgroundColor] ?? 0]);
"""


class EngineTest(PageTest):
    def show(self, engine):
        self.server.engine = engine
        self.open("#/engine")
        return self.wait(lambda: (lambda text: "blocks of" in text and text)(self.one(".pool-box .detail").text), "the pool")

    def tile(self, name):
        return self.js("return Array.from(document.querySelectorAll('.tile')).find((tile) => "
                       "tile.querySelector('dt').textContent === arguments[0]).querySelector('.figure').textContent", name)

    def test_blocks_have_their_owners_colours(self):
        text = self.show(engine_of([[0, 1, 2], [0, 3]], [], "suuuc..." + "." * 8))
        self.assertEqual(text, "16 blocks of 32 tokens: 4 in use, 1 of them shared; 1 kept for their prefix; 11 free.")
        pixels = dict(self.js(PIXELS))
        self.assertGreater(pixels["#1"], pixels["#2"])  # two and a half blocks, and one
        for name in ("#2", "kept, not in use", "free"):
            self.assertGreater(pixels[name], 0, name)
        self.assertIn("4 in use, 1 of them shared", self.one("canvas.pool").get_attribute("aria-label"))

    def test_a_pointer_before_the_first_answer(self):
        self.show(engine_of([[0]], [], "u..."))
        self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "import('/js/engine/pool.js').then(({PoolPicture}) => {"
            "  const {canvas} = new PoolPicture({});"
            "  for (const name of ['pointermove', 'pointerleave']) canvas.dispatchEvent(new Event(name));"
            "  done();"
            "});")  # the harness looks for uncaught errors

    def test_numbers(self):
        self.show(engine_of([[0, 1], [2]], [[]], "uuu."))
        self.assertEqual([self.tile(name) for name in ("KV memory", "Prefix hits", "Drafts accepted", "Running", "Waiting",
                                                            "Preempted")],
                         ["75 %", "67 %", "75 %", "2", "1", "2"])
        self.assertEqual(len(self.all(".sequences tbody tr")), 3)

    def test_follows_the_engine(self):
        self.show(engine_of([[0]], [], "u..."))
        self.server.engine = engine_of([[0], [1]], [], "uu..")
        self.wait(lambda: self.tile("Running") == "2", "the next look")
        self.server.engine = idle_engine()
        self.wait(lambda: self.tile("Running") == "0", "the idle engine")
        self.assertIn("None at the moment", self.one("#engine-view").text)

    def test_thousands_of_blocks_share_cells(self):
        text = self.show(engine_of([list(range(20000))], [], "u" * 20000 + "." * 30000))
        self.assertIn("A cell is 21 blocks", text)
        self.assertLess(self.one("canvas.pool").size["height"], 600)

    def test_chart_shows_the_last_minutes(self):
        history = [{"second": 1000 + i, "generated_tokens": 50 if i % 2 else 70, "prompt_tokens": 0} for i in range(100)]
        self.show(engine_of([], [], "....", history))
        label = self.one(".chart svg").get_attribute("aria-label")
        self.assertIn("at most 70 in the last 5 minutes", label)
        self.assertNotIn("NaN", self.js("return document.querySelector('.chart path').getAttribute('d')"))

    def test_lost_contact_is_said_and_survived(self):
        self.show(engine_of([[0]], [], "u..."))
        self.server.engine = {"what": "is this"}
        self.assertIn("cannot read", self.one("#engine-view .problem").text)
        self.server.engine = engine_of([[0], [1]], [], "uu..")
        self.wait(lambda: self.tile("Running") == "2" and not self.all("#engine-view .problem"), "contact")

    def test_key_is_asked_for(self):
        self.server.key = "s3cret"
        self.has_model = lambda: False
        try:
            self.open("#/engine")
            self.one("#engine-view .problem .button").click()
            self.one("#dialog-key").send_keys("s3cret\n")
            self.wait(lambda: self.tile("Running") == "0", "the engine")
        finally:
            self.server.key = None
