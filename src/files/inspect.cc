#include "files/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <type_traits>

#include "base/human_bytes.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf/layout.h"
#include "files/gguf/reader.h"
#include "files/huggingface/peft.h"
#include "files/huggingface/peft_file.h"
#include "files/open.h"

namespace tessera {
namespace {

constexpr size_t kShownText = 6, kShownJson = 16;  // elements of an array before it is cut short
constexpr size_t kShownStringBytes = 160;

struct Total {
  uint64_t tensors = 0, parameters = 0, bytes = 0;

  void add(const StoredTensor& tensor) {
    ++tensors;
    parameters += tensor.elements();
    bytes += tensor.stored_bytes();
  }
  double bits_per_weight() const {
    return parameters == 0 ? 0.0
                           : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  }
};

struct Totals {
  Total all;
  std::map<std::string_view, Total> by_format;

  explicit Totals(const Checkpoint& file) {
    for (const StoredTensor& tensor : file.tensors()) {
      all.add(tensor);
      by_format[tensor.format->name].add(tensor);
    }
  }
};

template <typename T>
std::string text_of(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return fmt::format("\"{}\"", printable(value, kShownStringBytes));
  } else {
    return fmt::format("{}", value);
  }
}

template <typename E>
std::string text_of_array(const std::vector<E>& elements) {
  std::string out = "[";
  for (size_t i = 0; i < std::min(elements.size(), kShownText); ++i) {
    if (i > 0) out += ", ";
    out += text_of<E>(elements[i]);
  }
  if (elements.size() > kShownText)
    fmt::format_to(std::back_inserter(out), ", ... {} in all", elements.size());
  return out + "]";
}

std::string text_of_value(const GgufValue& value) {
  return std::visit(
      []<typename T>(const T& v) {
        if constexpr (std::is_same_v<T, GgufValue::Array>) {
          return std::visit([](const auto& elements) { return text_of_array(elements); }, v);
        } else {
          return text_of(v);
        }
      },
      value.value);
}

template <typename T>
nlohmann::json json_of(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return replace_invalid_bytes(value);
  } else {
    return value;
  }
}

nlohmann::json json_of_entry(const std::string& key, const GgufValue& value) {
  nlohmann::json out = {{"key", key}, {"type", gguf::type_name(value)}};
  std::visit(
      [&]<typename T>(const T& v) {
        if constexpr (std::is_same_v<T, GgufValue::Array>) {
          std::visit(
              [&]<typename E>(const std::vector<E>& elements) {
                out["count"] = elements.size();
                auto& first = out["first"] = nlohmann::json::array();
                for (size_t i = 0; i < std::min(elements.size(), kShownJson); ++i) {
                  first.push_back(json_of<E>(elements[i]));
                }
              },
              v);
        } else {
          out["value"] = json_of(v);
        }
      },
      value.value);
  return out;
}

nlohmann::json json_of_total(const Total& total) {
  return {{"tensors", total.tensors}, {"parameters", total.parameters}, {"bytes", total.bytes}};
}

// Characters, not bytes, as a rule of thumb for the width on a terminal.
size_t shown_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

class TextPage {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// A checkpoint, and what is known of it as a file of its kind.
struct Inspected {
  std::shared_ptr<const Checkpoint> checkpoint;
  const GgufFile* gguf;                    // nullptr: something else
  const GgufMetadata* metadata = nullptr;  // a folder's: what config.json says, as GGUF would

  explicit Inspected(const std::filesystem::path& path)
      : checkpoint(open(path)), gguf(dynamic_cast<const GgufFile*>(checkpoint.get())) {
    if (const auto* facts = dynamic_cast<const GgufFacts*>(&checkpoint->facts()))
      metadata = &facts->metadata();
  }

  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path) {
    if (huggingface::is_peft(path))
      return std::make_shared<const huggingface::PeftFile>(huggingface::PeftFile::open(path));
    return open_checkpoint(path);
  }
  // In a line, what kind of file it is.
  std::string kind() const {
    if (gguf != nullptr)
      return fmt::format("GGUF version {}, alignment {}", gguf->version(), gguf->alignment());
    if (dynamic_cast<const huggingface::PeftFile*>(checkpoint.get()) != nullptr)
      return "a LoRA adapter in safetensors; metadata is that of adapter_config.json";
    return "safetensors; metadata as GGUF would say the same";
  }
  // nullopt: its rows are put together from several places, or held in memory.
  std::optional<uint64_t> offset_of(const StoredTensor& tensor) const {
    if (tensor.bytes.empty()) return std::nullopt;
    return checkpoint->offset_of(tensor);
  }
};

