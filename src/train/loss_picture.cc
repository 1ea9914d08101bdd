#include "train/loss_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "evaluate/svg.h"

namespace tessera::train {
namespace {

using Point = Svg::Point;
using Anchor = Svg::Anchor;

constexpr double kWidth = 1000, kMargin = 30, kTop = 90, kHeight = 400;
constexpr double kLeft = kMargin + 60, kRight = kWidth - kMargin, kBottom = kTop + kHeight;

// A step of 1, 2 or 5 times a power of ten, of which about eight fill the range.
double tick_step(double range) {
  const auto ticks = log_ticks(std::log10(range / 16), std::log10(range / 4));
  return ticks.empty() ? range : ticks[ticks.size() / 2];
}

struct Axes {
  double steps, low, high;

  Point at(double step, double loss) const {
    return {kLeft + (kRight - kLeft) * step / steps,
            kBottom - kHeight * (loss - low) / (high - low)};
  }
};

Axes axes_of(const LossCurve& curve) {
  std::vector<double> losses(curve.learned.begin(), curve.learned.end());
  for (const LossCurve::Point& point : curve.held_out) losses.push_back(point.loss);
  if (losses.empty()) losses = {0, 1};
  const auto [low, high] = std::ranges::minmax(losses);
  const double space = std::max(0.05 * (high - low), 1e-3);
  return {std::max(1.0, static_cast<double>(curve.learned.size())), std::max(0.0, low - space),
          high + space};
}

void draw_grid(Svg& svg, const Axes& axes) {
  const double across = std::max(1.0, tick_step(axes.steps));
  for (double step = 0; step <= axes.steps; step += across) {
    svg.line({axes.at(step, axes.low), axes.at(step, axes.high)}, "grid");
    svg.text({axes.at(step, axes.low).x, kBottom + 18}, fmt::format("{:g}", step), "soft",
             Anchor::kMiddle);
  }
  const double up = tick_step(axes.high - axes.low);
  for (double loss = std::ceil(axes.low / up) * up; loss <= axes.high; loss += up) {
    svg.line({axes.at(0, loss), axes.at(axes.steps, loss)}, "grid");
    svg.text({kLeft - 8, axes.at(0, loss).y + 4}, fmt::format("{:g}", loss), "soft", Anchor::kEnd);
  }
  svg.text({(kLeft + kRight) / 2, kBottom + 40}, "steps", "soft", Anchor::kMiddle);
  svg.text({kMargin, kTop - 10}, "nats a token", "soft");
}

}  // namespace

std::string draw_losses(const LossCurve& curve, std::string_view title) {
  Svg svg;
  const Axes axes = axes_of(curve);
  svg.text({kMargin, 44}, title, "title");
  draw_grid(svg, axes);
  for (size_t i = 0; i < curve.learned.size(); ++i) {
    const double loss = static_cast<double>(curve.learned[i]);
    svg.circle(axes.at(static_cast<double>(i), loss), 3, "c0 pale",
               fmt::format("step {}: {:.4f}", i + 1, loss));
  }
  std::vector<Point> line;
  for (const LossCurve::Point& point : curve.held_out)
    line.push_back(axes.at(point.step, point.loss));
  if (line.size() > 1) svg.line(line, "roof");
  for (const LossCurve::Point& point : curve.held_out)
    svg.circle(axes.at(point.step, point.loss), 5, "c1",
               fmt::format("held out, after step {}: {:.4f}", point.step, point.loss));
  svg.circle({kRight - 190, kTop - 14}, 3, "c0 pale");
  svg.text({kRight - 180, kTop - 10}, "learned from", "soft");
  svg.circle({kRight - 80, kTop - 14}, 5, "c1");
  svg.text({kRight - 70, kTop - 10}, "held out", "soft");
  return svg.finish(kWidth, kBottom + 60, kPictureStyle);
}

}  // namespace tessera::train
