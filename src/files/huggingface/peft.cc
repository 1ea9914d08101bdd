#include "files/huggingface/peft.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/printable.h"
#include "files/huggingface/families.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/rotary_pairs.h"
#include "files/huggingface/row_sources.h"
#include "files/huggingface/tensor_names.h"
#include "files/safetensors/parse.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";

struct Pair {
  const StoredTensor *down = nullptr, *up = nullptr;
};

// The module of a tensor "base_model.model.MODULE" + `part` + ".weight", or ".default.weight" where
// the adapter's name was kept; "" if it is none.
std::string_view module_of(std::string_view name, std::string_view part) {
  constexpr std::string_view kPrefix = "base_model.model.";
  if (!name.starts_with(kPrefix)) return {};
  name.remove_prefix(kPrefix.size());
  for (const std::string_view end : {".weight", ".default.weight"}) {
    if (!name.ends_with(end)) continue;
    const std::string_view rest = name.substr(0, name.size() - end.size());
    if (rest.ends_with(part)) return rest.substr(0, rest.size() - part.size());
  }
  return {};
}

void refuse(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const char* why = "it is no low-rank matrix (lora_A, lora_B)";
  if (has("lora_magnitude_vector")) why = "DoRA is not supported";
  if (has("lora_embedding_")) why = "adapters of embeddings are not supported";
  if (has(".bias")) why = "adapters of biases are not supported";
  fail("tensor '{}': {}", printable(name), why);
}

constexpr std::string_view kBaseLayer = ".base_layer";

// Beside an adapter of lm_head, PEFT saves a copy of the model's own matrix, which may be quantized
// here. Some rows of it tell whether it is one.
void check_copy(const StoredTensor& copy, std::string_view module, const Family& family,
                const Checkpoint& model) {
  const TensorPlace place = tensor_place(family, std::string(module) + ".weight");
  const StoredTensor* own = model.find(place);
  if (place.role == TensorRole::kUnknown || own == nullptr)
    fail("tensor '{}' is a copy of a matrix that the model does not have", printable(copy.name));
  if (copy.columns() != own->columns() || copy.rows() != own->rows()) {
    fail("tensor '{}' is {} x {}, the model's '{}' is {} x {}", printable(copy.name),
         copy.columns(), copy.rows(), printable(own->name), own->columns(), own->rows());
  }
  if (!copy.format->supported() || !own->format->supported())
    fail("tensor '{}' cannot be compared with the model's: {} and {}", printable(copy.name),
         copy.format->name, own->format->name);
  constexpr uint64_t kSamples = 64;
  const uint64_t step = std::max<uint64_t>(1, copy.rows() / kSamples);
  std::vector<float> a(copy.columns()), b(copy.columns());
  double difference = 0, size = 0;
  for (uint64_t row = 0; row < copy.rows(); row += step) {
    copy.decode(row, 1, a);
    own->decode(row, 1, b);
    for (size_t i = 0; i < a.size(); ++i) {
      const double apart = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      difference += apart * apart;
      size += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    }
  }
  const double most = own->format->block_elements > 1 ? 0.2 : 0.01;  // quantized, rounded
  if (!(difference <= most * most * size)) {
    fail(
        "tensor '{}' is another matrix than the model's: adapters that replace one are not "
        "supported",
        printable(copy.name));
  }
}

std::map<std::string, Pair> pair_up(const std::vector<StoredTensor>& tensors, const Family& family,
                                    const Checkpoint& model) {
  std::map<std::string, Pair> pairs;  // by module
  for (const StoredTensor& tensor : tensors) {
    if (const auto copied = module_of(tensor.name, kBaseLayer); !copied.empty()) {
      check_copy(tensor, copied, family, model);
      continue;
    }
    const auto down = module_of(tensor.name, ".lora_A"), up = module_of(tensor.name, ".lora_B");
    if (down.empty() && up.empty()) refuse(tensor.name);
    Pair& pair = pairs[std::string(down.empty() ? up : down)];
    const StoredTensor*& place = down.empty() ? pair.up : pair.down;
    if (place != nullptr)
      fail("tensor '{}' is there under another name, too", printable(tensor.name));
    place = &tensor;
  }
  for (const auto& [module, pair] : pairs) {
    if (pair.down == nullptr || pair.up == nullptr) {
      fail("module '{}' has {} and no {}", printable(module),
           pair.down == nullptr ? "lora_B" : "lora_A", pair.down == nullptr ? "lora_A" : "lora_B");
    }
  }
  return pairs;
}

