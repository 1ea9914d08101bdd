"""Conversations: what is sent, shown and kept. Against the stand-in server."""
import json
import pathlib
import threading
import time

from selenium.webdriver.common.keys import Keys

from harness import PageTest
from stub_server import DEFAULTS


class ChatTest(PageTest):
    def setUp(self):
        self.server.script, self.server.requests = [], []
        super().setUp()

    def button(self, label):
        return self.one(f"[aria-label='{label}']")

    def test_answer_streams_and_tells_its_speed(self):
        hold = threading.Event()
        self.server.script = [{"text": "one two three", "hold": hold}]
        self.type("Count").send_keys(Keys.ENTER)
        self.wait(lambda: "one" in self.said()[-1], "the first piece")
        self.assertEqual(self.spoken(), [])
        time.sleep(0.1)  # the page tells no speed of what took next to no time
        hold.set()
        self.assertEqual(self.answered(), "one two three")
        self.assertIn("3 tokens", self.one(".facts").text)
        self.assertIn("tokens/s", self.one(".facts").text)
        self.assertIn("32 of 48 prompt tokens cached", self.one(".facts").text)
        self.wait(lambda: self.spoken() == ["Answer: one two three"], "the announcement")

    def test_history_settings_and_system_prompt_are_sent(self):
        self.button("Chat settings").click()
        self.one("#setting-system").send_keys("Be brief.")
        for name, value in {"temperature": "0", "seed": "7", "max_tokens": "50", "top_k": "3"}.items():
            field = self.one(f"#setting-{name}")
            field.clear()
            field.send_keys(value)
        self.ask("First")
        self.ask("Second")
        body = self.server.requests[1]
        self.assertEqual(body["messages"], [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "First"},
            {"role": "assistant", "content": "First"}, {"role": "user", "content": "Second"}])
        wanted = {"temperature": 0, "seed": 7, "max_tokens": 50, "top_k": 3}
        self.assertEqual({name: body[name] for name in wanted}, wanted)
        self.assertFalse({"top_p", "min_p"} & body.keys())
        self.assertEqual(body["stream_options"], {"include_usage": True})

    def test_what_is_left_open_is_as_the_server_has_it(self):
        self.button("Chat settings").click()
        shown = lambda: {name: float(self.one(f"#setting-{name}").get_attribute("value")) for name in DEFAULTS}
        self.wait(lambda: self.one("#setting-top_k").get_attribute("value") != "", "the server's defaults")
        self.assertEqual(shown(), DEFAULTS)
        self.ask("Hi")
        self.assertFalse(DEFAULTS.keys() & self.server.requests[0].keys())
        self.one("#setting-top_k").clear()
        self.one("#setting-top_k").send_keys("7")
        self.ask("Hi")
        self.assertEqual(self.server.requests[1]["top_k"], 7)
        self.one("#settings form button").click()
        self.assertEqual(shown(), DEFAULTS)
        self.ask("Hi")
        self.assertNotIn("top_k", self.server.requests[2])

    def test_invalid_setting_is_not_sent(self):
        self.button("Chat settings").click()
        field = self.one("#setting-temperature")
        field.clear()
        field.send_keys("-3")
        self.ask("Hi")
        self.assertNotEqual(self.server.requests[0].get("temperature"), -3)

    def test_stop_keeps_what_there_is(self):
        hold = threading.Event()
        self.server.script = [{"text": "one two three", "hold": hold}]
        self.type("Count").send_keys(Keys.ENTER)
        self.wait(lambda: "one" in self.said()[-1], "the first piece")
        self.one("#stop").click()
        self.assertEqual(self.answered().strip(), "one")
        self.assertIn("Stopped", self.one(".message.assistant .note").text)
        self.assertEqual(self.focused(), "input")
        hold.set()
        self.ask("On")
        self.assertEqual(self.server.requests[1]["messages"][1]["content"].strip(), "one")

    def test_regenerate_replaces_the_answer(self):
        self.server.script = [{"text": "first"}, {"text": "second"}]
        self.ask("Say something")
        self.button("Answer again").click()
        self.wait(lambda: self.said() == ["Say something", "second"], "the second answer")
        self.assertEqual(self.server.requests[0], self.server.requests[1])

    def test_edit_replaces_what_follows(self):
        self.ask("One")
        self.ask("Two")
        self.button("Edit the message").click()
        self.one(".editor textarea").send_keys(" more", Keys.ENTER)
        self.wait(lambda: self.said() == ["One more", "One more"], "the new answer")
        self.assertEqual(len(self.server.requests[2]["messages"]), 1)

    def test_arrow_up_edits_the_last_message_and_escape_leaves_it(self):
        self.ask("One")
        self.ask("Two")
        self.one("#input").send_keys(Keys.ARROW_UP)
        self.assertEqual(self.one(".editor textarea").get_attribute("value"), "Two")
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.all(".editor"), "the editor's end")
        self.assertEqual(self.said(), ["One", "One", "Two", "Two"])
        self.assertEqual(self.focused(), "input")

    def test_an_open_edit_is_kept_until_it_is_sent_or_cancelled(self):
        self.ask("One")
        self.ask("Two")
        place = self.js("return location.hash")
        self.button("Edit the message").click()
        self.one(".editor textarea").send_keys(" and a ha")
        self.js("location.hash = '#/'")
        self.wait(lambda: not self.all(".message"), "an empty chat")
        self.js(f"location.hash = '{place}'")
        self.assertEqual(self.one(".editor textarea").get_attribute("value"), "One and a ha")
        self.browser.refresh()
        self.one(".editor textarea").send_keys("lf", Keys.ENTER)
        self.wait(lambda: self.said() == ["One and a half", "One and a half"], "the new answer")
        self.button("Edit the message").click()
        self.one(".editor textarea").send_keys(" more", Keys.ESCAPE)
        self.wait(lambda: not self.all(".editor"), "the editor's end")
        self.browser.refresh()
        self.wait(lambda: self.said() == ["One and a half", "One and a half"], "the conversation")
        self.assertFalse(self.all(".editor"))

    def test_an_open_edit_stays_under_the_hands_when_the_model_is_told(self):
        self.ask("One")
        self.button("Edit the message").click()
        self.one(".editor textarea").send_keys(" and a ha")
        self.server.model_known.clear()
        try:
            self.browser.refresh()
            self.one(".editor textarea").send_keys(Keys.HOME, "No. ")
            self.one("#toggle-settings").click()
            self.one("#setting-top_k").send_keys("7")
            self.js("window.held = document.querySelector('.editor textarea'); held.focus()")
        finally:
            self.server.model_known.set()
        self.wait(lambda: self.texts("#model-name") == ["stub-model"], "the model's name")
        self.assertTrue(self.js("return document.activeElement === held"))
        self.press("1. ")
        self.assertEqual(self.one(".editor textarea").get_attribute("value"), "No. 1. One and a ha")
        self.assertEqual(self.one("#setting-top_k").get_attribute("value"), "7")
        self.assertEqual(self.texts(".message.assistant .author"), ["stub-model"])

    def test_two_edits_are_open_and_one_is_cancelled(self):
        self.ask("One")
        self.ask("Two")
        for place in (1, 3):
            self.one(f".message:nth-child({place}) .actions [aria-label='Edit the message']").click()
        self.assertEqual(len(self.all(".editor")), 2)
        self.press(Keys.ESCAPE)
        self.wait(lambda: self.said()[2:] == ["Two", "Two"], "the second message")
        self.assertEqual(self.one(".editor textarea").get_attribute("value"), "One")

    def test_the_defaults_are_known_after_a_visit_that_began_elsewhere(self):
        self.open("#/engine")
        self.press(Keys.CONTROL, "e")
        self.button("Chat settings").click()
        self.wait(lambda: self.one("#setting-top_k").get_attribute("value") == str(DEFAULTS["top_k"]), "the defaults")

    def test_reload_keeps_conversation_and_draft(self):
        self.ask("Remember me")
        self.type("half a tho")
        self.browser.refresh()
        self.wait(lambda: self.said() == ["Remember me", "Remember me"], "the conversation")
        self.assertEqual(self.one("#input").get_attribute("value"), "half a tho")
        self.assertIn("tokens", self.one(".facts").text)

    def test_reload_in_the_middle_keeps_the_beginning(self):
        hold = threading.Event()
        self.server.script = [{"text": "one two", "hold": hold}]
        self.type("Count").send_keys(Keys.ENTER)
        self.wait(lambda: "one" in self.said()[-1], "the first piece")
        self.browser.refresh()
        self.wait(lambda: len(self.said()) == 2, "the conversation")
        self.assertIn("one", self.said()[1])
        self.assertIn("closed before", self.one(".message.assistant .note").text)
        hold.set()

    def test_an_answer_goes_on_while_another_chat_is_open(self):
        hold = threading.Event()
        self.server.script = [{"text": "one two", "hold": hold}]
        self.type("Count").send_keys(Keys.ENTER)
        self.wait(lambda: "one" in self.said()[-1], "the first piece")
        self.press(Keys.CONTROL, "k")
        self.wait(lambda: self.said() == [], "the new chat")
        self.ask("Meanwhile")
        hold.set()
        self.wait(lambda: not self.all(".conversation.running"), "both answers")
        self.one(".conversation:not(.current) > a").click()
        self.wait(lambda: self.said() == ["Count", "one two"], "the first chat")

    def test_error_stands_in_its_place_and_can_be_retried(self):
        self.server.script = [{"error": (429, "the server is busy: 64 answers are waiting")}, {"text": "now"}]
        self.ask("Please")
        problem = self.one(".problem")
        self.assertIn("The server is busy: 64 answers are waiting", problem.text)
        self.assertEqual(problem.get_attribute("role"), "alert")
        self.one(".retry").click()
        self.wait(lambda: self.said() == ["Please", "now"], "the answer")
        self.assertFalse(self.all(".problem"))

    def test_broken_stream_keeps_what_came(self):
        self.server.script = [{"text": "one two three", "break_after": 2}]
        self.assertEqual(self.ask("Count").strip(), "one two")
        self.assertIn("ended before", self.one(".problem").text)

    def test_rename_export_delete(self):
        self.ask("A title from the first message")
        self.assertIn("A title from", self.one("#view-title").text)
        self.one("[aria-label^='Rename']").click()
        self.press(Keys.CONTROL, "a")
        self.press("Mosaics")
        self.press(Keys.ENTER)
        self.wait(lambda: self.one("#view-title").text == "Mosaics", "the new title")
        self.one("[aria-label^='Export']").click()
        file = pathlib.Path(self.downloads.name) / "Mosaics.json"
        self.wait(file.exists, "the download")
        exported = json.loads(self.wait(file.read_text, "the file's text"))
        self.assertEqual([m["content"] for m in exported["messages"]], ["A title from the first message"] * 2)
        self.one("[aria-label^='Delete']").click()
        self.one("dialog .danger").click()
        self.wait(lambda: not self.all(".conversation"), "the deletion")
        self.assertEqual(self.said(), [])
        self.assertEqual(self.js("return Object.keys(localStorage).filter((key) => key.includes('conversation'))"), [])

    def test_damaged_storage_does_no_harm(self):
        self.js("localStorage.setItem('tessera/conversation/0123456789abcdef', '{\"id\": 3')")
        self.js("localStorage.setItem('tessera/conversation/0123456789abcdea', '[]')")
        self.js("localStorage.setItem('tessera/settings', '\"x\"')")
        self.open("#/chat/0123456789abcdef")
        self.assertEqual(self.ask("Still here"), "Still here")

    def test_full_storage_is_said_and_nothing_is_lost(self):
        self.js("for (let size = 1 << 22; size > 8; size >>= 1) { try { for (;;) localStorage.setItem('fill' + Math.random(), 'x'.repeat(size)) } catch {} }")
        self.assertEqual(self.ask("Where do I go?"), "Where do I go?")
        self.assertIn("Not saved: the browser has no room", self.one("#notice").text)
        self.js("for (const key of Object.keys(localStorage)) if (key.startsWith('fill')) localStorage.removeItem(key)")
        self.ask("And now?")
        self.assertFalse(self.all("#notice"))

    def test_key_is_asked_for_and_used(self):
        self.server.key = "s3cret"
        try:
            self.ask("Hello")
            self.assertIn("API key is needed", self.one(".problem").text)
            self.one(".retry").click()
            self.one("#dialog-key").send_keys("s3cret", Keys.ENTER)
            self.wait(lambda: self.said() == ["Hello", "Hello"], "the answer")
            self.assertNotIn("s3cret", self.js("return JSON.stringify({...localStorage})"))
        finally:
            self.server.key = None
