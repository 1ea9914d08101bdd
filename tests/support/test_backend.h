// The backend that tests of models and engines run on.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tessera {

// The CPU with so many threads.
std::shared_ptr<Backend> make_test_backend(int threads);

}  // namespace tessera
