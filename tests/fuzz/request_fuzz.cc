// Bodies of API requests: a typed request or an ApiError, nothing else. What parses is rendered as
// far as that goes without a model.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "serve/api/requests.h"
#include "text/tool_calls.h"
#include "text/tools_as_text.h"

namespace {

template <typename Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const tessera::Error&) {  // an ApiError is one
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::serve;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  attempt([&] {
    const ChatRequest request = parse_chat_request(body);
    tessera::with_tools_as_text(request.messages, request.tools);
  });
  attempt([&] { parse_completion_request(body); });
  attempt([&] { parse_embedding_request(body); });
  attempt([&] { parse_tokenize_request(body); });
  attempt([&] { parse_detokenize_request(body); });
  for (const auto style :
       {tessera::ToolStyle::kHermes, tessera::ToolStyle::kLlama3, tessera::ToolStyle::kGemma4}) {
    for (const bool is_cut : {false, true}) {
      tessera::ToolCallParser parser(style);
      parser.push(body.substr(0, size / 2));
      parser.push(body.substr(size / 2));
      parser.finish(is_cut);
    }
  }
  return 0;
}
