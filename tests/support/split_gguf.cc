#include "support/split_gguf.h"

#include <algorithm>

#include "files/gguf/layout.h"
#include "files/gguf/split.h"
#include "files/gguf/writer.h"

namespace tessera::test {

void write_split_gguf(const GgufMetadata& metadata, const std::vector<DeclaredTensor>& tensors,
                      const std::filesystem::path& prefix, size_t max_tensors,
                      const CheckpointWriter::Fill& fill) {
  const size_t count = (tensors.size() + max_tensors - 1) / max_tensors;
  for (size_t i = 0; i < count; ++i) {
    GgufMetadata part = i == 0 ? metadata : GgufMetadata{};
    part.set(std::string(gguf::kSplitNoKey), {static_cast<uint16_t>(i)});
    part.set(std::string(gguf::kSplitCountKey), {static_cast<uint16_t>(count)});
    part.set(std::string(gguf::kSplitTensorsKey), {static_cast<int32_t>(tensors.size())});
    GgufWriter writer(std::move(part));
    const size_t first = i * max_tensors, last = std::min(first + max_tensors, tensors.size());
    for (size_t t = first; t < last; ++t)
      writer.declare(tensors[t].name, *tensors[t].format, tensors[t].shape);
    writer.write(gguf::split_path(prefix.string(), i + 1, count),
                 [&](size_t t) { return fill(first + t); });
  }
}

}  // namespace tessera::test
