#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <utility>

#include "base/error.h"

namespace tessera {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}

// mmap gives zeroed, page-aligned memory that costs nothing until it is touched, so a large
// reservation (the KV pool) is resident only as far as it is used.
AlignedBuffer::AlignedBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) fail("out of memory: cannot reserve {} MB", bytes >> 20);
  if (bytes >= 2 * kHugePage) ::madvise(address, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(address);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace tessera
