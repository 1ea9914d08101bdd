#include "compress/calibration.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace tessera {

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
      model_(std::move(checkpoint), device.backend, text_.length),
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

Calibration::Moments Calibration::observe(int layer, InputMoments::Kind kind,
                                          const Loader::Instead& instead, const Progress& progress,
                                          Then then) {
  using enum TapPoint;
  Moments moments;
  std::vector<Tap> taps;
  for (const TapPoint point : {kQkvInput, kOutputInput, kGateUpInput, kDownInput}) {
    taps.push_back({.layer = layer, .point = point, .rows = {}, .read = [&, point](Tensor x) {
                      auto found = moments.find(point);
                      if (found == moments.end())
                        found = moments.emplace(point, InputMoments(x.columns, kind)).first;
                      found->second.add(device_.backend->download(x), *device_.pool);
                    }});
  }
  model_.load(layer, instead);
  std::vector<float> copy;
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    const auto rows = rows_of(chunk);
    if (then == kStay) copy.assign(rows.begin(), rows.end());
    model_.forward(then == kStay ? std::span(copy) : rows, taps);
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
  return moments;
}

void Calibration::advance(int layer, const Loader::Instead& instead, const Progress& progress) {
  model_.load(layer, instead);
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    model_.forward(rows_of(chunk));
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
}

double Calibration::influence(int layer, const Progress& progress) {
  model_.load(layer);
  const auto width = static_cast<size_t>(model_.config().embedding);
  std::vector<float> before;
  double sum = 0;
  for (int chunk = 0; chunk < text_.chunks(); ++chunk) {
    const auto rows = rows_of(chunk);
    before.assign(rows.begin(), rows.end());
    model_.forward(rows);
    for (size_t at = 0; at < rows.size(); at += width) {
      double product = 0, in = 0, out = 0;
      for (size_t c = at; c < at + width; ++c) {
        const double x = before[c], y = rows[c];
        product += x * y, in += x * x, out += y * y;
      }
      sum += in > 0 && out > 0 ? 1 - product / std::sqrt(in * out) : 1;
    }
    if (progress) progress(static_cast<double>(chunk + 1) / text_.chunks());
  }
  return sum / static_cast<double>(text_.tokens.size());
}

}  // namespace tessera
