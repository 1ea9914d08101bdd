// What the server says about its model and itself.
#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {

Json Service::model_json() const {
  return {{"id", options_.model_name},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "tessera"},
          {"max_model_len", most_tokens_}};
}

void Service::models(const httplib::Request&, httplib::Response& response) {
  response.set_content(to_text({{"object", "list"}, {"data", Json::array({model_json()})}}),
                       "application/json");
}

void Service::model(const httplib::Request&, httplib::Response& response) {
  response.set_content(to_text(model_json()), "application/json");
}

void Service::health(const httplib::Request&, httplib::Response& response) {
  response.set_content(R"({"status":"ok"})", "application/json");
}

void Service::metrics(const httplib::Request&, httplib::Response& response) {
  response.set_content(metrics_.prometheus(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace tessera::serve
