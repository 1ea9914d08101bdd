// Formats of a model that is to take so many bytes: those that cost its predictions least.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compress/quantize.h"
#include "compress/recipes.h"
#include "compress/sensitivity.h"

namespace tessera {

// Matrices that may have any format: all that are re-encoded but those in `named`, whose format is
// settled.
std::vector<size_t> free_tensors(const Checkpoint& model, const std::vector<bool>& named);

// Error for a size that no formats of these tensors give, the others as planned; known before
// anything is measured. `beside` are bytes of the file that are no tensors'.
void check_target(const Checkpoint& model, const TargetSize& target, uint64_t beside,
                  std::span<const size_t> tensors, std::span<const PlannedFormat> plan);

// Gives the tensors of `sensitivities` the formats that together cost least, so that all of the
// plan takes what is asked for. Returns what that costs by the measurement, in nats a token. Error
// as above, should the method not know all formats.
double plan_for_target(const Checkpoint& model, const TargetSize& target, uint64_t beside,
                       std::span<const Sensitivity> sensitivities, std::span<PlannedFormat> plan);

// The recipe of the format that most of the plan's weights are in, for general.file_type.
const Recipe& most_like(const Checkpoint& model, std::span<const PlannedFormat> plan);

}  // namespace tessera
