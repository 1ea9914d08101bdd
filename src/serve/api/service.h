// The API's endpoints, one function each: from a request body to a response.
//
// Each may throw ApiError, or Error for what the model or its template refuses; the server makes
// responses of these.
#pragma once

#include <httplib.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"
#include "serve/api/answers.h"
#include "serve/api/requests.h"
#include "serve/loop/engine_loop.h"

namespace tessera::serve {

// Of a text that is cut into tokens although no context bounds it.
inline constexpr size_t kMostBytes = 1 << 20;

struct ServiceOptions {
  std::string model_name;
  int max_queue = 256;                      // answers beyond those that run
  int max_sequences = 256;                  // that run at once
  std::chrono::seconds request_time{1800};  // of a whole answer
  bool parse_special = true;                // of requests that do not say (GenerateOptions)
};

class Service {
 public:
  // `session` and `engine` must outlive it; nobody else may use the engine.
  Service(const Session& session, Engine& engine, ServiceOptions options);

  void chat_completions(const httplib::Request& request, httplib::Response& response);
  void completions(const httplib::Request& request, httplib::Response& response);
  void embeddings(const httplib::Request& request, httplib::Response& response);
  void apply_template(const httplib::Request& request, httplib::Response& response);
  void tokenize(const httplib::Request& request, httplib::Response& response);
  void detokenize(const httplib::Request& request, httplib::Response& response);
  void lora_adapters(const httplib::Request& request, httplib::Response& response);
  void models(const httplib::Request& request, httplib::Response& response);
  void model(const httplib::Request& request, httplib::Response& response);
  void health(const httplib::Request& request, httplib::Response& response);
  void metrics(const httplib::Request& request, httplib::Response& response);
  void engine_view(const httplib::Request& request, httplib::Response& response);

  void count_response(int status) { metrics_.count_http(status); }
  EngineLoop& loop() { return loop_; }
  const std::string& model_name() const { return options_.model_name; }

 private:
  struct RenderedChat {
    ChatPrompt prompt;
    bool tools = false;
    ToolStyle style = ToolStyle::kHermes;
  };

  void check_model(const std::string& name) const;
  // The adapter of that name; null if there is none.
  const LoadedAdapter* find_adapter(std::string_view name) const;
  // What a text goes through: what `lora` lists, else the adapter whose name the request gives for
  // the model's, else what is usual. Throws ApiError.
  AdapterMix adapters_of(const std::string& model, const LoraChoices& lora) const;
  // What answers call the model: as the request does, if it names an adapter.
  const std::string& shown_model(const std::string& asked) const {
    return find_adapter(asked) == nullptr ? options_.model_name : asked;
  }
  bool parses_special(const PromptCut& cut) const {
    return cut.parse_special.value_or(options_.parse_special);
  }
  // Throws ApiError if there is no chat template.
  RenderedChat render(const ChatRequest& request) const;
  // The prompt came in `field`, a chat's in "messages". Where it is to be cut to what fits, so many
  // tokens must fit `beside` it. Throws ApiError if the client is gone, or if it has more bytes
  // than can be of use whatever its tokens are.
  std::vector<Token> tokens_of(const ChatPrompt& prompt, const PromptCut& cut = {},
                               int beside = 0) const;
  std::vector<Token> tokens_of(const Prompt& prompt, std::string_view field, const PromptCut& cut,
                               int beside = 0) const;
  std::vector<Token> encode(std::string_view text, const PromptCut& cut) const;  // whole
  void check_text(size_t bytes, std::string_view field, const PromptCut& cut) const;
  void check_size(size_t bytes, std::string_view field) const;
  std::vector<Token> cut_to_fit(std::vector<Token> tokens, const PromptCut& cut, int beside) const;
  // Tokens that fit behind the prompt, which came in `field`. Throws ApiError if it is too long.
  int room_after(const std::vector<Token>& prompt, std::string_view field) const;
  // Throws ApiError if the grammar or the schema is wrong.
  std::shared_ptr<const ConstraintSource> constraint_of(
      const GenerationParameters& parameters) const;
  // What holds the answer to a call if the request asks for one. Throws ApiError.
  std::shared_ptr<const ConstraintSource> constraint_of(const ChatRequest& request,
                                                        ToolStyle style) const;
  // n requests that differ in their seeds; or one of a beam search that has n answers.
  void add_choices(const GenerationParameters& parameters, const std::vector<Token>& prompt,
                   std::string_view field, std::shared_ptr<const ConstraintSource> constraint,
                   std::vector<JobChoice>& choices) const;
  // Checks them all before any runs.
  std::shared_ptr<Job> submit(std::vector<JobChoice> choices);
  void respond(httplib::Response& response, std::shared_ptr<Job> job,
               std::unique_ptr<Answers> answers, bool stream);
  Json model_json() const;
  Json adapter_json(const LoadedAdapter& adapter) const;

  const Session& session_;
  ServiceOptions options_;
  const int most_tokens_;       // of a text: what the context and the KV store hold
  const size_t longest_token_;  // in bytes
  const int64_t started_;
  Metrics metrics_;
  EngineLoop loop_;
};

}  // namespace tessera::serve
