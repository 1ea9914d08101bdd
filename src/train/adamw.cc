#include "train/adamw.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace tessera::train {
namespace {

constexpr size_t kPiece = 1 << 14;  // values that a thread takes at a time

// Calls body(parameter, first, end, number of the piece) for every piece of every parameter.
template <class Body>
void for_pieces(ThreadPool& pool, std::span<Parameter* const> parameters, Body body) {
  struct Piece {
    size_t parameter, first;
  };
  std::vector<Piece> pieces;
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (size_t first = 0; first < parameters[i]->values.size(); first += kPiece)
      pieces.push_back({i, first});
  }
  pool.parallel_for(static_cast<int>(pieces.size()), [&](int number, int) {
    const auto& [parameter, first] = pieces[static_cast<size_t>(number)];
    body(parameter, first, std::min(first + kPiece, parameters[parameter]->values.size()), number);
  });
}

size_t count_pieces(std::span<Parameter* const> parameters) {
  size_t count = 0;
  for (const Parameter* parameter : parameters)
    count += (parameter->values.size() + kPiece - 1) / kPiece;
  return count;
}

}  // namespace

AdamW::AdamW(std::vector<Parameter*> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter* parameter : parameters_) {
    const size_t size = parameter->values.size();
    moments_.push_back({std::vector<float>(size), std::vector<float>(size)});
  }
}

void AdamW::step(ThreadPool& pool, double rate) {
  ++steps_;
  const double first_share = 1 - std::pow(options_.beta1, steps_);
  const double second_root = std::sqrt(1 - std::pow(options_.beta2, steps_));
  const auto beta1 = static_cast<float>(options_.beta1), beta2 = static_cast<float>(options_.beta2);
  const auto by = static_cast<float>(rate / first_share),
             kept = static_cast<float>(1 - rate * options_.decay);
  const auto root = static_cast<float>(second_root), epsilon = static_cast<float>(options_.epsilon);
  for_pieces(pool, parameters_, [&](size_t parameter, size_t begin, size_t end, int) {
    float* values = parameters_[parameter]->values.data();
    float* gradient = parameters_[parameter]->gradient.data();
    float *first = moments_[parameter].first.data(), *second = moments_[parameter].second.data();
    if (parameters_[parameter]->keeps_zeros) {
      for (size_t i = begin; i < end; ++i)
        if (values[i] == 0) gradient[i] = first[i] = second[i] = 0;
    }
    for (size_t i = begin; i < end; ++i) {
      const float g = gradient[i];
      gradient[i] = 0;
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      values[i] = kept * values[i] - by * first[i] / (std::sqrt(second[i]) / root + epsilon);
    }
  });
  for (Parameter* parameter : parameters_) parameter->has_changed = true;
}

double clip(ThreadPool& pool, std::span<Parameter* const> parameters, double most) {
  std::vector<double> squares(count_pieces(parameters));
  for_pieces(pool, parameters, [&](size_t parameter, size_t begin, size_t end, int number) {
    const std::vector<float>& gradient = parameters[parameter]->gradient;
    double sum = 0;
    for (size_t i = begin; i < end; ++i)
      sum += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
    squares[static_cast<size_t>(number)] = sum;
  });
  double sum = 0;
  for (const double square : squares) sum += square;
  const double length = std::sqrt(sum);
  if (most <= 0 || length <= most || !std::isfinite(length)) return length;
  const auto by = static_cast<float>(most / length);
  for_pieces(pool, parameters, [&](size_t parameter, size_t begin, size_t end, int) {
    for (size_t i = begin; i < end; ++i) parameters[parameter]->gradient[i] *= by;
  });
  return length;
}

}  // namespace tessera::train
