#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "grammar/structured_output.h"
#include "serve/api/required_calls.h"
#include "serve/api/service.h"
#include "serve/http/api_error.h"
#include "serve/http/identifiers.h"
#include "text/tools_as_text.h"

namespace tessera::serve {

namespace {

std::optional<ChatFormat> own_format(const ChatRequest& request, const Tokenizer& tokenizer) {
  if (request.chat_template.empty()) return std::nullopt;
  try {
    return make_chat_format(&request.chat_template, tokenizer);
  } catch (const Error& error) {
    bad_request("chat_template", "{}", error.what());
  }
}

std::vector<std::string> names_of(const Json& tools) {
  std::vector<std::string> names;
  for (const Json& tool : tools) names.push_back(tool["function"]["name"]);
  return names;
}

// The prompt up to the end of the last message's text. Where that is, a mark behind it tells.
ChatPrompt render_unfinished(const ChatFormat& format, std::vector<Message> messages,
                             const ChatOptions& options) {
  const std::string mark = new_identifier("end-of-the-last-message-");
  Json& content = messages.back().content;
  content = content.get<std::string>() + mark;
  ChatPrompt prompt = make_chat_prompt(format, messages, options);
  const size_t end = prompt.text.rfind(mark);
  if (end == std::string::npos) {
    bad_request("continue_final_message",
                "'continue_final_message' cannot be: the chat template does not show the last "
                "message as it is");
  }
  prompt.text.resize(end);
  std::erase_if(prompt.literal, [&](size_t place) { return place >= end; });
  return prompt;
}

}  // namespace

Service::RenderedChat Service::render(const ChatRequest& request) const {
  size_t bytes = 0;
  for (const Message& message : request.messages) {
    if (message.content.is_string()) bytes += message.content.get_ref<const std::string&>().size();
  }
  check_text(bytes, "messages", request.parameters.prompt);
  const std::optional<ChatFormat> own = own_format(request, *session_.tokenizer);
  if (!own && !session_.chat_formats->has_template()) {
    bad_request("messages",
                "the model has no chat template: use /v1/completions, or serve it with "
                "--chat-template NAME|FILE");
  }
  const bool tools = request.tool_choice != ToolChoice::kNone;
  const ChatFormat& format = own     ? *own
                             : tools ? session_.chat_formats->with_tools()
                                     : session_.chat_formats->standard();
  ChatOptions options;
  options.add_generation_prompt = request.add_generation_prompt;
  options.variables = request.template_variables;
  options.parse_special = parses_special(request.parameters.prompt);
  std::vector<Message> messages = request.messages;
  if (tools && format.capabilities.tools) options.tools = request.tools;
  if (!format.capabilities.tools) {
    // Calls and results of earlier turns stay readable even when no tool is offered any more.
    messages = with_tools_as_text(messages, tools ? request.tools : Json::array());
  }
  return {.prompt = request.continue_final_message ? render_unfinished(format, messages, options)
                                                   : make_chat_prompt(format, messages, options),
          .tools = tools,
          // Tools that are described as text are called as the description says.
          .style = format.capabilities.tools ? format.tool_style : ToolStyle::kHermes};
}

std::shared_ptr<const ConstraintSource> Service::constraint_of(const ChatRequest& request,
                                                               ToolStyle style) const {
  const auto form = constraint_of(request.parameters);
  const bool must_call = request.tool_choice >= ToolChoice::kRequired;
  const bool may_call = request.tool_choice == ToolChoice::kAuto && form != nullptr;
  if (!must_call && !may_call) return form;
  try {
    FunctionCalls calls =
        required_calls(style, request.tools, request.tool_name, request.parallel_tool_calls);
    if (may_call) {
      calls.or_grammar = request.parameters.generate.grammar;
      calls.or_json_schema = request.parameters.generate.json_schema;
    }
    return session_.structured_output->function_calls(calls);
  } catch (const Error& error) {
    bad_request("tools", "{}", error.what());
  }
}

void Service::chat_completions(const httplib::Request& http, httplib::Response& response) {
  const ChatRequest request = parse_chat_request(http.body, session_.sampling);
  const GenerationParameters& p = request.parameters;
  check_model(p.model);
  session_.model->require_logits();
  const RenderedChat chat = render(request);
  std::vector<JobChoice> choices;
  add_choices(p, tokens_of(chat.prompt, p.prompt, std::max(1, p.generate.max_tokens)), "messages",
              constraint_of(request, chat.style), choices);
  auto job = submit(std::move(choices));
  AnswersOptions options{.model = shown_model(p.model),
                         .choices = p.n,
                         .choices_per_prompt = p.n,
                         .logprobs = p.top_logprobs >= 0,
                         .include_usage = p.include_usage,
                         .tools = chat.tools,
                         .tool_style = chat.style,
                         .tool_names = names_of(request.tools),
                         .tells_thoughts = request.tells_thoughts,
                         .parallel_tool_calls = request.parallel_tool_calls};
  respond(response, std::move(job), make_chat_answers(*session_.tokenizer, std::move(options)),
          p.stream);
}

}  // namespace tessera::serve