void add_tensor_table(TextPage& page, const Inspected& file) {
  const auto& tensors = file.checkpoint->tensors();
  const bool several = file.checkpoint->paths().size() > 1;
  size_t width = 4;
  for (const StoredTensor& tensor : tensors)
    width = std::max(width, shown_width(printable(tensor.name)));
  page.line("  {:<{}}  {:<8} {:>20} {:>13} {:>14}{}", "name", width, "format", "shape", "bytes",
            "offset", several ? "  file" : "");
  for (const StoredTensor& tensor : tensors) {
    const std::string name = printable(tensor.name);
    const auto offset = file.offset_of(tensor);
    page.line("  {}{:<{}}  {:<8} {:>20} {:>13} {:>14}{}", name, "", width - shown_width(name),
              tensor.format->name, fmt::format("{}", fmt::join(tensor.shape, " x ")),
              tensor.stored_bytes(), offset ? fmt::format("{}", *offset) : "-",
              several ? fmt::format("  {:>4}", tensor.file_index + 1) : "");
  }
}

}  // namespace

std::string describe_file(const std::filesystem::path& path) {
  const Inspected file(path);
  const Totals totals(*file.checkpoint);
  TextPage page;
  for (const auto& member : file.checkpoint->paths())
    page.line("{}", printable(member.string(), 4096));
  page.line("{}", file.kind());

  const GgufMetadata none;
  const auto& entries = (file.metadata == nullptr ? none : *file.metadata).entries();
  page.line("\nmetadata ({})", entries.size());
  for (const auto& [key, value] : entries) {
    page.line("  {} ({}) = {}", printable(key), gguf::type_name(value), text_of_value(value));
  }

  page.line("\ntensors ({})", file.checkpoint->tensors().size());
  add_tensor_table(page, file);

  page.line("\ntotals");
  for (const auto& [name, total] : totals.by_format) {
    page.line("  {:<8} {:>5} tensors {:>15} parameters {:>15}", name, total.tensors,
              total.parameters, human_bytes(total.bytes));
  }
  page.line("  {:<8} {:>5} tensors {:>15} parameters {:>15}, {:.2f} bits per weight", "all",
            totals.all.tensors, totals.all.parameters, human_bytes(totals.all.bytes),
            totals.all.bits_per_weight());
  return page.take();
}

nlohmann::json describe_file_json(const std::filesystem::path& path) {
  const Inspected file(path);
  using nlohmann::json;
  const Totals totals(*file.checkpoint);
  json out = json::object();
  if (file.gguf != nullptr)
    out = {{"version", file.gguf->version()}, {"alignment", file.gguf->alignment()}};
  for (const char* list : {"files", "metadata", "tensors"}) out[list] = json::array();
  for (const auto& member : file.checkpoint->paths())
    out["files"].push_back(replace_invalid_bytes(member.string()));
  if (file.metadata != nullptr) {
    for (const auto& [key, value] : file.metadata->entries())
      out["metadata"].push_back(json_of_entry(key, value));
  }
  for (const StoredTensor& tensor : file.checkpoint->tensors()) {
    const auto offset = file.offset_of(tensor);
    out["tensors"].push_back({{"name", tensor.name},
                              {"shape", tensor.shape},
                              {"format", tensor.format->name},
                              {"bytes", tensor.stored_bytes()},
                              {"offset", offset ? json(*offset) : json()},
                              {"file", tensor.file_index}});
  }
  out["totals"] = json_of_total(totals.all);
  out["totals"]["bits_per_weight"] = totals.all.bits_per_weight();
  auto& formats = out["totals"]["formats"] = json::object();
  for (const auto& [name, total] : totals.by_format)
    formats[std::string(name)] = json_of_total(total);
  return out;
}

}  // namespace tessera
