// Scales of the channels between matrices, chosen before the matrices are encoded: what stands in
// front of a method ("awq+gptq"). One file each in this folder.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "compress/input_moments.h"
#include "compress/methods/method.h"
#include "compress/scalings/fold.h"

namespace tessera {

// The channels of one fold, and the matrices that read them.
struct ScaledChannels {
  struct Matrix {
    const StoredTensor* tensor;
    const Format* format;  // that it is to have
  };
  const Fold& fold;
  std::vector<Matrix> matrices;
  InputMoments& inputs;

  // What the moments say of each channel, as one number for each source of the fold: the mean of
  // its channels', or their largest.
  std::vector<float> mean_magnitudes() const;
  std::vector<float> largest_magnitudes() const;
};

struct Scaling {
  std::string_view name;
  bool needs_hessian = false;
  // One for each source of the fold, all > 0. Empty: they are better left alone.
  std::vector<float> (*choose)(const ScaledChannels& channels, ThreadPool& pool) = nullptr;
  const Method* method = nullptr;  // that follows if none is named
};

extern const Scaling kAwq, kSmoothQuant;

// A method, and what stands in front of it.
struct ChosenMethod {
  const Method& method;
  const Scaling* scaling = nullptr;
  const Method* grid = nullptr;  // MethodOptions::grid

  bool needs_hessian() const {
    return method.needs_hessian || (scaling != nullptr && scaling->needs_hessian);
  }
  bool needs_text() const { return scaling != nullptr || method.without_text == nullptr; }
  bool looks_at_text() const { return scaling != nullptr || method.prepare != nullptr; }
};
// "gptq", "awq", "awq+gptq", "hqq+gptq", "awq+hqq+gptq". Error that lists the known ones.
ChosenMethod choose_method(std::string_view name);

// The tensor with its rows and columns multiplied by factors, in F32; empty: by none. `columns` may
// be as many as the tensor has elements: one for each. What it is read from must outlive it.
StoredTensor scaled(const StoredTensor& tensor, std::vector<float> rows,
                    std::vector<float> columns);

// Tensors of a layer that are something else than the checkpoint says.
using ChangedTensors = std::map<const StoredTensor*, StoredTensor>;

// Chooses the scales of all folds of a layer and moves them: `changed` and `moments` become what
// they are with them. `plan`: the format that each tensor is to have.
void scale_layer(const Scaling& scaling, const Checkpoint& checkpoint, std::span<const Fold> folds,
                 int layer, const std::function<const Format&(const StoredTensor&)>& plan,
                 InputsOfLayer& moments, ChangedTensors& changed, ThreadPool& pool);

}  // namespace tessera
