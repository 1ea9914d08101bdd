#include "files/huggingface/fused_experts.h"

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/row_sources.h"

namespace tessera::huggingface {
namespace {

// Every second row, from the first or the second on.
class AlternatingRows final : public RowSource {
 public:
  AlternatingRows(StoredTensor from, uint64_t first)
      : from_(std::move(from)),
        first_(first),
        row_bytes_(from_.format->row_bytes(from_.columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<std::byte> buffer;
    const auto both = from_.read(2 * first, 2 * count, buffer);
    for (uint64_t r = 0; r < count; ++r) {
      std::memcpy(out + r * row_bytes_, &both[(2 * r + first_) * row_bytes_], row_bytes_);
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  const StoredTensor from_;
  const uint64_t first_, row_bytes_;
};

class Splitter {
 public:
  std::vector<StoredTensor> result;

  void add(StoredTensor tensor) {
    constexpr std::string_view kPart = ".experts.";
    const size_t at = tensor.name.find(kPart);
    const size_t end = at == std::string::npos ? 0 : at + kPart.size();
    prefix_ = tensor.name.substr(0, end);
    const std::string name = tensor.name.substr(end);
    if (end == 0) return result.push_back(std::move(tensor));
    if (name == "gate_up_proj.weight") {
      expect(tensor, 3, 1);
      const uint64_t rows = tensor.shape[1] / 2;
      for (const uint64_t second : {0, 1})
        put(tensor, kParts[second], ".weight", {tensor.columns(), rows, tensor.shape[2]},
            std::make_shared<const AlternatingRows>(tensor, second));
    } else if (name == "gate_up_proj") {
      expect(tensor, 3, 0);
      const uint64_t width = tensor.shape[0], columns = tensor.shape[1];
      for (const uint64_t second : {0, 1})
        put(tensor, kParts[second], ".weight", {columns, width / 2, tensor.shape[2]},
            {.first = second, .expert = width * columns, .row = 2, .column = width});
    } else if (name == "gate_up_proj_bias") {
      expect(tensor, 2, 0);
      const uint64_t width = tensor.shape[0];
      for (const uint64_t second : {0, 1})
        put(tensor, kParts[second], ".bias", {width / 2, tensor.shape[1]},
            {.first = second, .expert = 0, .row = width, .column = 2});
    } else if (name == "down_proj") {
      if (tensor.shape.size() != 3)
        fail("tensor '{}' has {} axes, expected 3", printable(tensor.name), tensor.shape.size());
      const uint64_t rows = tensor.shape[0], columns = tensor.shape[1];
      put(tensor, "down_proj", ".weight", {columns, rows, tensor.shape[2]},
          {.first = 0, .expert = rows * columns, .row = 1, .column = rows});
    } else if (name == "down_proj_bias") {
      tensor.name = prefix_ + "down_proj.bias";
      result.push_back(std::move(tensor));
    } else {
      result.push_back(std::move(tensor));
    }
  }

 private:
  static constexpr std::string_view kParts[] = {"gate_proj", "up_proj"};

  // That axis number `halved`, from the last on, is of pairs.
  static void expect(const StoredTensor& tensor, size_t axes, size_t halved) {
    if (tensor.shape.size() != axes || tensor.shape[halved] % 2 != 0) {
      fail("tensor '{}' is {} x {}, expected {} axes, and gate and up by turns",
           printable(tensor.name), tensor.columns(), tensor.rows(), axes);
    }
  }
  void put(const StoredTensor& from, std::string_view part, std::string_view kind,
           std::vector<uint64_t> shape, std::shared_ptr<const RowSource> source) {
    StoredTensor tensor = from;
    tensor.name = prefix_ + std::string(part) + std::string(kind);
    tensor.shape = std::move(shape);
    tensor.bytes = {};
    tensor.source = std::move(source);
    result.push_back(std::move(tensor));
  }
  void put(const StoredTensor& from, std::string_view part, std::string_view kind,
           std::vector<uint64_t> shape, Steps steps) {
    const std::string name = prefix_ + std::string(part) + std::string(kind);
    result.push_back(stepped_rows(from, name, std::move(shape), steps));
  }

  std::string prefix_;  // "model.layers.0.mlp.experts."
};

}  // namespace

std::vector<StoredTensor> split_fused_experts(std::vector<StoredTensor> tensors) {
  Splitter splitter;
  for (StoredTensor& tensor : tensors) splitter.add(std::move(tensor));
  return std::move(splitter.result);
}

}  // namespace tessera::huggingface
