#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {

// What /v1/chat/completions would make of the same request, as llama-server shows it.
void Service::apply_template(const httplib::Request& http, httplib::Response& response) {
  const ChatRequest request = parse_chat_request(http.body);
  check_model(request.parameters.model);
  response.set_content(to_text({{"prompt", render(request).prompt.text}}), "application/json");
}

}  // namespace tessera::serve
