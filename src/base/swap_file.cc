#include "base/swap_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/human_bytes.h"

namespace tessera {
namespace {

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

// The kernel reads no more for one announcement than its readahead window: 128 KiB, unless it is
// told otherwise.
constexpr size_t kWindow = size_t{128} << 10;

}  // namespace

SwapFile::SwapFile(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::string name = (folder_ / "tessera-weights-XXXXXX").string();
  file_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) fail("cannot write into '{}': {}", folder_.string(), std::strerror(errno));
  ::unlink(name.c_str());
}

SwapFile::~SwapFile() {
  ::close(file_);
}

std::shared_ptr<std::byte> SwapFile::take(size_t bytes) {
  const size_t whole = (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
  write_back();
  // Without room a write to the mapping would end the process.
  if (const int error =
          ::posix_fallocate(file_, static_cast<off_t>(size_), static_cast<off_t>(whole));
      error != 0) {
    fail("cannot keep {} more of weights in '{}': {}", human_bytes(whole), folder_.string(),
         std::strerror(error));
  }
  void* mapped =
      ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file_, static_cast<off_t>(size_));
  if (mapped == MAP_FAILED) fail("cannot map weights: {}", std::strerror(errno));
  ::madvise(mapped, whole, MADV_RANDOM);
  size_ += whole;
  return {static_cast<std::byte*>(mapped), [whole](std::byte* data) { ::munmap(data, whole); }};
}

void SwapFile::read_ahead(const std::byte* data, size_t bytes) {
  const auto end = reinterpret_cast<uintptr_t>(data) + bytes;
  for (auto at = reinterpret_cast<uintptr_t>(data) / page_bytes() * page_bytes(); at < end;
       at += kWindow) {
    ::madvise(reinterpret_cast<void*>(at), std::min<size_t>(kWindow, end - at), MADV_WILLNEED);
  }
}

// Pages that are on the disk can go at once when memory is wanted.
void SwapFile::write_back() {
#ifdef __linux__
  ::sync_file_range(file_, static_cast<off_t>(written_), static_cast<off_t>(size_ - written_),
                    SYNC_FILE_RANGE_WRITE);
#endif
  written_ = size_;
}

}  // namespace tessera
