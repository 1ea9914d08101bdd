// Compressed models as points: how far each is from the reference, against its size.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluate/compare.h"
#include "evaluate/svg.h"

namespace tessera {
namespace {

using Point = Svg::Point;
using Anchor = Svg::Anchor;

constexpr double kWidth = 1000, kMargin = 30, kTop = 120, kPlotHeight = 420;
constexpr double kLeft = kMargin + 76, kRight = kWidth - kMargin - 120,
                 kBottom = kTop + kPlotHeight;
constexpr double kLeastKl = 1e-7;  // of a model that is the reference: no logarithm shows 0

double megabytes(const ComparedModel& model) {
  return static_cast<double>(model.bytes) / 1e6;
}
double shown_kl(const ComparedModel& model) {
  return std::max(model.divergence.mean_kl, kLeastKl);
}

// A step of 1, 2 or 5 times a power of ten, of which about eight fill the range.
double linear_step(double range) {
  const auto ticks = log_ticks(std::log10(range / 16), std::log10(range / 4));
  return ticks.empty() ? range : ticks[ticks.size() / 2];
}

class Picture {
 public:
  explicit Picture(const Comparison& comparison)
      : comparison_(comparison), front_(pareto_front(comparison.models)) {}

  std::string draw(const std::string& title) {
    svg_.text({kMargin, 44}, fmt::format("What compression costs: {}", title), "title");
    svg_.text(
        {kMargin, 68},
        fmt::format("The reference: {:.1f} MB, perplexity {:.3f}; {} tokens scored",
                    megabytes(comparison_.reference), comparison_.reference.divergence.model.value,
                    comparison_.reference.divergence.model.scored_tokens),
        "ink");
    svg_.text({kMargin, 88},
              "Mean KL divergence from the reference, against size; the line joins models that no "
              "other one beats in both.",
              "soft");
    set_axes();
    grid();
    front();
    for (size_t i = 0; i < comparison_.models.size(); ++i) point(comparison_.models[i], front_[i]);
    return svg_.finish(kWidth, kBottom + 60, kPictureStyle);
  }

 private:
  void set_axes() {
    const auto& models = comparison_.models;
    const auto [small, large] = std::ranges::minmax(models, {}, megabytes);
    const auto [near, far] = std::ranges::minmax(models, {}, shown_kl);
    const double space =
        std::max(0.08 * (megabytes(large) - megabytes(small)), 0.02 * megabytes(large));
    low_x_ = std::max(0.0, megabytes(small) - space), high_x_ = megabytes(large) + space;
    low_y_ = std::log10(shown_kl(near)) - 0.15, high_y_ = std::log10(shown_kl(far)) + 0.15;
  }

  Point at(const ComparedModel& model) const {
    return {x_of(megabytes(model)), y_of(shown_kl(model))};
  }
  double x_of(double size) const {
    return kLeft + (kRight - kLeft) * (size - low_x_) / (high_x_ - low_x_);
  }
  double y_of(double kl) const {
    return kBottom - kPlotHeight * (std::log10(kl) - low_y_) / (high_y_ - low_y_);
  }

  void grid() {
    const double step = linear_step(high_x_ - low_x_);
    for (double tick = std::ceil(low_x_ / step) * step; tick <= high_x_; tick += step) {
      svg_.line({{x_of(tick), kTop}, {x_of(tick), kBottom}}, "grid");
      svg_.text({x_of(tick), kBottom + 18}, fmt::format("{:g}", tick), "soft", Anchor::kMiddle);
    }
    for (const double tick : log_ticks(low_y_, high_y_)) {
      svg_.line({{kLeft, y_of(tick)}, {kRight, y_of(tick)}}, "grid");
      svg_.text({kLeft - 8, y_of(tick) + 4}, fmt::format("{:g}", tick), "soft", Anchor::kEnd);
    }
    svg_.text({(kLeft + kRight) / 2, kBottom + 40}, "MB", "soft", Anchor::kMiddle);
    svg_.text({kMargin, kTop - 10}, "nats a token", "soft");
  }

  void front() {
    std::vector<Point> points;
    for (size_t i = 0; i < front_.size(); ++i) {
      if (front_[i]) points.push_back(at(comparison_.models[i]));
    }
    std::ranges::sort(points, {}, &Point::x);
    if (points.size() > 1) svg_.line(points, "second");
  }

  void point(const ComparedModel& model, bool is_on_front) {
    const Divergence& d = model.divergence;
    svg_.circle(at(model), 6, is_on_front ? "c0" : "c7",
                fmt::format("{}: {:.1f} MB, {:.2f} bits a weight, mean KL {:.5f}, 99.9 % {:.4f}, "
                            "same top {:.2f} %, perplexity {:.3f}",
                            model.name, megabytes(model), model.bits_per_weight, d.mean_kl,
                            d.high_kl, 100 * d.same_top, d.model.value));
    svg_.text({at(model).x + 10, at(model).y + 4}, model.name, "soft");
  }

  const Comparison& comparison_;
  std::vector<bool> front_;
  Svg svg_;
  double low_x_ = 0, high_x_ = 0, low_y_ = 0, high_y_ = 0;  // MB, and log10 of nats
};

}  // namespace

std::string to_svg(const Comparison& comparison, const std::string& title) {
  return Picture(comparison).draw(title);
}

}  // namespace tessera
