// A file that appears whole or not at all: written beside its target, synced, then renamed.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string_view>

namespace tessera {

class AtomicFile {
 public:
  // Opens "<target>.partial-<pid>". Throws Error if that cannot be created.
  explicit AtomicFile(std::filesystem::path target);
  // Without commit() the partial file is removed and the target is untouched.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Throws Error when the disk is full or the write fails otherwise.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t position() const { return position_; }

  // Flush, fsync, rename over the target. Throws Error on failure, leaving the target as it was.
  void commit();

 private:
  [[noreturn]] void fail_write() const;

  std::filesystem::path target_, partial_;
  std::FILE* file_ = nullptr;
  uint64_t position_ = 0;
};

}  // namespace tessera
