#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {

void Service::tokenize(const httplib::Request& http, httplib::Response& response) {
  const TokenizeRequest request = parse_tokenize_request(http.body);
  check_model(request.model);
  const std::vector<Token> tokens = request.chat ? tokens_of(render(*request.chat).prompt)
                                                 : tokens_of(Prompt(request.text), request.prompt);
  response.set_content(
      to_text({{"count", tokens.size()}, {"max_model_len", most_tokens_}, {"tokens", tokens}}),
      "application/json");
}

void Service::detokenize(const httplib::Request& http, httplib::Response& response) {
  const DetokenizeRequest request = parse_detokenize_request(http.body);
  check_model(request.model);
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
