// The public API.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "tessera/tessera.h"

namespace tessera {
namespace {

class LanguageModelTest : public testing::Test {
 protected:
  test::TempFolder folder_;
  LanguageModel model_ =
      LanguageModel::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
  GenerateOptions options_{.max_tokens = 12, .seed = 4, .ignore_eos = true};
};

TEST_F(LanguageModelTest, StreamsWhatItReturns) {
  std::string streamed;
  const Generation generation = model_.generate("hello", options_, [&](std::string_view text) {
    streamed += text;
    return true;
  });
  EXPECT_EQ(streamed, generation.text);
  EXPECT_EQ(generation.tokens.size(), 12u);
  EXPECT_EQ(generation.finish_reason, "length");
}

TEST_F(LanguageModelTest, ACallbackThatThrowsLeavesNothingBehind) {
  const std::string expected = model_.generate("hello", options_).text;
  const auto throwing = [](std::string_view) -> bool { throw std::runtime_error("no more"); };
  EXPECT_THROW(model_.generate("hello", options_, throwing), std::runtime_error);
  EXPECT_EQ(model_.generate("hello", options_).text, expected);
}

TEST_F(LanguageModelTest, CanBeCancelledBetweenSteps) {
  int asked = 0;
  options_.is_cancelled = [&] { return ++asked == 3; };
  const Generation generation = model_.generate("hello", options_);
  EXPECT_EQ(generation.finish_reason, "cancelled");
  EXPECT_EQ(generation.tokens.size(), 3u);
}

TEST_F(LanguageModelTest, StopsBeforeAStopString) {
  const std::string whole = model_.generate("hello", options_).text;
  ASSERT_GT(whole.size(), 4u);
  options_.stop = {whole.substr(2, 2)};
  const Generation generation = model_.generate("hello", options_);
  EXPECT_EQ(generation.text, whole.substr(0, whole.find(options_.stop[0])));
  EXPECT_EQ(generation.finish_reason, "stop");
}

TEST_F(LanguageModelTest, ChatRendersTheModelsTemplate) {
  const std::string prompt = model_.render_chat({{"user", "hi"}});
  EXPECT_EQ(prompt, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

}  // namespace
}  // namespace tessera
