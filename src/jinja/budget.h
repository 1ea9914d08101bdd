// What a template may cost. Templates come with model files, so they are untrusted: one may loop
// for ever, double a string until memory ends, or nest calls until the stack does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace tessera::jinja {

struct Limits {
  uint64_t steps = 20'000'000;              // evaluations, plus work in proportion to data touched
  size_t text_bytes = size_t{16} << 20;     // the output, and any one string
  size_t memory_bytes = size_t{512} << 20;  // of all values ever created by one rendering
  int depth = 1000;                         // nested evaluations: bounds the use of the C++ stack
};

// How deeply lists and dictionaries may nest. Destructors and conversions recurse this far.
inline constexpr int kMaxNesting = 200;

// Sandboxed Jinja's own bound on range().
inline constexpr int64_t kMaxRange = 100'000;

// Counts what a rendering uses; throws Error when a limit is passed.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  void step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) fail("the template needs more than {} steps", limits_.steps);
  }
  // Reading `bytes` of text, perhaps character by character.
  void scan(size_t bytes) { step(1 + bytes / 8); }

  // Call before building a text of this size.
  void check_text(size_t bytes) const {
    if (bytes > limits_.text_bytes) fail("a text grows beyond {} bytes", limits_.text_bytes);
  }
  // Call for a value that was or will be built. The sum over the rendering is bounded, not only
  // what is alive: simple, and no legitimate template comes near.
  void create(size_t bytes) {
    step(1 + bytes / 32);
    memory_ += bytes;
    if (memory_ > limits_.memory_bytes) {
      fail("the template creates more than {} bytes of values", limits_.memory_bytes);
    }
  }
  void create_text(size_t bytes) {
    check_text(bytes);
    create(bytes);
  }
  template <typename T>
  void create_items(uint64_t count) {
    if (count > limits_.memory_bytes / sizeof(T)) fail("a list of {} items is too long", count);
    create(count * sizeof(T));
  }

  // Held while one evaluation nests inside another.
  class Nested {
   public:
    explicit Nested(Budget& budget) : budget_(budget) {
      if (budget_.depth_ >= budget_.limits_.depth) fail("calls or values nest too deeply");
      ++budget_.depth_;
    }
    ~Nested() { --budget_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Budget& budget_;
  };

 private:
  Limits limits_;
  uint64_t steps_ = 0;
  size_t memory_ = 0;
  int depth_ = 0;
};

}  // namespace tessera::jinja
