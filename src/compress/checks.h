// What is asked before the first byte is written, so that nothing is begun that cannot end.
#pragma once

#include <filesystem>
#include <span>

#include "checkpoint/checkpoint.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/recipes.h"
#include "files/imatrix.h"

namespace tessera {

// Error for a configuration that loading refuses. Of architectures that are not known here, files
// are quantized without a look at it.
void check_configuration(const Checkpoint& model);

// Error if `out` is what is read, however it is spelled.
void check_not_source(const std::filesystem::path& source, const std::filesystem::path& out);
void check_not_source(const Checkpoint& model, const std::filesystem::path& out);
// The same, and for a file that cannot be written, or, unless it may be overwritten, is there.
void check_output(const Checkpoint& model, const std::filesystem::path& out, bool overwrite);
// Error for a format that cannot be decoded or encoded, and is to be.
void check_formats(const Checkpoint& model, const LoraMerge& merge,
                   std::span<const PlannedFormat> plan);
// Warns of matrices in formats that the method does not know, which are rounded to nearest; Error
// if all are.
void check_method(const Method& method, const Checkpoint& model,
                  std::span<const PlannedFormat> plan);
// Error for an importance matrix of another model, which would be ignored. Warns of matrices that
// are to be quantized and that it does not know.
void check_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   const Checkpoint& model, std::span<const PlannedFormat> plan);
// A format's error is added to that of the one before.
void warn_of_second_quantization(const Checkpoint& model, const LoraMerge& merge,
                                 std::span<const PlannedFormat> plan);

}  // namespace tessera
