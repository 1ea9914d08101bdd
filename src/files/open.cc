#include "files/open.h"

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/safetensors/medusa.h"

namespace tessera {

std::shared_ptr<const Checkpoint> open_checkpoint(const std::filesystem::path& path) {
  const auto extension = path.extension();
  if (extension == ".safetensors")
    return std::make_shared<const MedusaFile>(MedusaFile::open(path));
  if (extension == ".pt" || extension == ".pth") {
    fail(
        "'{}' looks like a PyTorch pickle, which may run any code and is never opened; expected "
        "GGUF "
        "or safetensors",
        printable(path.string(), 400));
  }
  return std::make_shared<const GgufFile>(GgufFile::open(path));
}

}  // namespace tessera
