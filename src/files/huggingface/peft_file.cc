#include "files/huggingface/peft_file.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/peft.h"
#include "files/safetensors/parse.h"

namespace tessera::huggingface {
namespace {

GgufValue value_of(const nlohmann::json& value) {
  if (value.is_boolean()) return {value.get<bool>()};
  if (value.is_number_integer()) return {value.get<int64_t>()};
  if (value.is_number()) return {value.get<double>()};
  if (value.is_string()) return {value.get<std::string>()};
  return {value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

}  // namespace

PeftFile PeftFile::open(const std::filesystem::path& path) {
  const PeftFiles files = find_peft_files(path);
  PeftFile adapter;
  GgufMetadata metadata;
  const nlohmann::json config = read_json(files.config);
  for (const auto& [key, value] : config.items()) {
    if (!value.is_null()) metadata.set(key, value_of(value));
  }
  adapter.facts_ = std::make_unique<const GgufFacts>(std::move(metadata));
  const MappedFile& file = adapter.add_file(files.tensors);
  for (StoredTensor& tensor : safetensors::parse(file.bytes(), files.tensors.string()))
    adapter.add_tensor(std::move(tensor));
  return adapter;
}

TokenizerData PeftFile::read_tokenizer() const {
  fail("'{}' is a LoRA adapter, not a model", printable(paths().at(0).string(), 400));
}

}  // namespace tessera::huggingface
