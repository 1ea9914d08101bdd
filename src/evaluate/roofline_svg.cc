// The roofline as a picture: where each phase's time goes, above the roofs and what came under
// them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backend/kv_format.h"
#include "engine/session.h"
#include "evaluate/roofline.h"
#include "evaluate/svg.h"
#include "evaluate/units.h"

namespace tessera {
namespace {

using Point = Svg::Point;
using Anchor = Svg::Anchor;

constexpr double kWidth = 1000, kMargin = 30;
constexpr double kBarLeft = 150, kBarWidth = kWidth - kMargin - kBarLeft, kBarHeight = 44;
constexpr double kPhaseHeight = 104, kPlotHeight = 360;
constexpr double kLetter = 6.2;  // width of one at 11 pixels, about

// One colour: the same operations in every phase, in the order of a forward pass.
struct Kind {
  std::string_view name;
  int color;
};
constexpr Kind kKinds[] = {{"qkv", 0},  {"attention", 1}, {"attention output", 2}, {"gate, up", 3},
                           {"down", 4}, {"logits", 5},    {"sampling", 6},         {"other", 7}};
constexpr size_t kOther = std::size(kKinds) - 1;

size_t kind_of(const OperationProfile& operation) {
  const std::string& name = operation.rows > 0 ? operation.matrix : operation.name;
  const auto found = std::ranges::find(kKinds, name, &Kind::name);
  return found == std::end(kKinds) ? kOther : static_cast<size_t>(found - kKinds);
}

struct Slice {
  double seconds = 0;
  Work work;
};
std::vector<Slice> slices_of(const Phase& phase) {
  std::vector<Slice> slices(std::size(kKinds));
  for (const OperationProfile& operation : phase.operations) {
    Slice& slice = slices[kind_of(operation)];
    slice.seconds += operation.seconds;
    slice.work += operation.work;
  }
  return slices;
}

std::string describe(std::string_view phase, std::string_view name, double seconds,
                     const Work& work, const Peaks& peaks) {
  std::string text = fmt::format("{}, {}: {}", phase, name, with_unit(seconds, "s"));
  if (work.memory_bytes > 0) {
    text +=
        fmt::format(", reads {}, {} = {} of the limit", with_unit(work.memory_bytes, "B"),
                    with_unit(work.macs(), "MAC"), percent(limit_seconds(work, peaks) / seconds));
  }
  return text;
}

class Picture {
 public:
  explicit Picture(const Roofline& roofline) : roofline_(roofline), peaks_(roofline.peaks) {}

  std::string draw(const std::string& title) {
    header(title);
    for (const Phase& phase : roofline_.phases) bar(phase);
    plot();
    return svg_.finish(kWidth, y_, kPictureStyle);
  }

 private:
  void header(const std::string& title) {
    svg_.text({kMargin, 44}, fmt::format("Where the time goes: {}", title), "title");
    svg_.text({kMargin, 68},
              fmt::format("{}; weights {}, KV {}, {} tokens in the context", roofline_.machine,
                          with_unit(roofline_.weight_bytes, "B"), to_string(roofline_.kv_format),
                          roofline_.depth),
              "ink");
    svg_.text({kMargin, 88},
              fmt::format("Limits, measured: read {}/s, int8 dot {}/s, f32 multiply-add {}/s",
                          with_unit(peaks_.read_bytes_per_second, "B"),
                          with_unit(peaks_.dot_macs_per_second, "MAC"),
                          with_unit(peaks_.fma_macs_per_second, "MAC")),
              "ink");
    svg_.text(
        {kMargin, 112},
        "Width: share of the time. Filled height: percent of the limit, as printed. Red below: "
        "waiting at barriers, within the above.",
        "soft");
    double x = kMargin;
    for (const Kind& kind : kKinds) {
      svg_.rectangle({x, 124}, 12, 12, color(kind));
      svg_.text({x + 17, 134}, kind.name, "soft");
      x += 17 + kLetter * static_cast<double>(kind.name.size()) + 22;
    }
    y_ = 160;
  }

  static std::string color(const Kind& kind) { return fmt::format("c{}", kind.color); }

  void bar(const Phase& phase) {
    svg_.text({kMargin, y_ + 18}, phase.name, "strong");
    svg_.text({kMargin, y_ + 36}, fmt::format("{:.1f} tokens/s", phase.tokens_per_second()),
              "soft");
    const auto slices = slices_of(phase);
    double x = kBarLeft, free_from = kBarLeft;
    for (size_t i = 0; i < slices.size(); ++i) {
      const double width = kBarWidth * slices[i].seconds / phase.seconds;
      slice(phase, kKinds[i], slices[i], x, width, free_from);
      x += width;
    }
    const double waiting = std::min(1.0, phase.parallel.waiting / phase.seconds);
    svg_.rectangle({kBarLeft, y_ + kBarHeight + 2}, kBarWidth * waiting, 3, "waiting",
                   fmt::format("waiting at barriers: {} in {} sections",
                               with_unit(phase.parallel.waiting, "s"), phase.parallel.sections));
    svg_.text({kBarLeft, y_ + kBarHeight + 36}, summary(phase), "soft");
    y_ += kPhaseHeight;
  }

