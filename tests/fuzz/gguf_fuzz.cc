// Any bytes at all, opened as a GGUF file: a valid model or one line of Error, nothing else.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/gguf/parse.h"
#include "files/gguf/reader.h"
#include "files/inspect.h"

namespace {

using tessera::Error;
using tessera::GgufFile;
using tessera::StoredTensor;

void require(bool condition, std::string_view what) {
  if (condition) return;
  std::fprintf(stderr, "requirement broken: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

bool is_one_line(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return !text.empty();
}

// Runs `action`, which may refuse the input, but only properly.
template <typename Action>
void guarded(Action action) {
  try {
    action();
  } catch (const Error& error) {
    require(is_one_line(error.what()), "an error is one line of plain text");
  }
}

// Reads every byte and calls everything that takes its sizes from the file.
void use(const GgufFile& file) {
  unsigned sum = 0;
  for (const StoredTensor& tensor : file.tensors()) {
    for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
    require(file.find_tensor(tensor.name) == &tensor, "a tensor is found under its name");
    require(tensor.bytes.size() == tensor.format->row_bytes(tensor.columns()) * tensor.rows(),
            "a tensor has the bytes that its shape needs");
    require(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % file.alignment() == 0 ||
                file.alignment() > 4096,
            "a tensor is aligned");
  }
  volatile unsigned sink = sum;
  static_cast<void>(sink);
  for (const auto& entry : file.metadata().entries()) {
    const std::string& key = entry.first;
    guarded([&] { file.metadata().get_int(key); });
    guarded([&] { file.metadata().get_float(key); });
    guarded([&] { file.metadata().get_string(key); });
    guarded([&] { file.metadata().get_strings(key); });
    guarded([&] { file.metadata().get_ints(key); });
    guarded([&] { file.metadata().get_floats(key); });
  }
  guarded([&] { file.read_tokenizer(); });
  guarded([&] { file.read_chat_templates(); });
}

// A file in memory that has a path, because GgufFile opens paths.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("gguf_fuzz", MFD_CLOEXEC)) {
    require(descriptor_ >= 0, "memfd_create works");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void set(const uint8_t* data, size_t size) {
    require(::ftruncate(descriptor_, 0) == 0, "ftruncate works");
    require(::pwrite(descriptor_, data, size, 0) == static_cast<ssize_t>(size), "pwrite works");
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Once in a heap block of the exact size, where AddressSanitizer sees a read past the end...
  guarded([&] {
    const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(data),
                                      reinterpret_cast<const std::byte*>(data) + size);
    tessera::gguf::parse(copy, "input");
  });
  // ...and once as a program opens it.
  static MemoryFile file;
  file.set(data, size);
  guarded([&] { use(GgufFile::open(file.path())); });
  guarded([&] { tessera::describe_file(file.path()); });
  guarded([&] { tessera::describe_file_json(file.path()).dump(); });
  return 0;
}
