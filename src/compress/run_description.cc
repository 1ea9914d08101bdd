#include "compress/run_description.h"

#include <fmt/format.h>

#include <iterator>
#include <span>

#include "files/sha256.h"

namespace tessera {

std::string describe_run(const Checkpoint& model, const QuantizeOptions& options,
                         const CalibrationText& text) {
  std::string lines = "tessera run 1\n";
  const auto add = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(lines), format, std::forward<Args>(args)...);
    lines += '\n';
  };
  for (const auto& path : model.paths()) add("source {}", sha256_of_file(path));
  add("text {} in chunks of {}", sha256_of(std::as_bytes(std::span(text.tokens))), text.length);
  add("method {}", options.method);
  if (!options.sparsity.empty()) add("sparsity {}", options.sparsity);
  if (options.damping > 0) add("damping {}", options.damping);
  if (options.group_aware) add("columns of large inputs first");
  if (options.target) {
    add("target {} bits per weight, {} bytes", options.target.bits_per_weight,
        options.target.bytes);
  } else {
    add("format {}{}", options.format, options.pure ? ", pure" : "");
  }
  for (const TensorFormat& named : options.tensor_formats)
    add("tensors {}={}", named.pattern, named.format->name);
  for (const LoraFile& lora : options.lora) {
    add("adapter {} by {}",
        std::filesystem::is_directory(lora.path) ? lora.path : sha256_of_file(lora.path),
        lora.scale);
  }
  return lines;
}

}  // namespace tessera
