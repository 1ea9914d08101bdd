#include "files/huggingface/rotary_pairs.h"

#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

bool is_query(TensorRole role) {
  return role == TensorRole::kQuery || role == TensorRole::kQueryBias;
}

int64_t heads_of(const Facts& facts, std::string_view fact, int layer) {
  int64_t heads = 0;
  if (facts.is_list(fact)) {
    const auto list = facts.get_ints(fact).value_or(std::vector<int64_t>());
    if (layer >= 0 && static_cast<size_t>(layer) < list.size())
      heads = list[static_cast<size_t>(layer)];
  } else {
    heads = facts.require_int(fact);
  }
  if (heads < 1) fail("key '{}' says {} heads", facts.key_of(fact), heads);
  return heads;
}

}  // namespace

bool rows_go_in_pairs(const Family& family, TensorRole role) {
  using enum TensorRole;
  return family.interleaved_rope && (is_query(role) || role == kKey || role == kKeyBias);
}

HeadCounts head_counts(const Facts& facts, int layer) {
  constexpr std::string_view kQueries = "attention.head_count", kKeys = "attention.head_count_kv";
  const bool says_keys = facts.is_list(kKeys) || facts.get_int(kKeys);
  return {heads_of(facts, kQueries, layer), heads_of(facts, says_keys ? kKeys : kQueries, layer)};
}

uint64_t paired_head_dim(const Family& family, TensorRole role, HeadCounts heads, uint64_t rows,
                         std::string_view name) {
  if (!rows_go_in_pairs(family, role)) return 0;
  const int64_t said = is_query(role) ? heads.queries : heads.keys;
  const auto count = static_cast<uint64_t>(said);
  if (said < 1 || rows < count || rows % count != 0 || rows / count % 2 != 0) {
    fail("tensor '{}': {} rows are not {} heads of an even length", printable(name), rows, said);
  }
  return rows / count;
}

}  // namespace tessera::huggingface