  // `free_from`: where names under the bar have room.
  void slice(const Phase& phase, const Kind& kind, const Slice& slice, double x, double width,
             double& free_from) {
    if (width < 0.3) return;
    const std::string tip = describe(phase.name, kind.name, slice.seconds, slice.work, peaks_);
    const double gap = width > 4 ? 1 : 0;
    const bool limited = slice.work.memory_bytes > 0;
    const double reached = limited ? limit_seconds(slice.work, peaks_) / slice.seconds : 0;
    const double filled = kBarHeight * std::min(1.0, reached);
    svg_.rectangle({x, y_}, width - gap, kBarHeight, color(kind) + " pale", tip);
    svg_.rectangle({x, y_ + kBarHeight - filled}, width - gap, filled, color(kind), tip);
    if (limited && width > 36) {
      svg_.text({x + width / 2, y_ + kBarHeight / 2 + 4}, percent(reached), "reached",
                Anchor::kMiddle);
    }
    const double letters = kLetter * static_cast<double>(kind.name.size());
    const double start = x + std::max(0.0, (width - letters) / 2);
    if (letters > width + 20 || start < free_from || start + letters > kWidth - kMargin) return;
    svg_.text({start, y_ + kBarHeight + 18}, kind.name, "soft");
    free_from = start + letters + 8;
  }

  std::string summary(const Phase& phase) const {
    const Work work = phase.work();
    const Phase* decode = roofline_.decode();
    std::string text = fmt::format(
        "{} a step, {} of the limit ({}); {}/s = {} of bandwidth; {}/s = {} of the dot peak; "
        "waiting {}",
        with_unit(phase.seconds, "s"), percent(limit_seconds(work, peaks_) / phase.seconds),
        bound_by_reading(work, peaks_) ? "reading" : "arithmetic",
        with_unit(work.memory_bytes / phase.seconds, "B"),
        percent(work.memory_bytes / phase.seconds / peaks_.read_bytes_per_second),
        with_unit(work.dot_macs / phase.seconds, "MAC"),
        percent(work.dot_macs / phase.seconds / peaks_.dot_macs_per_second),
        percent(phase.parallel.waiting / phase.seconds));
    if (decode != nullptr && phase.name.starts_with("verify"))
      text += fmt::format("; {:.2f} x one token", phase.seconds / decode->seconds);
    return text;
  }

  // --- intensity against throughput

  struct Dot {
    double intensity, rate;  // MAC/byte, MAC/s
    size_t kind;
    std::string tip;
  };

  std::vector<Dot> dots() const {
    std::vector<Dot> dots;
    for (const Phase& phase : roofline_.phases) {
      const auto slices = slices_of(phase);
      for (size_t i = 0; i < slices.size(); ++i) {
        const auto& [seconds, work] = slices[i];
        if (work.memory_bytes <= 0 || work.macs() <= 0 || seconds <= 0) continue;
        dots.push_back({work.macs() / work.memory_bytes, work.macs() / seconds, i,
                        describe(phase.name, kKinds[i].name, seconds, work, peaks_)});
      }
    }
    return dots;
  }

  void plot() {
    const auto all = dots();
    if (all.empty()) return;
    set_axes(all);
    svg_.text({kMargin, y_ + 16}, "Under the roof", "strong");
    svg_.text(
        {kMargin, y_ + 34},
        "Multiply-adds per second against multiply-adds per byte read. A dot on the roof is at "
        "the limit; each dotted line is a phase.",
        "soft");
    top_ = y_ + 70;
    bottom_ = top_ + kPlotHeight;
    grid();
    phase_guides();
    roofs();
    for (const Dot& dot : all) {
      svg_.circle({at_x(dot.intensity), at_y(dot.rate)}, 5, color(kKinds[dot.kind]), dot.tip);
    }
    y_ = bottom_ + 54;
  }

