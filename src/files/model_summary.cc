#include "files/model_summary.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace tessera {

ModelSummary summarize(const Checkpoint& model) {
  const Facts& facts = model.facts();
  ModelSummary summary;
  summary.name = facts.get_string("general.name").value_or("");
  summary.architecture = facts.get_string("general.architecture").value_or("");
  summary.license = facts.get_string("general.license").value_or("");
  summary.file_type = facts.get_int("general.file_type");
  summary.context = facts.get_int("context_length");
  summary.embedding = facts.get_int("embedding_length");
  summary.layers = facts.get_int("block_count");
  summary.chat_template = model.read_chat_templates().standard;

  for (const auto& path : model.paths()) summary.file_bytes += std::filesystem::file_size(path);

  std::map<std::string_view, uint64_t> parameters;
  for (const StoredTensor& tensor : model.tensors()) {
    summary.parameters += tensor.elements();
    summary.bytes += tensor.stored_bytes();
    parameters[tensor.format->name] += tensor.elements();
  }
  if (!parameters.empty()) {
    const auto count = [](const auto& entry) { return entry.second; };
    summary.main_format = std::ranges::max_element(parameters, {}, count)->first;
  }
  return summary;
}

}  // namespace tessera
