// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), and their way back.
//
//   x, y [rows, columns]   weight, bias [group]: rows are cut into groups of that length, each
//                          normalized alone
//
//   y = n weight (+ bias),  n = (x - mean) / sqrt(mean((x - mean)^2) + epsilon),
//   with a mean of 0 in RMSNorm
//
// With g = dy weight:  dx += (g - mean(g) - n mean(g n)) / sqrt(...), without mean(g) in RMSNorm;
// dweight += the sum of dy n, dbias that of dy, over groups in their order.
#pragma once

#include <span>

#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

struct NormShape {
  bool centered = false;  // LayerNorm
  float epsilon = 0;
};

// y may be x. `bias`: empty for none.
void normalize(ThreadPool& pool, NormShape shape, HostRows x, std::span<const float> weight,
               std::span<const float> bias, HostTensor y);
// dx += ...; dweight and dbias, where they are not empty.
void normalize_back(ThreadPool& pool, NormShape shape, HostRows x, std::span<const float> weight,
                    HostRows dy, HostTensor dx, std::span<float> dweight, std::span<float> dbias);

}  // namespace tessera::train
