// What the server says about its model and itself.
#include <fmt/format.h>

#include <string>

#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

// What a request that leaves these open gets; the page shows them.
Json default_settings() {
  const SamplingOptions options;
  const auto shortest = [](float value) { return std::stod(fmt::format("{}", value)); };
  return {{"temperature", shortest(options.temperature)},
          {"top_k", options.top_k},
          {"top_p", shortest(options.top_p)},
          {"min_p", shortest(options.min_p)}};
}

}  // namespace

Json Service::model_json() const {
  return {{"id", options_.model_name},     {"object", "model"},
          {"created", started_},           {"owned_by", "tessera"},
          {"max_model_len", most_tokens_}, {"default_generation_settings", default_settings()}};
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
