#include "backend/backend.h"

#include "backend/meter.h"

namespace tessera {

// Here, so that their virtual tables are, once.
Backend::~Backend() = default;
Meter::~Meter() = default;

}  // namespace tessera
