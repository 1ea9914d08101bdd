// Any bytes as a chat template: a text or an Error, never a crash, a hang or memory without bound.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "jinja/template.h"

namespace {

const nlohmann::ordered_json& conversation() {
  static const auto variables = nlohmann::ordered_json::parse(R"({
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "Caf\u00e9 \u65e5\u672c"}]},
      {"role": "assistant", "content": null,
       "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": 1.5, "y": [true, null]}}}]},
      {"role": "tool", "content": "42"}
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "number"}}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"
  })");
  return variables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::jinja::RenderOptions options;
  options.limits.steps = 200'000;
  options.limits.text_bytes = size_t{1} << 20;
  options.limits.memory_bytes = size_t{64} << 20;
  options.now = std::tm{};
  options.now->tm_mday = 1;
  try {
    const tessera::jinja::Template source({reinterpret_cast<const char*>(data), size});
    source.render(conversation(), options);
  } catch (const tessera::Error&) {
  }
  return 0;
}
