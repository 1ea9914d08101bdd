// The backend that tests of models and engines run on.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tessera {

// The CPU with so many threads; where the environment says TESSERA_TEST_BACKEND=reference, the
// reference backend (support/reference_backend.h).
std::shared_ptr<Backend> make_test_backend(int threads);

// Is it that one, which computes everything in f32?
bool on_reference_backend();

}  // namespace tessera