// The rows of B where the model has those of the matrix.
StoredTensor adapt_up(const StoredTensor& up, const Family& family, const Checkpoint& model,
                      TensorPlace place) {
  const bool by_head = family.qkv_by_head && place.role == TensorRole::kQueryKeyValue;
  if (!by_head && !rows_go_in_pairs(family, place.role)) return up;
  const HeadCounts heads = head_counts(model.facts(), place.layer);
  if (by_head) return group_by_kind(up, heads);
  return pair_rows(up, paired_head_dim(family, place.role, heads, up.rows(), up.name));
}

}  // namespace

bool is_peft_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(path / kConfigName, ignored);
}

bool is_peft(const fs::path& path) {
  std::error_code ignored;
  if (path.filename() == kTensorsName)
    return is_peft_folder(path.has_parent_path() ? path.parent_path() : ".");
  return is_peft_folder(path) && !fs::exists(path / "config.json", ignored);
}

PeftFiles find_peft_files(const fs::path& path) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  const fs::path folder = is_folder ? path : path.has_parent_path() ? path.parent_path() : ".";
  PeftFiles files{folder / kConfigName, is_folder ? path / kTensorsName : path};
  if (!fs::exists(files.config, ignored))
    fail("'{}' is missing: it says how a PEFT adapter is scaled", shown(files.config));
  if (!fs::exists(files.tensors, ignored) && fs::exists(folder / "adapter_model.bin", ignored)) {
    fail(
        "'{}' keeps its adapter in a PyTorch pickle, which may run any code and is never opened; "
        "expected {}",
        shown(folder), kTensorsName);
  }
  if (!fs::exists(files.tensors, ignored)) fail("'{}' is missing", shown(files.tensors));
  return files;
}

std::vector<StoredLowRank> read_peft(const PeftConfig& config,
                                     const std::vector<StoredTensor>& tensors,
                                     const Checkpoint& model) {
  const Family& family =
      family_of_architecture(model.facts().require_string("general.architecture"));
  std::vector<StoredLowRank> matrices;
  for (const auto& [module, pair] : pair_up(tensors, family, model)) {
    const TensorPlace place = tensor_place(family, module + ".weight");
    if (place.role == TensorRole::kUnknown)
      fail("module '{}' has no place in {} models", printable(module), family.model_type);
    StoredLowRank& one = matrices.emplace_back();
    one.scale = config.scale_of(module, pair.down->rows());
    one.down = *pair.down;
    one.up = adapt_up(*pair.up, family, model, place);
    one.down.place = one.up.place = place;
  }
  return matrices;
}

StoredAdapter open_peft(const fs::path& path, const Checkpoint& model) {
  const PeftFiles files = find_peft_files(path);
  const nlohmann::json json = read_json(files.config);
  const auto config = [&] {
    try {
      return PeftConfig(json);
    } catch (const Error& error) {
      fail("'{}': {}", shown(files.config), error.what());
    }
  }();
  const auto mapped = std::make_shared<const MappedFile>(files.tensors);
  const auto tensors = safetensors::parse(mapped->bytes(), files.tensors.string());
  StoredAdapter adapter;
  adapter.file = mapped;
  try {
    adapter.matrices = read_peft(config, tensors, model);
  } catch (const Error& error) {
    fail("'{}': {}", shown(files.tensors), error.what());
  }
  return adapter;
}

}  // namespace tessera::huggingface
