// What decoders gain, as a picture.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluate/decoder_bench.h"
#include "evaluate/svg.h"

namespace tessera {
namespace {

constexpr double kWidth = 1000, kMargin = 30, kHeader = 110;
constexpr double kBarLeft = 330, kBarWidth = 520;
constexpr double kBarHeight = 16, kBarStep = 22, kGroupGap = 18;
constexpr int kColors = 8;

std::string describe(const DecoderScore& score) {
  std::string text = fmt::format("{}, {}: {:.1f} tokens/s, {:.2f} tokens a step", score.set,
                                 score.decoder, score.tokens_per_second, score.tokens_per_step);
  if (!score.acceptance.empty())
    text += fmt::format("; first drafted token accepted {:.0f} %", 100 * score.acceptance.front());
  return text;
}

bool is_of_one_group(const DecoderScore& a, const DecoderScore& b) {
  return a.set == b.set && a.temperature == b.temperature;
}

class Picture {
 public:
  explicit Picture(const std::vector<DecoderScore>& scores) : scores_(scores) {
    for (const DecoderScore& score : scores) {
      most_ = std::max(most_, score.speed_up);
      if (std::ranges::find(decoders_, score.decoder) == decoders_.end())
        decoders_.push_back(score.decoder);
    }
  }

  std::string draw(const std::string& title, const std::string& machine) {
    svg_.text({kMargin, 44}, fmt::format("What decoders gain: {}", title), "title");
    svg_.text({kMargin, 68}, machine, "ink");
    svg_.text({kMargin, 88}, "Tokens a second, plain decoding of the same prompts = 1.", "soft");
    for (size_t i = 0; i < scores_.size(); ++i) {
      const bool begins = i == 0 || !is_of_one_group(scores_[i - 1], scores_[i]);
      if (begins) group(scores_[i], i > 0);
      bar(scores_[i]);
    }
    grid();
    return svg_.finish(kWidth, y_ + 40, kPictureStyle);
  }

 private:
  double x_of(double speed_up) const { return kBarLeft + kBarWidth * speed_up / most_; }

  void group(const DecoderScore& first, bool gap) {
    if (gap) y_ += kGroupGap;
    svg_.text({kMargin, y_ + kBarHeight - 3}, fmt::format("{}, T {}", first.set, first.temperature),
              "strong");
  }

  void bar(const DecoderScore& score) {
    const auto color = std::ranges::find(decoders_, score.decoder) - decoders_.begin();
    svg_.text({kBarLeft - 8, y_ + kBarHeight - 3}, score.decoder, "soft", Svg::Anchor::kEnd);
    svg_.rectangle({kBarLeft, y_}, x_of(score.speed_up) - kBarLeft, kBarHeight,
                   fmt::format("c{}", color % kColors), describe(score));
    svg_.text({x_of(score.speed_up) + 6, y_ + kBarHeight - 3},
              fmt::format("{:.2f}  ({:.1f} tokens a step)", score.speed_up, score.tokens_per_step),
              "soft");
    y_ += kBarStep;
  }

  void grid() {
    for (int times = 1; times <= static_cast<int>(std::floor(most_)); ++times) {
      const double x = x_of(times);
      svg_.line({{x, kHeader - 6}, {x, y_ + 4}}, times == 1 ? "roof" : "guide");
      svg_.text({x, y_ + 20}, fmt::format("{} x", times), "soft", Svg::Anchor::kMiddle);
    }
  }

  const std::vector<DecoderScore>& scores_;
  std::vector<std::string> decoders_;
  double most_ = 1;
  double y_ = kHeader;
  Svg svg_;
};

}  // namespace

std::string to_svg(const std::vector<DecoderScore>& scores, const std::string& title,
                   const std::string& machine) {
  return Picture(scores).draw(title, machine);
}

}  // namespace tessera
