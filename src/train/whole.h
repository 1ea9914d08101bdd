// All weights of a model as what is learned, and a model of what was learned.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compress/recipes.h"
#include "train/learned.h"

namespace tessera::train {

// Learned::whole of every tensor that gradients reach, decoded: matrices, embeddings, norms,
// biases. Where the output matrix is the embedding it is one parameter, whose gradient is the sum
// of both. What the configuration says (factors of rotary frequencies) is not learned.
Learned make_whole(const Checkpoint& model);

// The formats that a trained model's tensors are encoded to, as quantizing to the recipe gives
// them; what stays in a format that nothing is encoded to becomes F16, and in a folder what is not
// quantized the one type that loaders expect. Error for a tensor that has no place there.
std::vector<PlannedFormat> plan_whole(const Checkpoint& model, const Recipe& recipe, bool pure);

// The passes of a training see what a file of that plan would hold (quantization-aware training,
// Jacob et al. 2018, arXiv 1712.05877): each parameter on the grid of its tensor's format.
void set_grids(const Checkpoint& model, std::span<const PlannedFormat> plan, Learned& learned);

// Writes `model` with what was learned in place of its own tensors, rounded to nearest: plan[i] is
// the format of model.tensors()[i]. A GGUF file, which appears whole or not at all, or the Hugging
// Face folder that the recipe is of. What is not learned is as it is stored, if its format stays.
// The same for any number of threads.
void save_whole(const Checkpoint& model, const Learned& learned, const Recipe& recipe,
                std::span<const PlannedFormat> plan, ThreadPool& pool,
                const std::filesystem::path& path);

}  // namespace tessera::train
