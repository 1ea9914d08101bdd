#include "files/huggingface/folder_writer.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/role_kinds.h"
#include "files/gguf/tensor_names.h"
#include "files/huggingface/experts.h"
#include "files/huggingface/facts.h"
#include "files/huggingface/folder.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/shards.h"
#include "files/huggingface/tensor_names.h"
#include "files/huggingface/write_config.h"
#include "files/huggingface/write_tokenizer.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kTemplatesFolder = "additional_chat_templates";
constexpr std::string_view kWeight = ".weight";
constexpr uint64_t kShardBytes = 5'000'000'000;  // as transformers cuts them

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_json(const fs::path& path, const ordered_json& json) {
  write_text(path, json.dump(2) + "\n");
}

// Of a file: a stranger's word must not reach other folders.
bool is_plain(std::string_view name) {
  return !name.empty() && name.size() <= 100 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

std::vector<std::byte> encoded(const Format& format, std::span<const float> values) {
  std::vector<std::byte> bytes(format.row_bytes(values.size()));
  format.encode(values, bytes.data(), {});
  return bytes;
}

std::string_view dtype_of(const Format& format) {
  if (&format == &kF32) return "F32";
  if (&format == &kF16) return "F16";
  if (&format == &kBF16) return "BF16";
  fail("a Hugging Face folder is written in F32, F16 or BF16, not in {}", format.name);
}

// Among the modules that a layout is not for, in the words of its tool: parts of their names.
void leave_routers_out(const Family& family, ordered_json& settings) {
  const std::string_view block = family.sparse_moe_block ? "block_sparse_moe" : "mlp";
  for (const std::string& router :
       {fmt::format("{}.gate", block), std::string("shared_expert_gate")}) {
    if (settings.contains("ignore")) settings["ignore"].push_back(fmt::format("re:.*{}$", router));
    for (const char* names : {"modules_to_not_convert", "skip_modules"})
      if (settings.contains(names)) settings[names].push_back(router);
  }
}

}  // namespace

// What stands in files of JSON and text.
struct FolderWriter::Parts {
  ordered_json config, generation, tokenizer, tokenizer_config;
  ChatTemplates templates;
  const HuggingFaceFolder* copied = nullptr;  // whose tokenizer and templates are taken as they are
};

FolderWriter::FolderWriter(const Checkpoint& model, const FolderFormat* quantized)
    : quantized_(quantized),
      plain_(quantized == nullptr ? nullptr : &quantized->plain_format(model)),
      family_(&find_family_of(model.facts().require_string("general.architecture"),
                              model.facts().get_int("attention.sliding_window").value_or(0) > 0,
                              model.facts().get_int("expert_count").value_or(0) > 0)),
      parts_(std::make_unique<Parts>()) {
  parts_->config = write_config(model, *family_);
  heads_ = head_counts(model.facts(), 0);
  parts_->copied = dynamic_cast<const HuggingFaceFolder*>(&model);
  if (parts_->copied != nullptr) {
    const nlohmann::json config = read_json(parts_->copied->folder() / "config.json");
    for (const nlohmann::json& from : {config, text_part(config)})
      for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
        if (from.contains(key)) parts_->config[key] = from[key];
    return;
  }

  const TokenizerData tokenizer = model.read_tokenizer();
  const auto ends = end_tokens(tokenizer.vocabulary);
  if (!ends.empty()) parts_->config["eos_token_id"] = ends.front();
  if (tokenizer.vocabulary.bos_token_id.value_or(-1) >= 0)
    parts_->config["bos_token_id"] = *tokenizer.vocabulary.bos_token_id;
  parts_->tokenizer = write_tokenizer_json(tokenizer);
  parts_->tokenizer_config = write_tokenizer_config(tokenizer);
  parts_->templates = model.read_chat_templates();
  for (const auto& [name, text] : parts_->templates.named) {
    if (!is_plain(name)) fail("a chat template named '{}' cannot be a file", printable(name));
  }
  parts_->generation["eos_token_id"] = ends;
  for (const auto& [key, fact] :
       {std::pair("temperature", "temp"), std::pair("top_p", "top_p"), std::pair("min_p", "min_p"),
        std::pair("top_k", "top_k"), std::pair("repetition_penalty", "penalty_repeat")}) {
    const auto value = model.facts().get_float("general.sampling." + std::string(fact));
    if (value) parts_->generation[key] = *value;
  }
}

FolderWriter::~FolderWriter() = default;

