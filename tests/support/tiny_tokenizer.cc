#include "support/tiny_tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace tessera {
namespace {

// In GPT-2's alphabet, where a space is written "Ġ".
constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kMerges = {{
    {"Ġ", "t"},   {"Ġ", "a"}, {"h", "e"}, {"i", "n"}, {"r", "e"},  {"o", "n"},
    {"Ġt", "he"}, {"e", "r"}, {"Ġ", "s"}, {"a", "t"}, {"Ġ", "w"},  {"Ġ", "o"},
    {"e", "n"},   {"Ġ", "c"}, {"i", "t"}, {"i", "s"}, {"a", "n"},  {"o", "r"},
    {"e", "s"},   {"Ġ", "b"}, {"e", "d"}, {"Ġ", "f"}, {"in", "g"}, {"an", "d"},
}};

constexpr std::string_view kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>'"
    " + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif "
    "%}";

// Token types of the GGUF specification.
enum TokenType : int32_t { kNormal = 1, kControl = 3, kUnused = 5 };

std::string utf8(int code_point) {  // below U+0800
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3f))};
}

// GPT-2 gives every byte a visible character: printable Latin-1 stands for itself, and the others,
// in order, for U+0100 onwards (Radford et al. 2019, encoder.py: bytes_to_unicode).
std::vector<std::string> byte_characters() {
  std::vector<std::string> characters;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool visible =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters.push_back(utf8(visible ? byte : next++));
  }
  return characters;
}

}  // namespace

void add_tiny_tokenizer(GgufMetadata& metadata, int vocabulary, bool chat_template,
                        bool has_merges) {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  uint32_t first_special = 0;
  const auto add_special = [&] {
    first_special = static_cast<uint32_t>(tokens.size());
    for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
      tokens.emplace_back(special);
      types.push_back(kControl);
    }
  };
  if (!has_merges) add_special();
  for (std::string& character : byte_characters()) tokens.push_back(std::move(character));
  for (const auto& [left, right] : kMerges) {
    if (!has_merges) break;
    tokens.push_back(std::string(left) + std::string(right));
    merges.push_back(fmt::format("{} {}", left, right));
  }
  types.resize(tokens.size(), kNormal);
  if (has_merges) add_special();
  if (static_cast<size_t>(vocabulary) < tokens.size()) {
    fail("a tiny model needs a vocabulary of at least {}, not {}", tokens.size(), vocabulary);
  }
  for (int i = 0; tokens.size() < static_cast<size_t>(vocabulary); ++i) {
    tokens.push_back(fmt::format("<|unused_{}|>", i));
    types.push_back(kUnused);
  }

  const auto array = [](auto values) { return GgufValue{GgufValue::Array(std::move(values))}; };
  metadata.set("tokenizer.ggml.model", GgufValue{std::string("gpt2")});
  metadata.set("tokenizer.ggml.pre", GgufValue{std::string("gpt-2")});
  metadata.set("tokenizer.ggml.tokens", array(std::move(tokens)));
  metadata.set("tokenizer.ggml.token_type", array(std::move(types)));
  metadata.set("tokenizer.ggml.merges", array(std::move(merges)));
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue{first_special});
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue{first_special + 2});
  metadata.set("tokenizer.ggml.padding_token_id", GgufValue{first_special});
  metadata.set("tokenizer.ggml.add_bos_token", GgufValue{false});
  if (chat_template) metadata.set("tokenizer.chat_template", GgufValue{std::string(kChatTemplate)});
}

}  // namespace tessera
