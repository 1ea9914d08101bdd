// A GGUF file with the tensor names of a Llama model and small random weights.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "files/gguf/writer.h"
#include "support/split_gguf.h"

namespace tessera::test {

struct ToyShape {
  std::string architecture = "llama";
  uint32_t layers = 16, heads = 4, kv_heads = 4, experts = 0;
  uint64_t columns = 256;
  bool output = true;  // else tied to the embedding
};

inline std::vector<std::byte> random_bytes_of(const Format& format,
                                              const std::vector<uint64_t>& shape, uint64_t seed) {
  uint64_t rows = 1;
  for (size_t axis = 1; axis < shape.size(); ++axis) rows *= shape[axis];
  std::vector<float> values(shape[0] * rows);
  uint64_t state = seed * 2 + 1;
  for (float& value : values) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    value = static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-36F;  // within 1/32
  }
  std::vector<std::byte> bytes(format.row_bytes(shape[0]) * rows);
  format.encode(values, bytes.data(), {});
  return bytes;
}

// The declared tensors' names and shapes; `matrices` is the format of those with two axes or more.
class ToyModel {
 public:
  ToyModel(const ToyShape& shape, const Format& matrices) : matrices_(&matrices) {
    const std::string prefix = shape.architecture + ".";
    metadata.set("general.architecture", {shape.architecture});
    metadata.set(prefix + "block_count", {shape.layers});
    metadata.set(prefix + "attention.head_count", {shape.heads});
    metadata.set(prefix + "attention.head_count_kv", {shape.kv_heads});
    const uint64_t n = shape.columns;
    metadata.set(prefix + "embedding_length", {static_cast<uint32_t>(n)});
    metadata.set(prefix + "feed_forward_length", {uint32_t{4}});
    metadata.set(prefix + "context_length", {uint32_t{64}});
    if (shape.experts > 0) {
      metadata.set(prefix + "expert_count", {shape.experts});
      metadata.set(prefix + "expert_used_count", {uint32_t{1}});
    }
    add("token_embd.weight", {n, 8});
    for (uint32_t layer = 0; layer < shape.layers; ++layer) {
      const std::string block = "blk." + std::to_string(layer) + ".";
      add(block + "attn_norm.weight", {n});
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        add(block + name + ".weight", {n, 4});
      add(block + "ffn_norm.weight", {n});
      if (shape.experts > 0) add(block + "ffn_gate_inp.weight", {n, shape.experts});
      for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
        if (shape.experts > 0) {
          add(block + name + "_exps.weight", {n, 2, shape.experts});
        } else {
          add(block + name + ".weight", {n, 4});
        }
      }
    }
    add("output_norm.weight", {n});
    if (shape.output) add("output.weight", {n, 8});
  }

  void add(std::string name, std::vector<uint64_t> shape) {
    tensors_.push_back({std::move(name), shape.size() > 1 ? matrices_ : &kF32, std::move(shape)});
  }

  void write(const std::filesystem::path& path) const {
    writer().write(path, [this](size_t i) { return bytes(i); });
  }
  void write_split(const std::filesystem::path& prefix, size_t max_tensors) const {
    write_split_gguf(metadata, tensors_, prefix, max_tensors,
                     [this](size_t i) { return bytes(i); });
  }

  GgufMetadata metadata;

 private:
  GgufWriter writer() const {
    GgufWriter out(metadata);
    for (const DeclaredTensor& tensor : tensors_)
      out.declare(tensor.name, *tensor.format, tensor.shape);
    return out;
  }
  std::vector<std::byte> bytes(size_t i) const {
    return random_bytes_of(*tensors_[i].format, tensors_[i].shape, i);
  }

  const Format* matrices_;
  std::vector<DeclaredTensor> tensors_;
};

}  // namespace tessera::test