uint64_t FolderWriter::Tensor::bytes() const {
  uint64_t size = format->row_bytes(shape[0]);
  for (size_t axis = 1; axis < shape.size(); ++axis)
    size = checked_mul(size, shape[axis], "tensor size");
  return size;
}

void FolderWriter::keep_layers(std::span<const int>) {
  fail("a folder cannot be written with fewer layers; write a GGUF file");
}

uint64_t FolderWriter::Tensor::stored_bytes() const {
  uint64_t size = 0;
  for (const LayoutPart& part : parts) size += part.bytes();
  return size;
}

void FolderWriter::declare(std::string name, const Format& format, std::vector<uint64_t> shape) {
  const TensorPlace place = gguf::tensor_place(name);
  using enum TensorRole;
  const bool is_factor = place.role == kRopeFactors || place.role == kRopeFactorsLong ||
                         place.role == kRopeFactorsShort;
  std::string own = is_factor ? "" : tensor_name(*family_, place);
  if (own.empty() && !is_factor)
    fail("tensor '{}' has no place in a folder of {} models", printable(name), family_->model_type);
  // A vector to GGUF, a matrix of one row to transformers.
  if (place.role == kSharedExpertRouter && shape.size() == 1) shape.push_back(1);
  std::vector<LayoutPart> parts;
  if (shape.size() > 2) {  // each expert has tensors of its own
    for (uint64_t expert = 0; expert < shape[2]; ++expert) {
      for (LayoutPart& part : parts_of(name_of_expert(own, expert), format, {shape[0], shape[1]}))
        parts.push_back(std::move(part));
    }
  } else if (!is_factor) {
    parts = parts_of(own, format, shape);
  }
  tensors_.push_back({std::move(own), place, &format, std::move(shape), std::move(parts)});
}

std::vector<LayoutPart> FolderWriter::parts_of(const std::string& name, const Format& format,
                                               const std::vector<uint64_t>& shape) const {
  if (quantized_ == nullptr || format.quantized == nullptr)
    return {{name, dtype_of(stored_format(format)), {shape.rbegin(), shape.rend()}}};
  std::vector<LayoutPart> parts;
  try {
    if (&format != &quantized_->format_of(shape.at(0)))
      fail("the format {}, which is not that of {}", format.name, quantized_->name);
    parts = quantized_->writer->parts(shape.at(1), shape.at(0));
  } catch (const Error& error) {
    fail("'{}' has {}", name, error.what());
  }
  const std::string module = name.substr(0, name.size() - kWeight.size());
  for (LayoutPart& part : parts) part.name = module + part.name;
  return parts;
}

// Loaders expect one type.
const Format& FolderWriter::stored_format(const Format& declared) const {
  return plain_ == nullptr ? declared : *plain_;
}

// From GGUF's definition of the family to transformers'.
std::vector<std::byte> FolderWriter::adapt(const Tensor& tensor,
                                           std::vector<std::byte> bytes) const {
  if (family_->norms_add_one && is_norm(tensor.place.role)) {
    std::vector<float> values(tensor.shape[0]);
    tensor.format->decode(bytes.data(), values);
    for (float& value : values) value -= 1;
    return encoded(stored_format(*tensor.format), values);
  }
  if (tensor.format->block_elements == 1 && &stored_format(*tensor.format) != tensor.format) {
    std::vector<float> values(bytes.size() / tensor.format->block_bytes);
    tensor.format->decode(bytes.data(), values);
    bytes = encoded(*plain_, values);
  }
  const uint64_t rows = tensor.shape[tensor.shape.size() == 1 ? 0 : 1];
  const uint64_t head_dim = paired_head_dim(*family_, tensor.place.role, heads_, rows, tensor.name);
  if (head_dim == 0) return bytes;
  const uint64_t row_bytes = bytes.size() / rows;
  std::vector<std::byte> halves(bytes.size());
  for (uint64_t row = 0; row < rows; ++row) {
    std::memcpy(halves.data() + row_in_halves(row, head_dim) * row_bytes,
                bytes.data() + row * row_bytes, row_bytes);
  }
  return halves;
}