  // Whole decades that hold all dots, and the knee where the roofs meet.
  void set_axes(const std::vector<Dot>& all) {
    double least_x = peaks_.dot_macs_per_second / peaks_.read_bytes_per_second,
           most_x = least_x * 4;
    double least_y = peaks_.fma_macs_per_second, most_y = peaks_.dot_macs_per_second * 1.6;
    for (const Dot& dot : all) {
      least_x = std::min(least_x, dot.intensity / 1.6);
      most_x = std::max(most_x, dot.intensity * 1.6);
      least_y = std::min(least_y, dot.rate / 1.6);
      most_y = std::max(most_y, dot.rate * 1.6);
    }
    low_x_ = std::log10(least_x), high_x_ = std::log10(most_x);
    low_y_ = std::log10(least_y), high_y_ = std::log10(most_y);
  }

  double at_x(double intensity) const {
    return kLeft + (kRight - kLeft) * (std::log10(intensity) - low_x_) / (high_x_ - low_x_);
  }
  double at_y(double rate) const {
    return bottom_ - kPlotHeight * (std::log10(rate) - low_y_) / (high_y_ - low_y_);
  }

  void grid() {
    for (const double tick : log_ticks(low_x_, high_x_)) {
      svg_.line({{at_x(tick), top_}, {at_x(tick), bottom_}}, "grid");
      svg_.text({at_x(tick), bottom_ + 18}, fmt::format("{:g}", tick), "soft", Anchor::kMiddle);
    }
    for (const double tick : log_ticks(low_y_, high_y_)) {
      svg_.line({{kLeft, at_y(tick)}, {kRight, at_y(tick)}}, "grid");
      svg_.text({kLeft - 8, at_y(tick) + 4}, fmt::format("{:g} GMAC/s", tick / 1e9), "soft",
                Anchor::kEnd);
    }
    svg_.text({(kLeft + kRight) / 2, bottom_ + 38},
              "multiply-adds per byte of weights, keys and values", "soft", Anchor::kMiddle);
  }

  // A thin line at each phase's intensity; its name on top, where there is room.
  void phase_guides() {
    std::vector<std::pair<double, std::string_view>> guides;
    for (const Phase& phase : roofline_.phases) {
      const Work work = phase.work();
      if (work.memory_bytes > 0 && work.macs() > 0)
        guides.emplace_back(at_x(work.macs() / work.memory_bytes), phase.name);
    }
    std::ranges::sort(guides);
    double free_from = 0;
    for (const auto& [x, name] : guides) {
      svg_.line({{x, top_}, {x, bottom_}}, "guide");
      const double half = kLetter * static_cast<double>(name.size()) / 2;
      if (x - half < free_from) continue;
      svg_.text({x, top_ - 8}, name, "soft", Anchor::kMiddle);
      free_from = x + half + 6;
    }
  }

  void roofs() {
    const double most = std::pow(10, high_x_), bandwidth = peaks_.read_bytes_per_second;
    const double start = std::max(std::pow(10, low_x_), std::pow(10, low_y_) / bandwidth);
    const Point begin{at_x(start), at_y(start * bandwidth)};
    const double knee = peaks_.dot_macs_per_second / bandwidth;
    const Point top{at_x(knee), at_y(peaks_.dot_macs_per_second)};
    const double second = peaks_.fma_macs_per_second / bandwidth;
    svg_.line({{at_x(second), at_y(peaks_.fma_macs_per_second)},
               {kRight, at_y(peaks_.fma_macs_per_second)}},
              "second");
    svg_.line({begin, top, {at_x(most), top.y}}, "roof");

    const double angle = std::atan2(top.y - begin.y, top.x - begin.x);
    const double along = 0.7, above = 7;
    svg_.text({begin.x + (top.x - begin.x) * along + above * std::sin(angle),
               begin.y + (top.y - begin.y) * along - above * std::cos(angle)},
              fmt::format("read {}/s", with_unit(bandwidth, "B")), "soft", Anchor::kMiddle,
              angle * 180 / std::numbers::pi);
    roof_name("int8 dot", peaks_.dot_macs_per_second);
    roof_name("f32", peaks_.fma_macs_per_second);
  }

  // Beside the end of a roof, in two lines.
  void roof_name(std::string_view name, double rate) {
    svg_.text({kRight + 8, at_y(rate) - 2}, name, "soft");
    svg_.text({kRight + 8, at_y(rate) + 11}, fmt::format("{}/s", with_unit(rate, "MAC")), "soft");
  }

  static constexpr double kLeft = kMargin + 76, kRight = kWidth - kMargin - 76;

  const Roofline& roofline_;
  const Peaks& peaks_;
  Svg svg_;
  double y_ = 0;                                            // where the next part begins
  double top_ = 0, bottom_ = 0;                             // of the plot
  double low_x_ = 0, high_x_ = 0, low_y_ = 0, high_y_ = 0;  // log10 of its ranges
};

}  // namespace

std::string to_svg(const Roofline& roofline, const std::string& title) {
  return Picture(roofline).draw(title);
}

}  // namespace tessera
