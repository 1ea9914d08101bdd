#include "files/huggingface/latent_attention.h"

#include <string>
#include <string_view>
#include <utility>

#include "checkpoint/latent_split.h"

namespace tessera::huggingface {

std::vector<StoredTensor> split_latents(std::vector<StoredTensor> tensors, uint64_t heads,
                                        uint64_t key) {
  constexpr std::string_view kJoined = "kv_b_proj.weight";
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with(kJoined)) {
      result.push_back(std::move(tensor));
      continue;
    }
    const std::string module = tensor.name.substr(0, tensor.name.size() - kJoined.size());
    auto [keys, values] = split_latent(tensor, heads, key);
    keys.name = module + "k_b_proj.weight";
    values.name = module + "v_b_proj.weight";
    result.push_back(std::move(keys));
    result.push_back(std::move(values));
  }
  return result;
}

}  // namespace tessera::huggingface
