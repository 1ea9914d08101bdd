// A file that is being downloaded, "TARGET.part", and what is known of the bytes it holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tessera {

// Held by an advisory lock while it is open, so that two processes do not fetch the same file. What
// it holds stays for a later run; an empty one goes with its last user.
class PartFile {
 public:
  // Creates the folder if need be. Error if another process holds the file, or it cannot be
  // written.
  explicit PartFile(const std::filesystem::path& target);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  // What the bytes belong to, such as the ETag of one version of the file: one line, kept in
  // "TARGET.part.etag". "" if nothing is known, so that they cannot be continued.
  std::string mark() const;
  void set_mark(std::string_view mark) const;

  // Throws Error unless its disk has room for so many more bytes.
  void require_space(uint64_t bytes) const;
  void truncate(uint64_t size);
  void append(std::string_view bytes);
  // On the disk, and not only on its way there.
  void sync() const;
  // The file is whole: it gets its name, and the mark goes.
  void rename_to_target();

 private:
  [[noreturn]] void fail_write() const;

  std::filesystem::path target_, path_, mark_path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace tessera
