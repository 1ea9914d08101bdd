#include "files/huggingface/write_peft.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/families.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/rotary_pairs.h"
#include "files/huggingface/tensor_names.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Written {
  std::string name;
  uint64_t rows, columns;
  std::vector<float> values;
};

std::vector<float> decoded(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

// B with its rows in halves, where the family has them in pairs.
std::vector<float> rows_of_up(const StoredTensor& up, const Family& family,
                              const Checkpoint& model) {
  std::vector<float> values = decoded(up);
  const TensorPlace place = up.place;
  if (!rows_go_in_pairs(family, place.role)) return values;
  const uint64_t head_dim = paired_head_dim(
      family, place.role, head_counts(model.facts(), place.layer), up.rows(), up.name);
  const size_t rank = up.columns();
  std::vector<float> turned(values.size());
  for (uint64_t row = 0; row < up.rows(); ++row)
    std::copy_n(values.data() + row * rank, rank,
                turned.data() + row_in_halves(row, head_dim) * rank);
  return turned;
}

void write_safetensors(const fs::path& path, const std::vector<Written>& tensors) {
  ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const Written& tensor : tensors) {
    const uint64_t end = offset + tensor.values.size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", {tensor.rows, tensor.columns}},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto size = static_cast<uint64_t>(text.size());
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&size, 1)));
  file.write(text);
  for (const Written& tensor : tensors) file.write(std::as_bytes(std::span(tensor.values)));
  file.commit();
}

// What the folder calls the matrix that it is added to, without ".weight".
std::string written_module(const StoredLowRank& one, const Family& family) {
  const TensorPlace place = one.down.place;
  if (family.qkv_by_head && place.role == TensorRole::kQueryKeyValue)
    fail("adapters of {} models are written as GGUF only: name a file that ends in .gguf",
         family.model_type);
  constexpr std::string_view kEnd = ".weight";
  std::string name = tensor_name(family, place);
  if (!name.ends_with(kEnd)) {
    fail("'{}' has no name in folders of {} models: name a file that ends in .gguf",
         printable(one.down.name), family.model_type);
  }
  name.resize(name.size() - kEnd.size());
  return name;
}

const Family& family_of(const Checkpoint& model) {
  return family_of_architecture(model.facts().require_string("general.architecture"));
}

}  // namespace

void check_peft(const StoredAdapter& adapter, const Checkpoint& model) {
  const Family& family = family_of(model);
  for (const StoredLowRank& one : adapter.matrices) written_module(one, family);
}

void write_peft(const StoredAdapter& adapter, const Checkpoint& model, const fs::path& folder) {
  if (adapter.matrices.empty()) fail("an adapter without a matrix cannot be written");
  const Family& family = family_of(model);
  const uint64_t rank = adapter.matrices[0].down.rows();
  const float scale = adapter.matrices[0].scale;
  std::vector<Written> tensors;
  std::set<std::string> modules;
  for (const StoredLowRank& one : adapter.matrices) {
    const std::string module = written_module(one, family);
    if (one.down.rows() != rank || one.scale != scale)
      fail("module '{}' has another rank or scale than others, which is not written",
           printable(module));
    modules.insert(module.substr(module.rfind('.') + 1));
    tensors.push_back({"base_model.model." + module + ".lora_A.weight", rank, one.down.columns(),
                       decoded(one.down)});
    tensors.push_back({"base_model.model." + module + ".lora_B.weight", one.up.rows(), rank,
                       rows_of_up(one.up, family, model)});
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot create the folder '{}': {}", shown(folder), error.message());
  write_safetensors(folder / "adapter_model.safetensors", tensors);
  ordered_json config = {{"peft_type", "LORA"},
                         {"task_type", "CAUSAL_LM"},
                         {"r", rank},
                         {"lora_alpha", scale * static_cast<float>(rank)},
                         {"lora_dropout", 0},
                         {"bias", "none"},
                         {"target_modules", modules},
                         {"inference_mode", true},
                         {"base_model_name_or_path", nullptr}};
  AtomicFile file(folder / "adapter_config.json");
  file.write(config.dump(2) + "\n");
  file.commit();
}

}  // namespace tessera::huggingface
