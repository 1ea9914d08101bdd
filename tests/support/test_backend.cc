#include "support/test_backend.h"

#include <cstdlib>
#include <string_view>

#include "devices/device.h"
#include "support/reference_backend.h"

namespace tessera {

bool on_reference_backend() {
  const char* name = std::getenv("TESSERA_TEST_BACKEND");
  return name != nullptr && std::string_view(name) == "reference";
}

std::shared_ptr<Backend> make_test_backend(int threads) {
  return on_reference_backend() ? make_reference_backend() : open_cpu(threads).backend;
}

}  // namespace tessera
