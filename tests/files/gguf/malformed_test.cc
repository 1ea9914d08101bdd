#include <gtest/gtest.h>

#include <set>
#include <span>
#include <vector>

#include "base/error.h"
#include "files/gguf/parse.h"
#include "files/gguf/reader.h"
#include "support/malformed_gguf.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

// Names of what is wrong with the message, or "" if it is as it should be.
std::string flaw(const std::string& message) {
  if (message.empty()) return "the message is empty";
  for (const char c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return "the message holds a control character";
  }
  return message.size() > 700 ? "the message is very long" : "";
}

TEST(MalformedGguf, EveryCaseIsRefusedWithOneLine) {
  const test::TempFolder folder;
  const auto corpus = test::malformed_gguf_corpus();
  EXPECT_GE(corpus.size(), 60U);
  std::set<std::string> names;
  for (const auto& [name, bytes] : corpus) {
    EXPECT_TRUE(names.insert(name).second) << "two cases are named " << name;
    const auto path = folder.write(name + ".gguf", bytes);
    try {
      GgufFile::open(path);
      ADD_FAILURE() << name << " was opened";
    } catch (const Error& error) {
      EXPECT_EQ(flaw(error.what()), "") << name << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos)
          << "the file is not named: " << error.what();
    }
  }
}

TEST(MalformedGguf, TheFileTheCasesAreMadeFromIsValid) {
  const test::TempFolder folder;
  const GgufFile file = GgufFile::open(folder.write("valid.gguf", test::valid_gguf()));
  EXPECT_EQ(file.tensors().size(), 3U);
}

// Parses a copy that is not a byte larger than the file, so that a sanitizer sees any read past its
// end.
gguf::Header parse_copy(std::string_view file) {
  const auto raw = std::as_bytes(std::span(file.data(), file.size()));
  const std::vector<std::byte> copy(raw.begin(), raw.end());
  gguf::Header header = gguf::parse(copy, "copy");
  unsigned sum = 0;
  for (const auto& tensor : header.tensors) {
    for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
  }
  EXPECT_GT(sum, 0U);
  for (auto& tensor : header.tensors) tensor.bytes = {};
  return header;
}

TEST(MalformedGguf, AnyCutOfTheHeaderOrDataIsRefused) {
  const std::string whole = test::valid_gguf();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_copy(whole.substr(0, size)), Error) << size << " bytes";
  }
}

// A flipped bit may well leave a valid file; what it must not do is crash or read outside the file.
TEST(MalformedGguf, AnyFlippedBitGivesAValidFileOrAnError) {
  std::string bytes = test::valid_gguf();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    try {
      parse_copy(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(flaw(error.what()), "") << "bit " << bit << ": " << error.what();
    }
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
}

}  // namespace
}  // namespace tessera
