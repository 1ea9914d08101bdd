#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace tessera {

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  // Renaming over a device such as /dev/null would replace the device itself.
  std::error_code ignored;
  if (std::filesystem::exists(target_, ignored) &&
      !std::filesystem::is_regular_file(target_, ignored)) {
    fail("cannot write '{}': it is not a regular file", target_.string());
  }
  partial_ = target_;
  partial_ += fmt::format(".partial-{}", ::getpid());
  file_ = std::fopen(partial_.c_str(), "wb");
  if (file_ == nullptr) fail("cannot write '{}': {}", target_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail_write();
  position_ += bytes.size();
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) fail_write();
  const int closed = std::fclose(std::exchange(file_, nullptr));
  if (closed != 0 || std::rename(partial_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
    fail("cannot write '{}': {}", target_.string(), std::strerror(error));
  }
  // The rename itself is durable only once the folder is synced; failing to do so loses nothing.
  const auto folder =
      target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
  if (const int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

void AtomicFile::fail_write() const {
  fail("cannot write '{}': {}", target_.string(), std::strerror(errno));
}

}  // namespace tessera
