#include "train/adamw.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace tessera::train {
namespace {

constexpr size_t kPiece = 1 << 14;  // values that a thread takes at a time: whole blocks
static_assert(kPiece % DynamicBytes::kBlock == 0);

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
  using Signs = DynamicBytes::Signs;
  for (const Parameter* parameter : parameters_) {
    const size_t size = parameter->values.size();
    Moments& moments = moments_.emplace_back();
    if (options.eight_bits && size >= kFewValues) {
      moments.first_bytes.emplace(size, Signs::kBoth);
      moments.second_bytes.emplace(size, Signs::kPositive);
    } else {
      moments.first.resize(size);
      moments.second.resize(size);
    }
  }
}

std::vector<std::span<std::byte>> AdamW::memory(size_t parameter) {
  Moments& moments = moments_[parameter];
  if (moments.first_bytes) {
    return {moments.first_bytes->codes(), moments.first_bytes->largest(),
            moments.second_bytes->codes(), moments.second_bytes->largest()};
  }
  return {std::as_writable_bytes(std::span(moments.first)),
          std::as_writable_bytes(std::span(moments.second))};
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
    const size_t count = end - begin;
    float* values = parameters_[parameter]->values.data() + begin;
    float* gradient = parameters_[parameter]->gradient.data() + begin;
    Moments& moments = moments_[parameter];
    const bool is_bytes = moments.first_bytes.has_value();
    std::vector<float> room(is_bytes ? 2 * count : 0);
    float* first = is_bytes ? room.data() : moments.first.data() + begin;
    float* second = is_bytes ? room.data() + count : moments.second.data() + begin;
    if (is_bytes) {
      moments.first_bytes->read(begin, {first, count});
      moments.second_bytes->read(begin, {second, count});
    }
    if (parameters_[parameter]->keeps_zeros) {
      for (size_t i = 0; i < count; ++i)
        if (values[i] == 0) gradient[i] = first[i] = second[i] = 0;
    }
    for (size_t i = 0; i < count; ++i) {
      const float g = gradient[i];
      gradient[i] = 0;
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      values[i] = kept * values[i] - by * first[i] / (std::sqrt(second[i]) / root + epsilon);
    }
    if (is_bytes) {
      moments.first_bytes->write(begin, {first, count});
      moments.second_bytes->write(begin, {second, count});
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
