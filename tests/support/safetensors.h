// Writes safetensors files: https://github.com/huggingface/safetensors#format
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::test {

struct NamedTensor {
  std::string name, dtype;      // "F32"
  std::vector<uint64_t> shape;  // as PyTorch has it: rows first
  std::string bytes;
};

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline NamedTensor float_tensor(std::string name, std::vector<uint64_t> shape,
                                const std::vector<float>& values) {
  return {std::move(name), "F32", std::move(shape), bytes_of(values)};
}

// `header` and the data behind it, as a file has them.
inline std::string safetensors_of(std::string_view header, std::string_view data = {}) {
  return bytes_of(std::vector<uint64_t>{header.size()}) + std::string(header) + std::string(data);
}

inline std::string safetensors_of(const std::vector<NamedTensor>& tensors) {
  std::string header = R"({"__metadata__": {"format": "pt"})", data;
  for (const NamedTensor& tensor : tensors) {
    header += R"(, ")" + tensor.name + R"(": {"dtype": ")" + tensor.dtype + R"(", "shape": [)";
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      header += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
    header += R"(], "data_offsets": [)" + std::to_string(data.size()) + ", ";
    data += tensor.bytes;
    header += std::to_string(data.size()) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return safetensors_of(header, data);
}

}  // namespace tessera::test