void FolderWriter::write_shard(const fs::path& path, size_t first, size_t end,
                               const Fill& fill) const {
  ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (size_t i = first; i < end; ++i) {
    for (const LayoutPart& part : tensors_[i].parts) {
      const uint64_t bytes = part.bytes();
      header[part.name] = {
          {"dtype", part.dtype}, {"shape", part.shape}, {"data_offsets", {offset, offset + bytes}}};
      offset += bytes;
    }
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&size, 1)));
  file.write(text);
  for (size_t i = first; i < end; ++i) {
    if (tensors_[i].name.empty()) continue;
    const Tensor& tensor = tensors_[i];
    std::vector<std::byte> bytes = fill(i);
    if (bytes.size() != tensor.bytes()) {
      fail("tensor '{}': {} bytes to write, but {} were declared", tensor.name, bytes.size(),
           tensor.bytes());
    }
    bytes = adapt(tensor, std::move(bytes));
    if (tensor.format->block_elements == 1) {
      file.write(bytes);
      continue;
    }
    const uint64_t experts = tensor.shape.size() > 2 ? tensor.shape[2] : 1;
    const size_t each = bytes.size() / experts;
    for (uint64_t expert = 0; expert < experts; ++expert) {
      const EncodedMatrix matrix(*tensor.format, tensor.shape[1], tensor.shape[0],
                                 std::span(bytes).subspan(expert * each, each));
      for (const auto& part : quantized_->writer->pack(matrix, torch_dtype())) file.write(part);
    }
  }
  file.commit();
}

std::string_view FolderWriter::torch_dtype() const {
  const auto matrix = std::ranges::find_if(tensors_, [](const Tensor& tensor) {
    return tensor.shape.size() > 1 && tensor.format->block_elements == 1;
  });
  const std::string_view dtype =
      matrix == tensors_.end() ? "F32" : dtype_of(stored_format(*matrix->format));
  return dtype == "BF16" ? "bfloat16" : dtype == "F16" ? "float16" : "float32";
}

void FolderWriter::write(const fs::path& path, const Fill& fill) {
  std::vector<size_t> begins = {0};
  uint64_t in_shard = 0, total = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const uint64_t bytes = tensors_[i].stored_bytes();
    if (in_shard > 0 && in_shard + bytes > kShardBytes) {
      begins.push_back(i);
      in_shard = 0;
    }
    in_shard += bytes;
    total += bytes;
  }
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail("cannot create '{}': {}", printable(path.string(), 400), error.message());
  // Of a model that was there: a reader would take these for the new one's.
  for (const std::string_view name : {std::string_view("config.json"), std::string_view(kIndexName),
                                      std::string_view("hf_quant_config.json")})
    fs::remove(path / name, error);
  ordered_json index = {{"metadata", {{"total_size", total}}}};
  const size_t count = begins.size();
  begins.push_back(tensors_.size());
  for (size_t shard = 0; shard < count; ++shard) {
    const std::string name =
        count == 1 ? "model.safetensors"
                   : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, count);
    write_shard(path / name, begins[shard], begins[shard + 1], fill);
    for (size_t i = begins[shard]; i < begins[shard + 1]; ++i) {
      for (const LayoutPart& part : tensors_[i].parts) index["weight_map"][part.name] = name;
    }
  }
  if (count > 1) write_json(path / kIndexName, index);

  if (parts_->copied != nullptr) {
    const fs::path& from = parts_->copied->folder();
    for (const fs::path& below : {from, from / kTemplatesFolder}) {
      for (const auto& entry : fs::directory_iterator(below, error)) {
        const fs::path name = entry.path().lexically_relative(from);
        const bool is_ours =
            name == "config.json" || name == kIndexName || name == "hf_quant_config.json";
        if (is_ours || !is_folder_file(name.generic_string())) continue;
        fs::create_directories((path / name).parent_path(), error);
        write_text(path / name, read_text(entry.path()));
      }
    }
  } else {
    write_json(path / "tokenizer.json", parts_->tokenizer);
    write_json(path / "tokenizer_config.json", parts_->tokenizer_config);
    write_json(path / "generation_config.json", parts_->generation);
    if (parts_->templates.standard)
      write_text(path / "chat_template.jinja", *parts_->templates.standard);
    for (const auto& [name, text] : parts_->templates.named) {
      fs::create_directories(path / kTemplatesFolder, error);
      write_text(path / kTemplatesFolder / (name + ".jinja"), text);
    }
  }
  parts_->config["torch_dtype"] = torch_dtype();
  if (quantized_ != nullptr) {
    ordered_json settings = quantized_->writer->config(torch_dtype());
    if (family_->experts) leave_routers_out(*family_, settings);
    parts_->config["quantization_config"] = std::move(settings);
  }
  write_json(path / "config.json", parts_->config);
}

}  // namespace tessera::huggingface
