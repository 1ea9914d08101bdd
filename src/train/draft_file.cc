#include "train/draft_file.h"

#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "files/gguf/tensor_names.h"
#include "files/gguf/writer.h"
#include "formats/format.h"

namespace tessera::train {
namespace {

class Tensors {
 public:
  explicit Tensors(GgufMetadata metadata) : writer_(std::move(metadata)) {}

  void add_matrix(const std::string& name, size_t rows, size_t columns,
                  std::span<const float> values) {
    const Format& format = columns % kQ8_0.block_elements == 0 ? kQ8_0 : kF32;
    add(name, format, {columns, rows}, [&format, columns, values] {
      const size_t row_bytes = format.row_bytes(columns);
      std::vector<std::byte> bytes(values.size() / columns * row_bytes);
      for (size_t row = 0; row < values.size() / columns; ++row)
        format.encode(values.subspan(row * columns, columns), bytes.data() + row * row_bytes, {});
      return bytes;
    });
  }
  template <class Value>
  void add_vector(const std::string& name, const Format& format, std::span<const Value> values) {
    add(name, format, {values.size()}, [values] {
      const auto bytes = std::as_bytes(values);
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    });
  }
  void write(const std::filesystem::path& path) {
    writer_.write(path, [this](size_t i) { return contents_[i](); });
  }

 private:
  using Content = std::function<std::vector<std::byte>()>;
  void add(const std::string& name, const Format& format, std::vector<uint64_t> shape,
           Content content) {
    writer_.declare(name, format, std::move(shape));
    contents_.push_back(std::move(content));
  }

  GgufWriter writer_;
  std::vector<Content> contents_;
};

}  // namespace

void write_draft_file(GgufMetadata metadata, const Learned& learned, const OutputRows& output,
                      const std::filesystem::path& path) {
  Tensors tensors(std::move(metadata));
  for (const auto& entry : learned.whole) {
    const Parameter& parameter = entry.second;
    const std::span<const float> values = parameter.values;
    if (parameter.rows > 1) {
      tensors.add_matrix(parameter.name, static_cast<size_t>(parameter.rows),
                         static_cast<size_t>(parameter.columns), values);
    } else {
      tensors.add_vector(parameter.name, kF32, values);
    }
  }
  if (!output.tokens.empty()) {
    const size_t rows = output.tokens.size();
    tensors.add_matrix(gguf::tensor_name(output.place), rows, output.values.size() / rows,
                       output.values);
    tensors.add_vector(gguf::tensor_name({TensorRole::kTokenMap}), *find_format("I32"),
                       output.tokens);
  }
  tensors.write(path);
}

}  // namespace tessera::train
