#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <utility>

#include "base/error.h"

namespace tessera {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPage = 4096;
}  // namespace

// mmap gives zeroed, page-aligned memory that costs nothing until it is touched, so a large
// reservation (the KV pool) is resident only as far as it is used. A large buffer begins at a huge
// page: a kernel that streams through it would else wait for a page walk every 4 KB.
AlignedBuffer::AlignedBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const bool large = bytes >= 2 * kHugePage;
  const size_t reserved = large ? bytes + kHugePage : bytes;
  void* address = reserved < bytes ? MAP_FAILED
                                   : ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) fail("out of memory: cannot reserve {} MB", bytes >> 20);
  data_ = static_cast<std::byte*>(address);
  if (!large) return;
  // What lies before the first huge page and behind the buffer's last page goes back.
  const auto begin = reinterpret_cast<uintptr_t>(address);
  const size_t before = (kHugePage - begin % kHugePage) % kHugePage;
  const size_t used = (bytes + kPage - 1) / kPage * kPage;
  if (before > 0) ::munmap(data_, before);
  data_ += before;
  if (reserved - before > used) ::munmap(data_ + used, reserved - before - used);
  ::madvise(data_, bytes, MADV_HUGEPAGE);
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
