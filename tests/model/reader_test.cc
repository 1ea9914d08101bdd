#include "model/reader.h"

#include <gtest/gtest.h>

#include "files/gguf/reader.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

class ReaderTest : public ::testing::Test {
 protected:
  static constexpr int kTokens = 75;

  ReaderTest() {
    const auto path = write_tiny_model({}, folder_.path());
    model_ =
        std::make_unique<Model>(std::make_shared<const GgufFile>(GgufFile::open(path)),
                                make_test_backend(2), Model::Limits{.rows = 32, .wanted_rows = 16});
    tokens_ = random_tokens(kTokens, model_->config().vocabulary, 1);
  }

  // The logits of every wanted position, read in steps of `rows`.
  std::vector<LogitRow> read(Reader& reader, std::span<const Token> tokens, Reader::Logits wanted,
                             int rows = 0) {
    std::vector<LogitRow> all;
    reader.read(
        tokens, wanted,
        [&](HostRows logits, int first) {
          EXPECT_EQ(first + logits.rows, reader.position());
          for (int r = 0; r < logits.rows; ++r)
            all.emplace_back(logits.row(r).begin(), logits.row(r).end());
        },
        rows);
    return all;
  }

  test::TempFolder folder_;
  std::unique_ptr<Model> model_;
  std::vector<Token> tokens_;
};

TEST_F(ReaderTest, TheStepsDoNotMatter) {
  Reader reader(*model_, kTokens, KvFormat::kF16);
  const auto expected = read(reader, tokens_, Reader::Logits::kAll);
  ASSERT_EQ(expected.size(), kTokens);
  for (const int rows : {1, 7, 16}) {
    reader.rewind();
    EXPECT_EQ(read(reader, tokens_, Reader::Logits::kAll, rows), expected) << rows;
  }
}

TEST_F(ReaderTest, GivesTheLogitsOfEachStepsLastToken) {
  Reader reader(*model_, kTokens, KvFormat::kF16);
  const auto all = read(reader, tokens_, Reader::Logits::kAll);
  reader.rewind();
  const auto last = read(reader, tokens_, Reader::Logits::kLast, 30);  // after 30, 60 and 75 tokens
  EXPECT_EQ(last, (std::vector<LogitRow>{all[29], all[59], all[74]}));
  reader.rewind();
  EXPECT_TRUE(read(reader, tokens_, Reader::Logits::kNone).empty());
  EXPECT_EQ(reader.position(), kTokens);
}

TEST_F(ReaderTest, WhatLiesBeforeStaysWhereItIsRewound) {
  Reader reader(*model_, kTokens, KvFormat::kF16);
  const auto expected = read(reader, tokens_, Reader::Logits::kAll);
  reader.rewind(40);
  const auto again = read(reader, std::span(tokens_).subspan(40), Reader::Logits::kAll);
  EXPECT_EQ(again, std::vector<LogitRow>(expected.begin() + 40, expected.end()));
}

TEST_F(ReaderTest, ATextBeyondTheContextIsRefused) {
  EXPECT_EQ(error_of([&] { Reader(*model_, 257, KvFormat::kF16); }),
            "a text of 257 tokens does not fit the model's context of 256");
}

}  // namespace
}  // namespace tessera
