#include "files/open.h"

#include "files/gguf/reader.h"

namespace tessera {

std::shared_ptr<const Checkpoint> open_checkpoint(const std::filesystem::path& path) {
  return std::make_shared<const GgufFile>(GgufFile::open(path));
}

}  // namespace tessera
