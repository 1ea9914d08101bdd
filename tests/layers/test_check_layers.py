#!/usr/bin/env python3
"""That script/check-layers fails, naming file and line, where a room reaches for what it may not."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class CheckLayers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for path in ("src/rooms.txt", "docs/architecture.md"):
            (self.root / path).parent.mkdir(parents=True)
            shutil.copy(ROOT / path, self.root / path)

    def check(self, path, *includes):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f'#include "{name}"\n' for name in includes))
        run = subprocess.run([sys.executable, ROOT / "script/check-layers", self.root], text=True, capture_output=True)
        return run.returncode, run.stdout

    def test_a_room_below_may_be_included(self):
        self.assertEqual(self.check("src/engine/engine.cc", "base/error.h", "backend/backend.h"), (0, ""))

    def test_the_engine_knows_no_device(self):
        status, output = self.check("src/engine/engine.cc", "base/error.h", "backend/cpu/cpu_backend.h")
        self.assertEqual(status, 1)
        self.assertIn('src/engine/engine.cc:2: engine/ may not include "backend/cpu/cpu_backend.h"', output)

    def test_no_room_knows_of_one_above_it(self):
        status, output = self.check("src/base/error.cc", "engine/engine.h")
        self.assertEqual(status, 1)
        self.assertIn("src/base/error.cc:1:", output)

    def test_the_public_api_sees_nothing_private(self):
        status, output = self.check("include/tessera/tessera.h", "engine/engine.h")
        self.assertEqual(status, 1)
        self.assertIn("include/tessera/tessera.h:1:", output)

    def test_a_folder_is_a_room(self):
        status, output = self.check("src/attic/old.cc")
        self.assertEqual(status, 1)
        self.assertIn("src/attic:0:", output)


if __name__ == "__main__":
    unittest.main()
