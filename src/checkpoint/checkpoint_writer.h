// Writing a checkpoint: declare all tensors, then give their bytes in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_names.h"
#include "formats/format.h"

namespace tessera {

class CheckpointWriter {
 public:
  // The bytes of the tensor that was declared as number `index`.
  using Fill = std::function<std::vector<std::byte>(size_t index)>;

  virtual ~CheckpointWriter() = default;

  // Adds a fact, or replaces it. Names: see Facts.
  virtual void set_fact(std::string_view name, uint32_t value) = 0;
  virtual void set_fact(std::string_view name, const std::vector<bool>& value) = 0;
  // Of the model's layers only these are declared, and count from 0 anew: the facts that are lists
  // of a value for each layer follow. Error for a kind of checkpoint that cannot say so.
  virtual void keep_layers(std::span<const int> layers) = 0;
  // What a matrix is encoded to, and declared as, that is to be in `format` in the file: where the
  // file keeps a part of it elsewhere.
  virtual const Format& encoded_format(TensorPlace /*place*/, const Format& format) const {
    return format;
  }
  // Error for a name that is taken or too long, a dimension of 0, a row of a fraction of a block.
  virtual void declare(std::string name, const Format& format, std::vector<uint64_t> shape) = 0;
  // What the file will hold beside the bytes of its tensors, once they are declared; 0 of kinds
  // that cannot tell.
  virtual uint64_t bytes_beside_tensors() const { return 0; }
  // What a declared tensor takes there; 0 if it becomes a part of something else.
  virtual uint64_t stored_bytes(size_t index) const = 0;
  // Creates the file, which appears under `path` only when all tensors are written. Holds one
  // tensor in memory at a time. Error if `fill` returns another number of bytes than declared.
  virtual void write(const std::filesystem::path& path, const Fill& fill) = 0;
};

}  // namespace tessera
