// Exact tiled attention over paged keys and values (online softmax: Milakov & Gimelshein 2018;
// tiling: FlashAttention, Dao et al. 2022; paging: PagedAttention, Kwon et al. 2023).
#pragma once

#include <memory>
#include <span>

#include "backend/backend.h"
#include "backend/cpu/attention_plan.h"
#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::cpu {

std::unique_ptr<KvStore> allocate_kv(const KvShape& shape);
size_t kv_block_bytes(const KvShape& shape);
void write_kv(ThreadPool& pool, KvStore& kv, int layer, std::span<const int32_t> slots,
              HostTensor k, HostTensor v);
void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to);
// For the rows that `plans` was made for.
void attend(ThreadPool& pool, const KvStore& kv, const AttentionParameters& parameters,
            std::span<const float> sinks, HostTensor q, AttentionPlans& plans, HostTensor out);

}  // namespace tessera::cpu
