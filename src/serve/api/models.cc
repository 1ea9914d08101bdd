// What the server says about its model and itself.
#include <fmt/format.h>

#include <string>

#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

// Of a float, as people write it.
double shortest(float value) {
  return std::stod(fmt::format("{}", value));
}

// What a request that leaves these open gets; the page shows them.
Json default_settings(const SamplingOptions& options) {
  return {{"temperature", shortest(options.temperature)},
          {"top_k", options.top_k},
          {"top_p", shortest(options.top_p)},
          {"min_p", shortest(options.min_p)}};
}

}  // namespace

Json Service::model_json() const {
  return {{"id", options_.model_name},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "tessera"},
          {"max_model_len", most_tokens_},
          {"default_generation_settings", default_settings(session_.sampling)}};
}

// As vLLM has them: models of their own that come of another.
Json Service::adapter_json(const LoadedAdapter& adapter) const {
  Json json = model_json();
  json["id"] = adapter.name;
  json["parent"] = options_.model_name;
  return json;
}

void Service::models(const httplib::Request&, httplib::Response& response) {
  Json list = Json::array({model_json()});
  for (const LoadedAdapter& adapter : session_.adapters) {
    if (find_adapter(adapter.name) != nullptr) list.push_back(adapter_json(adapter));
  }
  response.set_content(to_text({{"object", "list"}, {"data", std::move(list)}}),
                       "application/json");
}

void Service::model(const httplib::Request& request, httplib::Response& response) {
  for (const LoadedAdapter& adapter : session_.adapters) {
    if (find_adapter(adapter.name) == nullptr || request.path != "/v1/models/" + adapter.name)
      continue;
    return response.set_content(to_text(adapter_json(adapter)), "application/json");
  }
  response.set_content(to_text(model_json()), "application/json");
}

// As llama.cpp lists them, with their names.
void Service::lora_adapters(const httplib::Request&, httplib::Response& response) {
  Json list = Json::array();
  for (const LoadedAdapter& adapter : session_.adapters) {
    list.push_back({{"id", list.size()},
                    {"name", adapter.name},
                    {"path", adapter.path},
                    {"scale", shortest(adapter.scale)}});
  }
  response.set_content(to_text(list), "application/json");
}

void Service::health(const httplib::Request&, httplib::Response& response) {
  response.set_content(R"({"status":"ok"})", "application/json");
}

void Service::metrics(const httplib::Request&, httplib::Response& response) {
  response.set_content(metrics_.prometheus(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace tessera::serve
