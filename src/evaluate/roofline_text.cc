// The roofline as tables for a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "backend/kv_format.h"
#include "engine/session.h"
#include "evaluate/roofline.h"
#include "evaluate/units.h"

namespace tessera {
namespace {

constexpr int kLabel = 36, kFigures = 56, kLeastBar = 12, kMostBar = 40;

std::string repeat(std::string_view cell, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += cell;
  return text;
}

// The length is the time, the solid part what the limit asks for.
std::string bar(double length, double solid, int width) {
  const auto cells = static_cast<int>(std::lround(length * width));
  const auto full = std::min(cells, static_cast<int>(std::lround(length * solid * width)));
  return repeat("█", full) + repeat("░", cells - full);
}

std::string fit(const std::string& label) {  // labels are ASCII
  return label.size() <= kLabel ? label : label.substr(0, kLabel - 2) + "..";
}

std::string headline(const Roofline& roofline, const Phase& phase) {
  const Work work = phase.work();
  std::string text = fmt::format("{}: {:.1f} tokens/s, {} a step", phase.name,
                                 phase.tokens_per_second(), with_unit(phase.seconds, "s"));
  const Phase* decode = roofline.decode();
  if (decode != nullptr && phase.name.starts_with("verify")) {
    text += fmt::format(" = {:.2f} x the time of one token", phase.seconds / decode->seconds);
  }
  const double bytes_rate = work.memory_bytes / phase.seconds;
  const double dot_rate = work.dot_macs / phase.seconds;
  return text +
         fmt::format(
             "\n  reads {}/s, {} of the bandwidth; {}/s of int8, {} of the dot peak; "
             "{} of the limit, {}\n",
             with_unit(bytes_rate, "B"), percent(bytes_rate / roofline.peaks.read_bytes_per_second),
             with_unit(dot_rate, "MAC"), percent(dot_rate / roofline.peaks.dot_macs_per_second),
             percent(limit_seconds(work, roofline.peaks) / phase.seconds),
             bound_by_reading(work, roofline.peaks) ? "reading" : "arithmetic");
}

// Without those too short to see, whose time goes to the last: "everything else".
std::vector<OperationProfile> visible_operations(const Phase& phase) {
  constexpr double kLeastShare = 0.001;
  std::vector<OperationProfile> visible;
  OperationProfile rest = phase.operations.back();
  for (const OperationProfile& operation :
       std::span(phase.operations).first(phase.operations.size() - 1)) {
    if (operation.seconds < kLeastShare * phase.seconds) {
      rest.seconds += operation.seconds;
    } else {
      visible.push_back(operation);
    }
  }
  visible.push_back(std::move(rest));
  return visible;
}

std::string table(const Roofline& roofline, const Phase& phase, int bar_width) {
  std::string text = fmt::format("  {:<{}} {:>5} {:>9} {:>5} {:>9} {:>9} {:>9}\n", "operation",
                                 kLabel, "calls", "time", "share", "reads", "MACs", "of limit");
  const auto operations = visible_operations(phase);
  double longest = 0;
  for (const OperationProfile& operation : operations)
    longest = std::max(longest, operation.seconds);
  for (const OperationProfile& operation : operations) {
    const double limit = limit_seconds(operation.work, roofline.peaks);
    const bool limited = operation.work.memory_bytes > 0 && operation.seconds > 0;
    const double reached = limited ? limit / operation.seconds : 0;
    std::string line = fmt::format(
        "  {:<{}} {:>5} {:>9} {:>5} {:>9} {:>9} {:>9}", fit(operation.label()), kLabel,
        operation.calls, with_unit(operation.seconds, "s"),
        percent(operation.seconds / phase.seconds),
        operation.work.memory_bytes > 0 ? with_unit(operation.work.memory_bytes, "B") : "-",
        operation.work.macs() > 0 ? with_unit(operation.work.macs(), "") : "-",
        limited ? percent(reached) : "-");
    if (bar_width > 0 && longest > 0)
      line += fmt::format("  {}", bar(operation.seconds / longest, reached, bar_width));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string footer(const Phase& phase) {
  const ParallelTime& parallel = phase.parallel;
  return fmt::format("  {:<{}} {:>5} {:>9} {:>5}  part of the above; threads idle {}\n",
                     "waiting at barriers", kLabel, parallel.sections,
                     with_unit(parallel.waiting, "s"), percent(parallel.waiting / phase.seconds),
                     percent(parallel.seconds > 0 ? parallel.idle / parallel.seconds : 0));
}

}  // namespace

std::string to_text(const Roofline& roofline, int width) {
  const Peaks& peaks = roofline.peaks;
  std::string text = fmt::format(
      "{}; weights {}; KV {}; {} tokens in the context before each phase\n"
      "limits: read {}/s, int8 dot {}/s, f32 multiply-add {}/s\n",
      roofline.machine, with_unit(roofline.weight_bytes, "B"), to_string(roofline.kv_format),
      roofline.depth, with_unit(peaks.read_bytes_per_second, "B"),
      with_unit(peaks.dot_macs_per_second, "MAC"), with_unit(peaks.fma_macs_per_second, "MAC"));
  const int room = width - kLabel - kFigures;
  const int bar_width = room < kLeastBar ? 0 : std::min(room, kMostBar);
  if (bar_width > 0) text += "bars: time, solid as far as the limit\n";
  for (const Phase& phase : roofline.phases) {
    text += '\n';
    text += headline(roofline, phase);
    text += table(roofline, phase, bar_width);
    text += footer(phase);
  }
  return text;
}

}  // namespace tessera
