#include <utility>

#include "serve/api/service.h"

namespace tessera::serve {

void Service::completions(const httplib::Request& http, httplib::Response& response) {
  const CompletionRequest request = parse_completion_request(http.body, session_.sampling);
  const GenerationParameters& p = request.parameters;
  check_model(p.model);
  AnswersOptions options{.model = shown_model(p.model),
                         .choices = static_cast<int>(request.prompts.size()) * p.n,
                         .choices_per_prompt = p.n,
                         .logprobs = p.top_logprobs >= 0,
                         .include_usage = p.include_usage};
  const auto constraint = constraint_of(p);
  std::vector<JobChoice> choices;
  for (const Prompt& prompt : request.prompts) {
    const std::vector<Token> tokens =
        tokens_of(prompt, "prompt", p.prompt, std::max(1, p.generate.max_tokens));
    add_choices(p, tokens, "prompt", constraint, choices);
    if (!request.echo) continue;
    const auto* text = std::get_if<std::string>(&prompt);
    const bool is_given = text != nullptr && p.prompt.last == 0;
    Echo echo{.text = is_given ? *text : session_.tokenizer->decode(tokens)};
    if (!tokens.empty()) echo.first_token = tokens.front();
    options.echoes.insert(options.echoes.end(), p.n, echo);
  }
  auto job = submit(std::move(choices));
  respond(response, std::move(job),
          make_completion_answers(*session_.tokenizer, std::move(options)), p.stream);
}

}  // namespace tessera::serve
