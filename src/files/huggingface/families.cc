#include "files/huggingface/families.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/families/tables.h"

namespace tessera::huggingface {
namespace {

// Text models that go by several names.
constexpr std::pair<std::string_view, std::string_view> kSynonyms[] = {
    {"gemma4_unified_text", "gemma4_text"},
    {"qwen2_vl_text", "qwen2_vl"},
    {"qwen2_5_vl", "qwen2_vl"},
    {"qwen2_5_vl_text", "qwen2_vl"},
    {"qwen3_vl_text", "qwen3_vl"},
    {"roberta", "xlm-roberta"}};

const std::vector<Family>& all_families() {
  static const std::vector<Family> kFamilies = [] {
    std::vector<Family> all;
    for (const auto part : {dense_families(), expert_families(), recurrent_families(),
                            layer_norm_families(), embedding_families()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kFamilies;
}

}  // namespace

const Family& find_family(std::string_view given, FamilyKind kind) {
  const auto* synonym = std::ranges::find(kSynonyms, given, [](const auto& s) { return s.first; });
  const std::string_view model_type = synonym == std::end(kSynonyms) ? given : synonym->second;
  const Family* found = nullptr;
  std::string known;
  for (const Family& family : all_families()) {
    const bool is_meant =
        family.bidirectional == kind.bidirectional && family.experts == kind.experts;
    if (family.model_type == model_type && (found == nullptr || is_meant)) found = &family;
    if (known.find(family.model_type) == std::string::npos)
      known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  if (found != nullptr) return *found;
  fail("model_type '{}' is not supported (supported: {})", printable(model_type), known);
}

const Family& family_of_architecture(std::string_view architecture) {
  for (const Family& family : all_families()) {
    if (family.architecture == architecture) return family;
  }
  fail("what Hugging Face calls the tensors of '{}' models is not known", printable(architecture));
}

const Family& find_family_of(std::string_view architecture, bool windows, bool experts) {
  for (const Family& family : all_families()) {
    if (family.architecture == architecture && (family.windows || !windows) &&
        family.experts == experts && family.writable)
      return family;
  }
  fail("models of the architecture '{}' cannot be written as a Hugging Face folder",
       printable(architecture));
}

}  // namespace tessera::huggingface
