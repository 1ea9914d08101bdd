#include "support/test_backend.h"

#include <cstdlib>
#include <string_view>

#include "devices/device.h"
#include "support/reference_backend.h"

namespace tessera {

std::shared_ptr<Backend> make_test_backend(int threads) {
  const char* name = std::getenv("TESSERA_TEST_BACKEND");
  if (name != nullptr && std::string_view(name) == "reference") return make_reference_backend();
  return open_cpu(threads).backend;
}

}  // namespace tessera
