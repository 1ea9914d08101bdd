#include "files/huggingface/latent_attention.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/row_sources.h"

namespace tessera::huggingface {

std::vector<StoredTensor> split_latent(std::vector<StoredTensor> tensors, uint64_t heads,
                                       uint64_t key) {
  constexpr std::string_view kJoined = "kv_b_proj.weight";
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with(kJoined)) {
      result.push_back(std::move(tensor));
      continue;
    }
    const uint64_t latent = tensor.columns(), rows = tensor.rows();
    const uint64_t each = heads > 0 ? rows / heads : 0;
    if (heads == 0 || rows % heads != 0 || each <= key) {
      fail("tensor '{}' is {} x {}, which are no keys of {} and values for each of {} heads",
           printable(tensor.name), latent, rows, key, heads);
    }
    const std::string module = tensor.name.substr(0, tensor.name.size() - kJoined.size());
    result.push_back(
        stepped_rows(tensor, module + "k_b_proj.weight", {key, latent, heads},
                     {.first = 0, .expert = each * latent, .row = 1, .column = latent}));
    result.push_back(
        stepped_rows(tensor, module + "v_b_proj.weight", {latent, each - key, heads},
                     {.first = key * latent, .expert = each * latent, .row = latent, .column = 1}));
  }
  return result;
}

}  // namespace tessera::huggingface
