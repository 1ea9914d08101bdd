#include "support/test_backend.h"

#include "devices/device.h"

namespace tessera {

std::shared_ptr<Backend> make_test_backend(int threads) {
  return open_cpu(threads).backend;
}

}  // namespace tessera
