// The way back of a table of embeddings: of what its rows were read for.
#pragma once

#include <cstdint>
#include <span>

#include "base/host_tensor.h"

namespace tessera::train {

// dtable[rows[i]] += factor dx[i], in order. dx [rows.size(), columns], dtable [any, columns].
void add_to_rows(HostRows dx, std::span<const int32_t> rows, float factor, float* dtable);

}  // namespace tessera::train
