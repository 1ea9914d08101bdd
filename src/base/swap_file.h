// Memory that lies in a file instead of being the process's own: what is rarely touched may leave
// memory, and comes back by itself when it is read. So more can be kept than there is memory for.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace tessera {

class SwapFile {
 public:
  // A file without a name in `folder`: it is gone with the process. Error if it cannot be made.
  explicit SwapFile(std::filesystem::path folder);
  ~SwapFile();
  SwapFile(const SwapFile&) = delete;
  SwapFile& operator=(const SwapFile&) = delete;

  // Zeroed, at the start of a page, reserved on the disk: Error if it has no room. What was taken
  // before is on its way to the disk from then on. Whoever keeps it keeps it mapped, whether this
  // lives or not.
  std::shared_ptr<std::byte> take(size_t bytes);
  // Begins to read these bytes of such memory, as far as they are on the disk alone. Whoever
  // touches what nobody announced waits for a page at a time: reading on in the hope of more would
  // drive out what is needed.
  static void read_ahead(const std::byte* data, size_t bytes);

 private:
  void write_back();

  std::filesystem::path folder_;
  int file_ = -1;
  size_t size_ = 0, written_ = 0;
};

}  // namespace tessera
