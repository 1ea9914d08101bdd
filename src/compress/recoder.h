// From one format to another: decodes the rows of a tensor, and has them encoded.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"
#include "compress/methods/method.h"
#include "compress/quantize.h"

namespace tessera {

// The rows of `source` in `target`, as `encoder` gives them, which is for that format; those whose
// codes that format can hold as they are (formats/same_grid.h) it does not see. Says in `summary`
// what became of them. Error for a value that is not finite.
std::vector<std::byte> recode(const StoredTensor& source, const Format& target,
                              const RowEncoder& encoder, ThreadPool& pool,
                              QuantizedTensor& summary);

// The same of a tensor that is several matrices, one after the other (experts), each of as many
// rows and with an encoder of its own.
std::vector<std::byte> recode(const StoredTensor& source, const Format& target,
                              std::span<const std::unique_ptr<RowEncoder>> encoders,
                              ThreadPool& pool, QuantizedTensor& summary);

// Error for a value that is not finite.
void require_finite(const StoredTensor& tensor, ThreadPool& pool);

}  // namespace tessera
