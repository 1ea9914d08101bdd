// Any JSON read as a tokenizer.json, and any bytes as a tokenizer.model: a tokenizer whose ids are
// within its vocabulary, or one line of Error. What of the input begins with "TEXT" is the text.
#include <spdlog/spdlog.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "files/gguf/tokenizer.h"
#include "files/huggingface/sentencepiece_model.h"
#include "files/huggingface/sentencepiece_tokenizer.h"
#include "files/huggingface/tokenizer_json.h"
#include "fuzz/input.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

void use(TokenizerData data, std::string_view text) {
  GgufMetadata metadata;
  gguf::write_tokenizer(data, {}, metadata);
  const auto tokenizer = Tokenizer::make(std::move(data));
  for (const bool special : {false, true}) {
    const auto tokens = tokenizer->encode(text, {.add_special = special, .parse_special = special});
    StreamDecoder decoder(*tokenizer);
    for (const Token token : tokens) {
      if (token < 0 || static_cast<size_t>(token) >= tokenizer->vocabulary_size()) std::abort();
      if (!special && tokenizer->is_control(token)) std::abort();
      if (!is_valid_utf8(decoder.push(token))) std::abort();
    }
    tokenizer->decode(tokens, special);
  }
}

TokenizerData finish(huggingface::TokenizerFile file) {
  file.vocabulary.finish(file.data, file.has_scores);
  return std::move(file.data);
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace tessera;
  spdlog::set_level(spdlog::level::off);
  std::string_view input(reinterpret_cast<const char*>(bytes), size);
  std::string_view text = "Hello  wor1d 123 \n\u00E9e\u0301 \u2581<s>";
  if (const size_t end = input.find("TEXT"); end != input.npos) {
    text = input.substr(end + 4);
    input = input.substr(0, end);
  }
  try {
    if (input.starts_with('{')) {
      const auto json = nlohmann::json::parse(input, nullptr, false);
      if (json.is_object()) use(finish(huggingface::read_tokenizer_json(json)), text);
    } else {
      use(finish(huggingface::make_tokenizer(huggingface::parse_sentencepiece_model(input), true)),
          text);
    }
  } catch (const Error& error) {
    tessera::fuzz::require_one_line(error);
  }
  return 0;
}
