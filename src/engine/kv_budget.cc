#include "engine/kv_budget.h"

#include <algorithm>
#include <cctype>
#include <exception>

#include "base/error.h"
#include "base/system_memory.h"
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

int kv_budget(const Model& model, const Model* draft, KvFormat format, const std::string& memory,
              int sequences, int draft_budget) {
  const size_t block = kv_block_bytes(model, draft, format);
  const size_t most = size_t{1} << 24;
  if (!memory.empty()) {
    const size_t blocks = std::min(parse_memory_size(memory) / block, most);
    if (blocks == 0) fail("a KV block takes {} bytes: '{}' is too little", block, memory);
    return static_cast<int>(blocks);
  }
  const size_t for_one = blocks_for(model.config().context + draft_budget);
  const size_t useful = for_one * static_cast<size_t>(sequences);
  return static_cast<int>(
      std::min({std::max(available_memory() / 2 / block, for_one), useful, most}));
}

}  // namespace tessera
