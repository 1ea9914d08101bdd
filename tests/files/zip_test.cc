#include "files/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files/zip_support.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using testing::HasSubstr;

class ZipTest : public testing::Test {
 protected:
  std::string extract(const std::string& archive, const std::string& pattern) {
    std::string content;
    extract_zip_member(std::as_bytes(std::span(archive)), "a.zip", pattern,
                       [&](std::string_view piece) { content += piece; });
    return content;
  }
  // Every byte value, and repetitions that a deflated block refers back to; several pieces long.
  static std::string long_text() {
    std::string text;
    for (uint32_t i = 0; i < 3'000'000; ++i) text += static_cast<char>((i * i >> 7) % 251);
    return text;
  }
};

TEST_F(ZipTest, AMemberComesOutAsItWentIn) {
  const std::string text = long_text();
  for (const bool deflated : {false, true}) {
    const std::string archive = test::zip_of({{"p/__init__.py", "code", true},
                                              {"p/data/m.gguf.part00", text, deflated},
                                              {"p/data/empty", "", deflated}});
    EXPECT_EQ(extract(archive, "*/data/*.gguf.part*"), text);
    EXPECT_EQ(extract(archive, "p/data/empty"), "");
    EXPECT_EQ(extract(archive, "*.py"), "code");
  }
}

TEST_F(ZipTest, ThePatternFitsOneMember) {
  const std::string archive = test::zip_of({{"a/x.bin", "1"}, {"a/y.bin", "2"}});
  EXPECT_THAT(error_of([&] { extract(archive, "*.bin"); }),
              HasSubstr("several files like '*.bin'"));
  EXPECT_THAT(error_of([&] { extract(archive, "*.gguf"); }), HasSubstr("no file like '*.gguf'"));
}

// Whatever is wrong: one error, or the bytes that were there, and no crash.
TEST_F(ZipTest, DamageIsAnErrorAndNoMore) {
  const std::string text = "what lies in the archive, what lies in the archive";
  for (const bool deflated : {false, true}) {
    const std::string archive = test::zip_of({{"a", "x", deflated}, {"b", text, deflated}});
    for (size_t size = 0; size < archive.size() - 7; ++size) {  // but for the comment
      EXPECT_NE(error_of([&] { extract(archive.substr(0, size), "b"); }), "(no error)") << size;
    }
    for (size_t at = 0; at < archive.size(); ++at) {
      for (const unsigned char value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
        std::string damaged = archive;
        damaged[at] = static_cast<char>(value);
        std::string content = text;
        error_of([&] { content = extract(damaged, "b"); });
        EXPECT_LE(content.size(), archive.size()) << at;
      }
    }
  }
}

}  // namespace
}  // namespace tessera
