#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

// No context bounds them.
constexpr size_t kMostTokens = 1 << 17;

}  // namespace

void Service::tokenize(const httplib::Request& http, httplib::Response& response) {
  const TokenizeRequest request = parse_tokenize_request(http.body);
  check_model(request.model);
  if (!request.chat && request.text.size() > kMostBytes) {
    bad_request("prompt", "the text has {} bytes, expected at most {}", request.text.size(),
                kMostBytes);
  }
  const std::vector<Token> tokens =
      request.chat ? tokens_of(render(*request.chat).prompt) : encode(request.text, request.prompt);
  response.set_content(
      to_text({{"count", tokens.size()}, {"max_model_len", most_tokens_}, {"tokens", tokens}}),
      "application/json");
}

void Service::detokenize(const httplib::Request& http, httplib::Response& response) {
  const DetokenizeRequest request = parse_detokenize_request(http.body);
  check_model(request.model);
  if (request.tokens.size() > kMostTokens) {
    bad_request("tokens", "there are {} tokens, expected at most {}", request.tokens.size(),
                kMostTokens);
  }
  const size_t vocabulary = session_.tokenizer->vocabulary_size();
  for (const Token token : request.tokens) {
    if (static_cast<size_t>(token) >= vocabulary) {
      bad_request("tokens", "token {} is outside the vocabulary of {}", token, vocabulary);
    }
  }
  const std::string text = session_.tokenizer->decode(request.tokens, true);
  response.set_content(to_text({{"prompt", text}, {"content", text}}), "application/json");
}

}  // namespace tessera::serve
