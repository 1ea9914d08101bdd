#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

#include "serve/api/answers.h"
#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

// Little-endian floats in base64 (RFC 4648), as OpenAI's client asks for them.
std::string base64(const std::vector<float>& values) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  }
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

void normalize(std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  if (!(sum > 0)) return;
  const double factor = 1 / std::sqrt(sum);
  for (float& value : values) value = static_cast<float>(value * factor);
}

class Embeddings final : public Answers {
 public:
  Embeddings(std::string model, int inputs, bool as_base64)
      : model_(std::move(model)), base64_(as_base64), data_(inputs) {}
  std::vector<Json> begin() override { return {}; }
  std::vector<Json> add(Update update) override {
    if (!update.outcome) return {};
    Outcome& outcome = *update.outcome;
    if (error_.empty()) error_ = outcome.error;
    prompt_tokens_ += outcome.prompt_tokens;
    normalize(outcome.embedding);
    data_[update.choice] = {{"object", "embedding"}, {"index", update.choice}};
    data_[update.choice]["embedding"] =
        base64_ ? Json(base64(outcome.embedding)) : Json(outcome.embedding);
    return {};
  }
  std::vector<Json> end() override { return {}; }
  Json whole() override {
    return {{"object", "list"},
            {"data", std::move(data_)},
            {"model", model_},
            {"usage", {{"prompt_tokens", prompt_tokens_}, {"total_tokens", prompt_tokens_}}}};
  }

 private:
  std::string model_;
  bool base64_;
  std::vector<Json> data_;
  int64_t prompt_tokens_ = 0;
};

}  // namespace

void Service::embeddings(const httplib::Request& http, httplib::Response& response) {
  const EmbeddingRequest request = parse_embedding_request(http.body);
  check_model(request.model);
  std::vector<JobChoice> choices;
  for (const Prompt& input : request.inputs) {
    JobChoice choice;
    choice.request.prompt = tokens_of(input, "input", request.prompt);
    room_after(choice.request.prompt, "input");
    choice.request.pooling = request.pooling.value_or(session_.model->config().pooling);
    choice.request.cache_salt = request.cache_salt;
    choice.request.adapters = adapters_of(request.model, request.lora);
    choices.push_back(std::move(choice));
  }
  auto job = submit(std::move(choices));
  const int inputs = static_cast<int>(request.inputs.size());
  respond(response, std::move(job),
          std::make_unique<Embeddings>(shown_model(request.model), inputs, request.base64), false);
}

}  // namespace tessera::serve
