// How far what a matrix multiplies comes out wrong, by each format that it could have.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"
#include "compress/methods/method.h"

namespace tessera {

// A format as some method encodes it.
struct EncodedFormat {
  const Format* format = nullptr;
  std::unique_ptr<RowEncoder> encoder;
};

// Of each of the formats, sum ||(W - X) x||^2 / sum ||W x||^2 over the inputs x that `inputs` has
// seen, with X what the encoder makes of W; of the weights themselves without inputs. On a sample
// of the rows, evenly spaced. Error for a value that is not finite.
std::vector<double> output_errors(const StoredTensor& tensor,
                                  std::span<const EncodedFormat> formats,
                                  const InputMoments* inputs, ThreadPool& pool);

}  // namespace tessera
