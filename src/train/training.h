// A training: steps over examples in an order that a seed decides, with the held-out loss as it
// goes. It can stop after any step and go on later to the same bits, whatever the threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "train/adamw.h"
#include "train/data.h"
#include "train/objective.h"
#include "train/schedule.h"

namespace tessera::train {

struct TrainingOptions {
  Schedule schedule;
  AdamWOptions adamw;
  int batch = 8;    // examples of a step, computed a few at a time (gradient accumulation)
  double clip = 1;  // the gradient's length, at most; 0: any
  uint64_t seed = 1;
  int evaluate_every = 50, save_every = 50;  // steps; 0: only at the end
  // Called before each step with its number from 0 on: what a schedule does to what is learned. The
  // number and the values alone decide what that is, or a training could not go on.
  std::function<void(int step)> before_step = {};
};

// Mean losses, in nats a token.
struct LossCurve {
  struct Point {
    int step;  // after so many
    double loss;
  };
  std::vector<float> learned;   // of each step, before it
  std::vector<Point> held_out;  // empty if nothing is held out
};

// Of the examples' targets, at most so many rows at a time.
double mean_loss(Objective& objective, std::span<const Example> examples, int rows);

class Training {
 public:
  // `data` has examples to learn from. `rows`: of the objective, at most, at a time; no example has
  // more. `identity`: what the state of another training would differ in, for people.
  Training(Objective& objective, ThreadPool& pool, Learned& learned, const Data& data, int rows,
           TrainingOptions options, std::string identity);

  // Steps until all are done, or until `goes_on`, called after each with its number from 1 on, its
  // loss and how many tokens counted, says no. The state is saved every so often, and when it
  // stops, at its end too: what was learned is not lost with an output that cannot be written.
  // Error, naming the step, if the loss is no number: the state that was saved last stays.
  using GoesOn = std::function<bool(int step, double loss, int tokens)>;
  void run(const std::filesystem::path& state, const GoesOn& goes_on);
  bool is_done() const { return step_ == options_.schedule.steps; }
  int step() const { return step_; }
  const LossCurve& curve() const { return curve_; }

  // The mean loss of the examples.
  double evaluate(std::span<const Example> examples) {
    return mean_loss(objective_, examples, rows_);
  }

  // Everything that the next step depends on.
  void save(const std::filesystem::path& path);
  // Error for a file that is malformed, or another training's.
  void load(const std::filesystem::path& path);

 private:
  std::vector<std::span<std::byte>> memory();  // all that is learned, and how
  double step(int* tokens);
  const std::vector<uint32_t>& order_of(uint64_t epoch);
  void evaluate_held_out();

  Objective& objective_;
  ThreadPool& pool_;
  Learned& learned_;
  const Data& data_;
  int rows_;
  TrainingOptions options_;
  std::string identity_;
  AdamW adamw_;
  int step_ = 0;
  LossCurve curve_;
  uint64_t epoch_ = 0;           // that order_ is of
  std::vector<uint32_t> order_;  // empty: of none yet
};

}  // namespace tessera::train
