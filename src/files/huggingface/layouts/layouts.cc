#include "files/huggingface/layouts/layouts.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/kinds.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

struct Layout {
  std::string_view name;
  void (*apply)(const Settings& config, RawTensors& tensors);
};
constexpr auto kLayouts = std::to_array<Layout>({
    {"gptq", apply_gptq},
    {"awq", apply_awq},
    {"bitsandbytes", apply_bitsandbytes},
    {"hqq", apply_hqq},
    {"compressed-tensors", apply_compressed_tensors},
    {"fp8", apply_fp8},
    {"fbgemm_fp8", apply_fp8},
    {"mxfp4", apply_mxfp4},
    {"modelopt", apply_modelopt},
    {"torchao", apply_torchao},
    {"bitnet", apply_bitnet},
});

std::string known() {
  std::string names;
  for (const Layout& layout : kLayouts)
    names += (names.empty() ? "" : ", ") + std::string(layout.name);
  return names;
}

// Of old configurations, which do not name it.
std::string method_of(const Settings& config) {
  const bool is_bitsandbytes =
      config.flag("load_in_4bit", false) || config.flag("load_in_8bit", false);
  const std::string method = config.text("quant_method", is_bitsandbytes ? "bitsandbytes" : "");
  return method == "bitsandbytes_4bit" || method == "bitsandbytes_8bit" ? "bitsandbytes" : method;
}

}  // namespace

void apply_layouts(const json& config, const json* hf_quant_config, RawTensors& tensors) {
  const Settings settings(config, "config.json");
  auto quantization = settings.object("quantization_config");
  if (!quantization) quantization = settings.object("compression_config");
  if (!quantization) {
    if (hf_quant_config == nullptr) return;
    return apply_modelopt(Settings(*hf_quant_config, "hf_quant_config.json"), tensors);
  }
  const std::string method = method_of(*quantization);
  const auto layout = std::ranges::find(kLayouts, method, &Layout::name);
  if (layout == kLayouts.end()) {
    fail("{}: weights quantized by '{}' cannot be read (known: {})", quantization->where(),
         printable(method), known());
  }
  layout->apply(*quantization, tensors);
}

}  // namespace tessera::huggingface
