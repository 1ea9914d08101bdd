#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tessera {

void set_up_logging(bool verbose) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("tessera"));
  spdlog::set_pattern("%^%l:%$ %v");
  spdlog::set_level(verbose ? spdlog::level::debug : spdlog::level::warn);
}

ProgressBar::ProgressBar(std::string label, uint64_t total, Unit unit)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      enabled_(::isatty(STDERR_FILENO) == 1),
      started_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() {
  if (enabled_ && drawn_ != std::chrono::steady_clock::time_point{}) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::update(uint64_t done) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;

  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - started_).count());
  const double fraction =
      total_ == 0 ? 0.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  const int width = 30;
  const int filled = static_cast<int>(fraction * width);
  const double rate = static_cast<double>(done) / seconds;
  const std::string amount =
      unit_ == Unit::kBytes
          ? fmt::format("{:.1f}/{:.1f} MB, {:.1f} MB/s", static_cast<double>(done) / 1e6,
                        static_cast<double>(total_) / 1e6, rate / 1e6)
          : fmt::format("{}/{}, {:.1f}/s", done, total_, rate);
  const double remaining = fraction > 0 ? seconds * (1 - fraction) / fraction : 0;
  fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {:3.0f} % ({}, {:.0f} s left)\x1b[K", label_, "",
             filled, "", width - filled, fraction * 100, amount, remaining);
  std::fflush(stderr);
}

}  // namespace tessera
