// Causal attention with grouped keys and values (GQA, Ainslie et al. 2023), within each of several
// texts, and its way back, which computes the weights again instead of keeping them
// (FlashAttention, Dao et al. 2022).
//
//   q, out [rows, heads * head_dim]   k, v [rows, kv_heads * head_dim]
//
//   s_j = cap(scale q . k_j - slope (r - j)),  p = softmax(s),  out = sum of p_j v_j
//
// over the positions j <= r of the row's text, with a window the last so many. With D = dout . out:
// ds_j = p_j (dout . v_j - D) cap'.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

struct AttentionShape {
  int heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 1;
  float soft_cap = 0;              // cap(s) = soft_cap tanh(s / soft_cap); 0: none (Gemma 2)
  int window = 0;                  // 0: all
  std::vector<float> slopes = {};  // [heads] (ALiBi, Press et al. 2022); empty: none
};

// Rows of one text, all of it from its first token on.
struct TextRows {
  int first = 0, count = 0;
};

// log_sums [rows, heads]: log of the sum of e^s, which the way back reads.
void attend(ThreadPool& pool, const AttentionShape& shape, std::span<const TextRows> texts,
            HostRows q, HostRows k, HostRows v, HostTensor out, HostTensor log_sums);
// dq, dk, dv += ...
void attend_back(ThreadPool& pool, const AttentionShape& shape, std::span<const TextRows> texts,
                 HostRows q, HostRows k, HostRows v, HostRows out, HostRows log_sums, HostRows dout,
                 HostTensor dq, HostTensor dk, HostTensor dv);

}  // namespace tessera::train
