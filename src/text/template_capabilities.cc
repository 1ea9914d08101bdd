#include "text/template_capabilities.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "jinja/template.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

// Words that no template holds, and that none of the usual filters changes.
constexpr std::string_view kFirst = "probeone", kSecond = "probetwo", kThird = "probethree";
constexpr std::string_view kFiller = "probefiller";

class Probe {
 public:
  Probe(const ChatTemplate& source, const std::string& bos_token, const std::string& eos_token)
      : source_(source), bos_token_(bos_token), eos_token_(eos_token) {}

  // Contents as lists of parts from now on.
  void use_parts() { parts_ = true; }

  using Turn = std::pair<std::string_view, std::string_view>;  // role and content
  // Whether a conversation that the assistant is to go on with can be rendered and shows the words.
  bool shows(std::initializer_list<std::string_view> words, std::initializer_list<Turn> turns,
             const Json& tools = nullptr) const {
    Json messages = Json::array();
    for (const auto& [role, content] : turns)
      messages.push_back({{"role", role}, {"content", content_of(content)}});
    return shows(words, std::move(messages), tools);
  }
  // A text as contents are given.
  Json content_of(std::string_view text) const {
    return parts_ ? Json{{{"type", "text"}, {"text", text}}} : Json(text);
  }
  bool shows(std::initializer_list<std::string_view> words, Json messages,
             const Json& tools) const {
    jinja::RenderOptions options;
    options.limits.steps = 500'000;
    options.limits.text_bytes = size_t{1} << 20;
    options.limits.memory_bytes = size_t{64} << 20;
    try {
      const std::string prompt = source_.render({{"messages", std::move(messages)},
                                                 {"tools", tools},
                                                 {"documents", nullptr},
                                                 {"add_generation_prompt", true},
                                                 {"bos_token", bos_token_},
                                                 {"eos_token", eos_token_}},
                                                options);
      return std::all_of(words.begin(), words.end(),
                         [&](std::string_view word) { return prompt.find(word) != prompt.npos; });
    } catch (const Error&) {
      return false;
    }
  }

 private:
  const ChatTemplate& source_;
  const std::string &bos_token_, &eos_token_;
  bool parts_ = false;
};

Json declaration(std::string_view name) {
  const Json parameter = {{"type", "string"}, {"description", "A text."}};
  return {{"type", "function"},
          {"function",
           {{"name", name},
            {"description", "Does something."},
            {"parameters",
             {{"type", "object"},
              {"properties", {{"argument", parameter}}},
              {"required", {"argument"}}}}}}};
}

// A question, a call, and its result: as a turn, or beside the call.
Json called(const Probe& probe, bool as_turn) {
  const Json function = {{"name", kFirst}, {"arguments", {{"argument", kFiller}}}};
  const Json made = {{"id", "probecall"}, {"type", "function"}, {"function", function}};
  Json turn = {{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({made})}};
  const Json response = {{"name", kFirst}, {"response", kSecond}};
  if (!as_turn) turn["tool_responses"] = Json::array({response});
  Json turns = Json::array();
  turns.push_back({{"role", "user"}, {"content", probe.content_of(kFiller)}});
  turns.push_back(std::move(turn));
  if (as_turn) {
    turns.push_back({{"role", "tool"},
                     {"content", probe.content_of(kSecond)},
                     {"tool_call_id", "probecall"},
                     {"name", kFirst}});
  }
  return turns;
}

}  // namespace

TemplateCapabilities probe_template(const ChatTemplate& source, const std::string& bos_token,
                                    const std::string& eos_token) {
  TemplateCapabilities found;
  Probe probe(source, bos_token, eos_token);
  if (!probe.shows({kFirst}, {{"user", kFirst}})) {
    probe.use_parts();
    // It shows nothing at all, then, and nothing can be told.
    if (!probe.shows({kFirst}, {{"user", kFirst}})) return found;
    found.text_content = false;
  }
  found.system_role = probe.shows({kFirst, kSecond}, {{"system", kFirst}, {"user", kSecond}});
  found.lone_system = found.system_role && probe.shows({kFirst}, {{"system", kFirst}});
  const Probe::Turn filler = {"user", kFiller}, answer = {"assistant", kFiller};
  found.late_system = probe.shows({kFirst}, {filler, answer, {"system", kFirst}, filler});
  const Probe::Turn first = {"system", kFirst}, second = {"system", kSecond};
  found.more_systems =
      found.system_role && probe.shows({kFirst, kSecond, kThird},
                                       {first, second, filler, answer, {"system", kThird}, filler});
  found.repeated_user = probe.shows({kFirst, kSecond}, {{"user", kFirst}, {"user", kSecond}});
  found.repeated_assistant = probe.shows(
      {kFirst, kSecond}, {filler, {"assistant", kFirst}, {"assistant", kSecond}, filler});
  found.leading_assistant = probe.shows({kFirst}, {{"assistant", kFirst}, filler});
  const Json tools = Json::array({declaration(kFirst)});
  found.tools = probe.shows({kFirst}, {filler}, tools);
  if (found.tools) {
    found.tool_role = probe.shows({kSecond}, called(probe, true), tools);
    found.tool_responses = !found.tool_role && probe.shows({kSecond}, called(probe, false), tools);
  }
  return found;
}

}  // namespace tessera
