#include <utility>

#include "base/error.h"
#include "grammar/structured_output.h"
#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {

Service::ChatPrompt Service::render(const ChatRequest& request) const {
  const bool tools = request.tool_choice != ToolChoice::kNone;
  ChatPrompt prompt{.text = {}, .tools = tools};
  ChatOptions options;
  options.variables = request.template_variables;
  std::vector<Message> messages = request.messages;
  const ChatFormat& format =
      tools ? session_.chat_formats->with_tools() : session_.chat_formats->standard();
  if (tools && format.knows_tools) options.tools = request.tools;
  if (!format.knows_tools) {
    // Calls and results of earlier turns stay readable even when no tool is offered any more.
    messages = with_tools_as_text(messages, tools ? request.tools : Json::array());
  }
  prompt.text = render_chat(format, messages, options);
  prompt.style = format.tool_style;
  return prompt;
}

std::shared_ptr<const ConstraintSource> Service::constraint_of(const ChatRequest& request,
                                                               ToolStyle style) const {
  if (request.tool_choice < ToolChoice::kRequired) return constraint_of(request.parameters);
  if (request.parameters.has_form()) {
    bad_request("tool_choice",
                "'tool_choice' asks for a call, 'response_format' or 'grammar' for something else");
  }
  try {
    return session_.structured_output->function_calls(
        required_calls(style, request.tools, request.tool_name, request.parallel_tool_calls));
  } catch (const Error& error) {
    bad_request("tools", "{}", error.what());
  }
}

void Service::chat_completions(const httplib::Request& http, httplib::Response& response) {
  const ChatRequest request = parse_chat_request(http.body);
  const GenerationParameters& p = request.parameters;
  check_model(p.model);
  const ChatPrompt prompt = render(request);
  std::vector<JobChoice> choices;
  add_choices(p, tokens_of(prompt.text), "messages", constraint_of(request, prompt.style), choices);
  auto job = submit(std::move(choices));
  AnswersOptions options{.model = options_.model_name,
                         .choices = p.n,
                         .choices_per_prompt = p.n,
                         .logprobs = p.top_logprobs >= 0,
                         .include_usage = p.include_usage,
                         .tools = prompt.tools,
                         .tool_style = prompt.style,
                         .parallel_tool_calls = request.parallel_tool_calls};
  respond(response, std::move(job), make_chat_answers(*session_.tokenizer, std::move(options)),
          p.stream);
}

}  // namespace tessera::serve
