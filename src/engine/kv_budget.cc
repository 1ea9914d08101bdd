#include "engine/kv_budget.h"

#include <algorithm>
#include <cctype>
#include <exception>

#include "base/error.h"
#include "base/system_memory.h"
#include "cache/state_table.h"
#include "decode/drafters/draft_model.h"

namespace tessera {

size_t parse_memory_size(const std::string& text) {
  size_t used = 0;
  double number = 0;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  std::string unit = text.substr(used);
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return std::tolower(c); });
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  if (unit.ends_with("b") && unit.size() > 1) unit.pop_back();
  const size_t shift = unit == "k"   ? 10
                       : unit == "m" ? 20
                       : unit == "g" ? 30
                       : unit == "t" ? 40
                                     : 0;
  if (used == 0 || !(number > 0 && number < 1e15) || (shift == 0 && !unit.empty() && unit != "b")) {
    fail("the memory is '{}', expected a size such as 512M or 8G", text);
  }
  const double bytes = number * static_cast<double>(size_t{1} << shift);
  if (bytes > 1e17) fail("the memory is '{}', which no machine has", text);
  return static_cast<size_t>(bytes);
}

size_t kv_block_bytes(const Model& model, const Model* draft, KvFormat format) {
  return model.kv_block_bytes(format) +
         (draft != nullptr ? draft->kv_block_bytes(DraftModel::kKvFormat) : 0);
}

namespace {

// As many as are of use and fit into half of the memory.
int states_for(const Model& model, size_t memory, int sequences) {
  const size_t state = model.state_bytes();
  if (state == 0) return 0;
  const auto least = static_cast<size_t>(StateTable::kLeast);
  if (memory / 2 / state < least)
    fail("the states of recurrent layers take {} bytes each: {} bytes are too little", state,
         memory);
  return static_cast<int>(
      std::min(memory / 2 / state, static_cast<size_t>(StateTable::useful(sequences))));
}

}  // namespace

KvBudget kv_budget(const Model& model, const Model* draft, KvFormat format,
                   const std::string& memory, int sequences, int draft_budget) {
  // A model that never attends keeps nothing of a token.
  const size_t block = std::max<size_t>(1, kv_block_bytes(model, draft, format));
  const size_t most = size_t{1} << 24;
  if (!memory.empty()) {
    const size_t bytes = parse_memory_size(memory);
    const int states = states_for(model, bytes, sequences);
    const size_t left = bytes - static_cast<size_t>(states) * model.state_bytes();
    const size_t blocks = std::min(left / block, most);
    if (blocks == 0) fail("a KV block takes {} bytes: '{}' is too little", block, memory);
    return {static_cast<int>(blocks), states};
  }
  const size_t for_one = blocks_for(model.config().context + draft_budget);
  const size_t useful = for_one * static_cast<size_t>(sequences);
  const size_t least = 2 * static_cast<size_t>(StateTable::kLeast) * model.state_bytes();
  const size_t memory_for_all = std::max(available_memory() / 2, least);
  const int states = states_for(model, memory_for_all, sequences);
  const size_t left = memory_for_all - static_cast<size_t>(states) * model.state_bytes();
  const size_t blocks = std::min({std::max(left / block, for_one), useful, most});
  return {static_cast<int>(blocks), states};
}

}  // namespace tessera
