#include "compress/calibration.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/error.h"

namespace tessera {
namespace {

// Neighbours attend much alike: the averages of every fourth are enough.
constexpr int kQueryStep = 4;

// Puts together what a tap of kValueInput shows a part at a time: a row for each head and token.
class ValueInputs {
 public:
  explicit ValueInputs(int columns) : columns_(columns) {}

  // The inputs, once they are whole.
  std::optional<HostRows> add(HostRows part, int head_dim) {
    const int heads = part.columns / head_dim, count = std::min(head_dim, columns_ - done_);
    rows_.resize(static_cast<size_t>(part.rows) * static_cast<size_t>(heads * columns_));
    float* to = rows_.data() + done_;
    for (int r = 0; r < part.rows; ++r) {
      for (int head = 0; head < heads; ++head, to += columns_)
        std::copy_n(part.row(r).data() + head * head_dim, count, to);
    }
    done_ = (done_ + count) % columns_;
    if (done_ > 0) return std::nullopt;
    return HostRows(rows_.data(), part.rows * heads, columns_, columns_);
  }

 private:
  int columns_, done_ = 0;
  std::vector<float> rows_;
};

}  // namespace

CalibrationText cut_text(const Tokenizer& tokenizer, std::string_view text, int length,
                         int chunks) {
  CalibrationText cut{.tokens = tokenizer.encode(text, {.parse_special = false}), .length = length};
  if (cut.chunks() == 0) {
    fail("the calibration text has {} tokens, one chunk needs {}", cut.tokens.size(), length);
  }
  const int kept = chunks > 0 ? std::min(chunks, cut.chunks()) : cut.chunks();
  cut.tokens.resize(static_cast<size_t>(kept) * static_cast<size_t>(length));
  if (tokenizer.adds_bos()) {
    for (size_t i = 0; i < cut.tokens.size(); i += static_cast<size_t>(length))
      cut.tokens[i] = *tokenizer.bos();
  }
  return cut;
}

Calibration::Calibration(std::shared_ptr<const Checkpoint> checkpoint, const Device& device,
                         CalibrationText text)
    : device_(device),
      text_(std::move(text)),
      model_(std::move(checkpoint), device.backend, text_.length, text_.chunks()),
      rows_(text_.tokens.size() * static_cast<size_t>(model_.config().embedding)) {
  const int vocabulary = model_.config().vocabulary;
  for (const Token token : text_.tokens) {
    if (token < 0 || token >= vocabulary)
      fail("the tokenizer gives token {}, the model has {}", token, vocabulary);
  }
  model_.embed(text_.tokens, rows_);
}

std::span<float> Calibration::rows_of(int chunk) {
  const size_t size =
      static_cast<size_t>(text_.length) * static_cast<size_t>(model_.config().embedding);
  return std::span(rows_).subspan(static_cast<size_t>(chunk) * size, size);
}

LayerByLayer::Text Calibration::text_of(int chunk) const {
  const auto length = static_cast<size_t>(text_.length);
  return {.tokens = std::span(text_.tokens).subspan(static_cast<size_t>(chunk) * length, length),
          .number = chunk};
}

Calibration::Moments Calibration::observe(int layer, InputMoments::Kind kind,
                                          const Loader::Instead& instead, const Progress& progress,
                                          Then then) {
  using enum TapPoint;
  const LayerConfig& shape = model_.config().layers[static_cast<size_t>(layer)];
  Moments moments;
  std::vector<Tap> taps;
  const auto observe_at = [&](TapPlace place) {
    const auto read = [&, place](Tensor x) {
      moments.try_emplace(place, x.columns, kind)
          .first->second.add(device_.backend->download(x), *device_.pool);
    };
    taps.push_back({layer, place.point, {}, read, place.expert});
  };
  for (const TapPoint point : {kQkvInput, kOutputInput, kRecurrentOutputInput, kGateUpInput,
                               kDownInput, kSharedInput, kSharedDownInput})
    observe_at(point);
  for (int expert = 0; expert < shape.experts.count; ++expert) {
    observe_at({kExpertInput, expert});
    observe_at({kExpertDownInput, expert});
  }
  ValueInputs values(model_.config().embedding);
  if (kind == InputMoments::Kind::kHessian) {
    std::vector<int32_t> queries;
    for (int r = kQueryStep - 1; r < text_.length; r += kQueryStep) queries.push_back(r);
    taps.push_back(
        {.layer = layer, .point = kValueInput, .rows = queries, .read = [&](Tensor part) {
           const auto x = values.add(device_.backend->download(part), shape.head_dim);
           if (!x) return;
           moments.try_emplace(kValueInput, x->columns, kind).first->second.add(*x, *device_.pool);
         }});
  }
  model_.load(layer, instead);
  std::vector<float> copy;
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    const auto rows = rows_of(chunk);
    if (then == kStay) copy.assign(rows.begin(), rows.end());
    model_.forward(then == kStay ? std::span(copy) : rows, text_of(chunk), taps);
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
  return moments;
}

void Calibration::advance(int layer, const Loader::Instead& instead, const Progress& progress) {
  model_.load(layer, instead);
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    model_.forward(rows_of(chunk), text_of(chunk));
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
}

std::optional<TapPoint> observed_input(TensorRole role, const Calibration::Moments& moments) {
  if (role == TensorRole::kValue && moments.contains(TapPoint::kValueInput))
    return TapPoint::kValueInput;
  return input_of(role);
}

double Calibration::influence(int layer, const Progress& progress) {
  model_.load(layer);
  const auto width = static_cast<size_t>(model_.config().embedding);
  std::vector<float> before;
  double sum = 0;
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    const auto rows = rows_of(chunk);
    before.assign(rows.begin(), rows.end());
    model_.forward(rows, text_of(chunk));
    for (size_t at = 0; at < rows.size(); at += width) {
      double product = 0, in = 0, out = 0;
      for (size_t c = at; c < at + width; ++c) {
        const double x = before[c], y = rows[c];
        product += x * y, in += x * x, out += y * y;
      }
      if (!std::isfinite(in + out)) fail("what layer {} makes of the text is not finite", layer);
      sum += in > 0 && out > 0 ? 1 - product / std::sqrt(in * out) : 1;
    }
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
  return sum / static_cast<double>(text_.tokens.size());
}

}  // namespace tessera
