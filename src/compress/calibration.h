// A text's way through a model, one layer after the other: what calibration learns from.
//
// The text is embedded once. Each layer is loaded alone, all of the text goes through it while its
// inputs are observed, and again once it is compressed, so that later layers see the error made so
// far, as they will at run time. Memory: a layer, its moments, and the text's rows.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "compress/input_moments.h"
#include "devices/device.h"
#include "model/layer_by_layer.h"
#include "text/tokenizer.h"

namespace tessera {

// Texts of `length` tokens each, read from nothing.
struct CalibrationText {
  std::vector<Token> tokens;
  int length = 512;

  int chunks() const { return static_cast<int>(tokens.size()) / length; }
};

// Cuts a text into at most so many (0: all that it fills). Error if it does not fill one.
CalibrationText cut_text(const Tokenizer& tokenizer, std::string_view text, int length, int chunks);

class Calibration {
 public:
  using Moments = InputsOfLayer;
  using Progress = std::function<void(double share)>;  // of a pass over one layer; may be empty

  Calibration(std::shared_ptr<const Checkpoint> checkpoint, const Device& device,
              CalibrationText text);

  int layers() const { return model_.layers(); }
  uint64_t tokens() const { return text_.tokens.size(); }
  const Config& config() const { return model_.config(); }
  // What the layers so far have made of the text, to be kept, or put back: [tokens, embedding].
  std::span<float> rows() { return rows_; }
  // For other texts beside it: the layer that is loaded is the one it was asked for last.
  LayerByLayer& model() { return model_; }
  // What the layer's matrices multiply, with the layer as it is stored, or as `instead` says; of
  // experts that some rows chose. The text stays before the layer, unless it is to advance.
  enum Then { kStay, kAdvance };
  Moments observe(int layer, InputMoments::Kind kind, const Loader::Instead& instead,
                  const Progress& progress = {}, Then then = kStay);
  // Takes the text through the layer.
  void advance(int layer, const Loader::Instead& instead, const Progress& progress = {});
  // ... as it is stored, and says how much that turns the text's rows: the mean of 1 - the cosine
  // between what goes in and what comes out (block influence, Men et al. 2024).
  double influence(int layer, const Progress& progress = {});

 private:
  std::span<float> rows_of(int chunk);
  LayerByLayer::Text text_of(int chunk) const;

  Device device_;
  CalibrationText text_;
  LayerByLayer model_;
  std::vector<float> rows_;  // [chunks * length, embedding]
};

// Which of the moments are of what a matrix multiplies; none of other tensors. Of values, if it was
// observed, what attention makes of their inputs: few tokens get most of it, and errors of their
// values are everybody's.
std::optional<TapPoint> observed_input(TensorRole role, const Calibration::Moments& moments);

}  // namespace tessera
