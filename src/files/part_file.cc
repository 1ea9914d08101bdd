#include "files/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace tessera {

namespace fs = std::filesystem;

PartFile::PartFile(const fs::path& target)
    : target_(target), path_(target.string() + ".part"), mark_path_(path_.string() + ".etag") {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) fail("cannot create '{}': {}", target.parent_path().string(), error.message());
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_write();
  struct stat ours {
  }, named{};
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  // Another process may have finished and renamed the file between our open and our lock.
  const bool same = locked && ::fstat(fd_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                    ours.st_ino == named.st_ino;
  if (!same) {
    ::close(fd_);
    fail("'{}' is being downloaded by another process", target.string());
  }
  size_ = static_cast<uint64_t>(ours.st_size);
}

PartFile::~PartFile() {
  std::error_code ignored;
  if (size_ == 0 && fs::remove(path_, ignored)) fs::remove(mark_path_, ignored);
  ::close(fd_);
}

std::string PartFile::mark() const {
  std::ifstream file(mark_path_);
  std::string mark;
  std::getline(file, mark);
  return mark;
}

void PartFile::set_mark(std::string_view mark) const {
  if (mark.empty()) {
    fs::remove(mark_path_);
  } else {
    std::ofstream(mark_path_, std::ios::trunc) << mark << '\n';
  }
}

void PartFile::require_space(uint64_t bytes) const {
  const uint64_t free = fs::space(target_.parent_path()).available;
  if (bytes > free) {
    fail("not enough disk space for '{}': needs {} MB, {} MB are free", target_.string(),
         bytes / 1000000, free / 1000000);
  }
}

void PartFile::truncate(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail_write();
  size_ = size;
}

void PartFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_write();
    size_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void PartFile::sync() const {
  if (::fsync(fd_) != 0) fail_write();
}

void PartFile::rename_to_target() {
  sync();
  fs::rename(path_, target_);
  fs::remove(mark_path_);
}

void PartFile::fail_write() const {
  fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
}

}  // namespace tessera
