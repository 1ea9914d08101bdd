// Any bytes at all, read as a safetensors file: tensors within them, or one line of Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/safetensors/parse.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // In a heap block of the exact size, where AddressSanitizer sees a read past the end.
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> copy(bytes, bytes + size);
  try {
    unsigned sum = 0;
    for (const tessera::StoredTensor& tensor : tessera::safetensors::parse(copy, "input")) {
      for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
      if (tensor.bytes.size() != tensor.format->row_bytes(tensor.columns()) * tensor.rows())
        std::abort();
    }
    volatile unsigned sink = sum;
    static_cast<void>(sink);
  } catch (const tessera::Error& error) {
    tessera::fuzz::require_one_line(error);
  }
  return 0;
}
