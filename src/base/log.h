// Progress and messages, always on standard error: standard output belongs to results.
#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace tessera {

// Sends spdlog's default logger to standard error, at "warn" unless `verbose`.
void set_up_logging(bool verbose);

// A progress bar on standard error if that is a terminal; silent in a pipe.
class ProgressBar {
 public:
  enum class Unit { kCount, kBytes };
  ProgressBar(std::string label, uint64_t total, Unit unit = Unit::kCount);
  ~ProgressBar();  // erases the line
  void update(uint64_t done);
  // For a total that is learned on the way (a download's Content-Length).
  void set_total(uint64_t total) { total_ = total; }

 private:
  std::string label_;
  uint64_t total_;
  Unit unit_;
  bool enabled_;
  std::chrono::steady_clock::time_point started_, drawn_;
};

}  // namespace tessera
