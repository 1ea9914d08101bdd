#!/usr/bin/env python3
"""That check-references fails, naming document and word, where the documentation names what is not there."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).resolve().parent / "check-references"
README = "# Toy\n\nReads `llama`. See [the guide](docs/guide.md#the-first-hour) and `src/model/toy.{h,cc}`.\n"


class CheckReferences(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("README.md", README)
        self.write("docs/guide.md", "# Guide\n\n## The first hour\n")
        self.write("src/model/architecture.cc", '.name = "llama"')
        self.write("src/model/toy.h", "")
        self.write("src/model/toy.cc", "")

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def check(self, **more):
        """`more`: what is added to a document."""
        for name, text in more.items():
            self.write(f"docs/{name}.md", "# Guide\n\n## The first hour\n\n" + text + "\n")
        run = subprocess.run([sys.executable, CHECK, self.root], text=True, capture_output=True)
        return run.returncode, run.stdout

    def test_what_is_there_is_fine(self):
        self.assertEqual(self.check(guide="`model/toy.h` and `toy.txt`, `/v1/models`, https://a.example/b")[0], 0)

    def test_what_is_to_be_made_is_fine(self):
        self.assertEqual(self.check(guide="`src/model/my_part.cc`, `src/FOLDER/name.cc`, `build/release/x`")[0], 0)

    def test_code_is_not_read(self):
        self.assertEqual(self.check(guide="```sh\nrun src/model/gone.cc  # [a](gone.md)\n```")[0], 0)

    def test_a_link_to_nothing(self):
        for link in ("gone.md", "#no-heading", "guide.md#no-heading", "../READ.md"):
            status, said = self.check(guide=f"[here]({link})")
            self.assertEqual(status, 1, link)
            self.assertIn(f"docs/guide.md: a link to '{link}'", said)

    def test_a_file_that_is_not_there(self):
        for path in ("src/model/gone.cc", "model/gone.cc", "docs/gone.md", "src/model/toy.{h,hh}"):
            status, said = self.check(guide=f"as `{path}` has it")
            self.assertEqual(status, 1, path)
            self.assertIn("which is not there", said)

    def test_a_family_that_the_readme_does_not_name(self):
        self.write("src/model/architecture.cc", '.name = "llama"\n.name = "qwen9"')
        status, said = self.check()
        self.assertEqual((status, said), (1, "README.md: no word of the architecture `qwen9`\n"))


if __name__ == "__main__":
    unittest.main()
