#include "evaluate/decoder_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/session.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"
#include "support/well_formed.h"

namespace tessera {
namespace {

int count(std::string_view text, std::string_view part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

DecoderScore score(std::string set, double temperature, std::string decoder, double speed_up) {
  DecoderScore score;
  score.set = std::move(set);
  score.temperature = temperature;
  score.decoder = std::move(decoder);
  score.speed_up = speed_up;
  score.tokens_per_second = 10 * speed_up;
  score.tokens_per_step = 1.25 * speed_up;
  return score;
}

std::vector<DecoderScore> scores() {
  std::vector<DecoderScore> all;
  for (const char* set : {"code", "a <set> & \"more\""}) {
    for (const double temperature : {0.0, 0.8}) {
      all.push_back(score(set, temperature, "plain", 1));
      all.push_back(score(set, temperature, "auto", 2.5));
      all.push_back(score(set, temperature, "lookup,least=<0.1>", 0.5));
      all.back().acceptance = {0.75, 0.5};
    }
  }
  return all;
}

// The widths of the bars, from the top.
std::vector<double> bars_of(const std::string& svg) {
  std::vector<double> widths;
  for (size_t at = svg.find("<rect x="); at != std::string::npos; at = svg.find("<rect x=", at)) {
    const std::string_view name = "width=\"";
    at = svg.find(name, at) + name.size();
    widths.push_back(std::strtod(svg.c_str() + at, nullptr));
  }
  return widths;
}

TEST(DecoderBenchSvg, HasABarForEachDecoderOnEachSet) {
  const std::string svg = to_svg(scores(), "org/model", "CPU, 2 threads");
  const auto bars = bars_of(svg);
  ASSERT_EQ(bars.size(), scores().size());
  for (size_t i = 0; i < bars.size(); ++i)
    EXPECT_NEAR(bars[i], bars[0] * scores()[i].speed_up, 0.2) << "as long as its gain";
  EXPECT_EQ(count(svg, ">code, T 0<"), 1) << "a heading for all bars of a set and temperature";
  EXPECT_EQ(count(svg, ">code, T 0.8<"), 1);
  EXPECT_EQ(count(svg, ">auto<"), 4);
  EXPECT_EQ(count(svg, ">2.50  (3.1 tokens a step)<"), 4);
  EXPECT_EQ(count(svg, "first drafted token accepted 75 %"), 4);
  EXPECT_NE(svg.find("org/model"), std::string::npos);
  EXPECT_NE(svg.find("CPU, 2 threads"), std::string::npos);
}

// One colour is one decoder, in all sets.
TEST(DecoderBenchSvg, ADecoderKeepsItsColour) {
  const std::string svg = to_svg(scores(), "model", "machine");
  for (const char* color : {"c0", "c1", "c2"})
    EXPECT_EQ(count(svg, std::string("class=\"") + color + "\""), 4) << color;
}

TEST(DecoderBenchSvg, IsWellFormedWhateverTheNames) {
  auto all = scores();
  all.push_back(score("</title>\x01\xff\n", 0, "plain", 0));
  const std::string svg = to_svg(all, "</svg> & \"\x01\xff\n", "<machine>");
  EXPECT_TRUE(test::is_well_formed(svg));
  EXPECT_EQ(count(svg, "a &lt;set&gt; &amp; &quot;more&quot;, T 0<"), 1);
  EXPECT_EQ(count(svg, ">lookup,least=&lt;0.1&gt;<"), 4);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(DecoderBenchSvg, NothingMeasuredIsAPictureToo) {
  EXPECT_TRUE(test::is_well_formed(to_svg({}, "empty", "")));
}

class DecoderBenchTest : public testing::Test {
 protected:
  static PromptSet make_set(const std::string& name, int prompts, uint64_t seed) {
    PromptSet set{name, {}};
    for (int i = 0; i < prompts; ++i) {
      auto tokens = random_tokens(6 + i, 300, seed + static_cast<uint64_t>(i));
      const std::vector<Token> once = tokens;
      tokens.insert(tokens.end(), once.begin(), once.end());
      set.prompts.push_back({.tokens = tokens, .prediction = {}});
    }
    return set;
  }

  test::TempFolder folder_;
  Session session_ = Session::load(write_tiny_model({}, folder_.path()).string(), {.threads = 2});
};

TEST_F(DecoderBenchTest, ScoresEachDecoderOnEachSetAndAllAnswersAreEqual) {
  const std::vector<PromptSet> sets = {make_set("one", 4, 1), make_set("two", 5, 9)};
  for (const int clients : {1, 3}) {
    std::vector<std::string> told;
    const auto all =
        run_decoder_bench([&] { return session_.make_engine({.kv_blocks = 64}); }, sets,
                          {.decoders = {"lookup", "plain", "auto"},
                           .temperatures = {1, 2},
                           .max_tokens = 30,
                           .clients = clients},
                          [&](const DecoderScore& s) { told.push_back(s.set + s.decoder); });
    ASSERT_EQ(all.size(), 12u) << "plain decoding is measured once";
    EXPECT_EQ(told.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      const DecoderScore& s = all[i];
      EXPECT_EQ(s.set, i < 6 ? "one" : "two");
      EXPECT_EQ(s.temperature, i % 6 < 3 ? 1 : 2);
      EXPECT_EQ(s.decoder, (std::vector<std::string>{"plain", "lookup", "auto"})[i % 3]);
      EXPECT_EQ(s.different, 0);
      EXPECT_EQ(s.looped, all[i - i % 3].looped);
      EXPECT_GT(s.tokens_per_second, 0);
      EXPECT_GE(s.tokens_per_step, 1);
      if (s.decoder == "plain") {
        EXPECT_DOUBLE_EQ(s.speed_up, 1);
        EXPECT_EQ(s.tokens_per_step, 1);
      }
    }
  }
}

// However many clients, none goes on for long while the others wait: a machine is not always
// equally fast.
TEST_F(DecoderBenchTest, DecodersTakeTurns) {
  const std::vector<PromptSet> sets = {make_set("one", 6, 1)};
  for (const int clients : {1, 3}) {
    std::vector<int> tokens;  // whose each was
    int engines = 0;
    const auto make_engine = [&] {
      return std::make_unique<Engine>(*session_.model, Engine::Options{.kv_blocks = 64},
                                      [&tokens, id = engines++](Token) {
                                        tokens.push_back(id);
                                        return false;
                                      });
    };
    run_decoder_bench(
        make_engine, sets,
        {.decoders = {"lookup"}, .temperatures = {1}, .max_tokens = 150, .clients = clients});
    ASSERT_EQ(engines, 2);
    ASSERT_EQ(tokens.size(), 2u * 6 * 150);
    int longest = 0, run = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      run = i > 0 && tokens[i] == tokens[i - 1] ? run + 1 : 1;
      longest = std::max(longest, run);
    }
    // Two turns, each with what its last step gives beyond it.
    EXPECT_LE(longest, 2 * (32 + 31) * clients);
  }
}

}  // namespace
}  // namespace tessera
