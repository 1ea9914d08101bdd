// Writes a GGUF v3 file. A matrix in gguf::factored_nvfp4() becomes two tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "files/gguf/metadata.h"

namespace tessera {

class GgufWriter final : public CheckpointWriter {
 public:
  explicit GgufWriter(GgufMetadata metadata);

  void set_fact(std::string_view name, uint32_t value) override;
  void set_fact(std::string_view name, const std::vector<bool>& value) override;
  void keep_layers(std::span<const int> layers) override;
  const Format& encoded_format(TensorPlace place, const Format& format) const override;
  void declare(std::string name, const Format& format, std::vector<uint64_t> shape) override;
  uint64_t bytes_beside_tensors() const override;
  uint64_t stored_bytes(size_t index) const override;
  void write(const std::filesystem::path& path, const Fill& fill) override;

 private:
  struct Declared {
    std::string name;
    const Format* format;
    std::vector<uint64_t> shape;
    bool has_factor = false;  // which is the tensor behind it

    uint64_t bytes() const;
  };
  void add(Declared tensor);
  std::string header(uint64_t alignment) const;
  std::string key_of(std::string_view fact) const;

  GgufMetadata metadata_;
  std::vector<Declared> tensors_;
  std::vector<size_t> numbers_;  // of what was declared, in tensors_
  std::unordered_set<std::string> names_;
};

}  // namespace tessera
