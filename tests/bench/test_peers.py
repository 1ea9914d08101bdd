#!/usr/bin/env python3
"""What a comparison rests on: that a build is of this machine's, that pages are written where they say."""
import dataclasses
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench" / "peers")]
import builds  # noqa: E402  (bench/peers/)
import tables  # noqa: E402  (bench/)


class Builds(unittest.TestCase):
    def setUp(self):
        for name, value in (("compiler", ("c++", "c++ 1.0")), ("cpu_flags", "flags: avx2")):
            patch = mock.patch.object(builds, name, return_value=value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_every_peer_is_built_for_the_machine(self):
        self.assertIn("-DGGML_NATIVE=ON", builds.CMAKE_FLAGS)
        for source in builds.SOURCES.values():
            self.assertFalse([flag for flag in source.flags if "NATIVE" in flag or "AVX" in flag or "AMX" in flag])

    def test_another_machine_compiler_source_or_flag_is_another_build(self):
        source = builds.SOURCES["llama.cpp"]
        folders = {builds.folder_of(source)}
        for name in ("version", "sha256"):
            folders.add(builds.folder_of(dataclasses.replace(source, **{name: "other"})))
        folders.add(builds.folder_of(dataclasses.replace(source, flags=("-DOTHER=ON",))))
        with mock.patch.object(builds, "cpu_flags", return_value="flags: avx2 amx_int8"):
            folders.add(builds.folder_of(source))
        with mock.patch.object(builds, "compiler", return_value=("c++", "c++ 2.0")):
            folders.add(builds.folder_of(source))
        self.assertEqual(len(folders), 6)
        self.assertEqual(builds.folder_of(source), builds.folder_of(source))

    def test_a_repair_is_made_once_and_fails_where_it_does_not_fit(self):
        source = dataclasses.replace(builds.SOURCES["llama.cpp"], repairs=(("it works", "a.cpp", "old();", "new();"),))
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            file = root / source.folder / "a.cpp"
            file.parent.mkdir(parents=True)
            file.write_text("{ old(); }")
            for _ in range(2):
                builds.repair(source, root)
                self.assertEqual(file.read_text(), "{ new(); }")
            file.write_text("{ other(); }")
            with self.assertRaisesRegex(RuntimeError, "no place in a.cpp"):
                builds.repair(source, root)


class Sections(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.page = pathlib.Path(folder.name) / "page.md"

    def test_only_the_section_is_replaced(self):
        self.page.write_text("a\n<!-- x begin -->\nold\n<!-- x end -->\nb\n<!-- y begin -->\ny\n<!-- y end -->\n")
        tables.write_section(self.page, "x", "\nnew\n\n")
        self.assertEqual(self.page.read_text(),
                         "a\n<!-- x begin -->\nnew\n<!-- x end -->\nb\n<!-- y begin -->\ny\n<!-- y end -->\n")

    def test_a_page_without_the_section_stays_as_it_is(self):
        for text in ("a\n", "<!-- x begin -->\n", "<!-- y begin -->\n<!-- y end -->\n"):
            self.page.write_text(text)
            with self.assertRaisesRegex(RuntimeError, "has no section"):
                tables.write_section(self.page, "x", "new")
            self.assertEqual(self.page.read_text(), text)

    def test_the_pages_have_the_sections_that_the_scripts_write(self):
        for page, names in (("performance", ("engines", "formats", "clients")), ("correctness", ("compare-llama",)),
                            ("quantize", ("compare-quantize",)), ("formats", ("compare-formats",))):
            text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
            for name in names:
                self.assertEqual(text.count(f"<!-- {name} begin -->\n"), 1, page)
                self.assertEqual(text.count(f"<!-- {name} end -->"), 1, page)


if __name__ == "__main__":
    unittest.main()
