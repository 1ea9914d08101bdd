#include "cli/self_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "backend/backend.h"
#include "base/error.h"
#include "decode/random.h"
#include "engine/generate.h"

namespace tessera::cli {
namespace {

constexpr int kTogether = 32;  // texts that there is memory for at once
const SamplingOptions kAsLikely{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};

ChatPrompt prompt_of(const Session& session, std::string question) {
  std::vector<Message> messages(1);
  messages[0].role = "user";
  messages[0].content = std::move(question);
  return make_chat_prompt(session.chat_formats->standard(), messages, {});
}

// What the chat template writes before the first word of a user.
std::string before_user(const Session& session) {
  constexpr std::string_view kWords = "what a user says";
  const std::string chat = prompt_of(session, std::string(kWords)).text;
  const size_t at = chat.find(kWords);
  if (at == std::string::npos) fail("the chat template does not write what a user says");
  return chat.substr(0, at);
}

}  // namespace

SelfText::SelfText(const std::string& reference, const LoadOptions& load, int length)
    : session_(Session::load(reference, load)),
      length_(std::min(length, session_.model->config().context)) {
  session_.model->require_logits();
  engine_ = session_.make_engine({.kv_blocks = kTogether * blocks_for(length_)});
}

// Of each text, a piece as it comes is about a token.
std::vector<Generation> SelfText::write(const std::vector<std::string>& prompts,
                                        const GenerateOptions& options, uint64_t seed,
                                        const Progress& progress) {
  size_t pieces = 0;
  const size_t expected = prompts.size() * static_cast<size_t>(options.max_tokens);
  std::vector<GenerateTask> tasks;
  for (const std::string& prompt : prompts) {
    auto tokens = session_.tokenizer->encode(prompt);
    if (static_cast<int>(tokens.size()) >= length_)
      fail("{} tokens hold no text behind the {} that come first", length_, tokens.size());
    GenerateOptions own = options;
    own.max_tokens = std::min(own.max_tokens, length_ - static_cast<int>(tokens.size()));
    tasks.push_back({.request = make_request(std::move(tokens), own, nullptr, *session_.tokenizer,
                                             session_.model->config().context)});
    // Texts that begin alike go on otherwise, and another seed has none of theirs.
    const auto number = static_cast<uint32_t>(tasks.size());
    const auto words = philox({number, 0, 0, 0}, seed);
    tasks.back().request.sampling.seed = uint64_t{words[0]} << 32 | words[1];
  }
  return generate(*engine_, *session_.tokenizer, std::move(tasks), options,
                  [&](size_t, std::string_view) {
                    if (progress) progress(std::min(++pieces, expected), expected);
                    return true;
                  });
}

std::string SelfText::texts(int count, const Progress& progress) {
  GenerateOptions options;
  options.max_tokens = length_;
  options.ignore_eos = true;
  options.sampling = kAsLikely;
  // Where no token begins a text, the end of a line does.
  const std::string beginning = session_.tokenizer->encode("").empty() ? "\n" : "";
  const std::vector<std::string> prompts(static_cast<size_t>(count), beginning);
  std::string text;
  for (const Generation& written : write(prompts, options, 1, progress))
    text += written.text + '\n';
  return text;
}

std::string SelfText::chats(int count, uint64_t seed, const Progress& progress) {
  if (!has_chats()) fail("the model has no chat template, so it writes no chats");
  GenerateOptions options;
  options.max_tokens = std::max(1, length_ / 2);
  options.sampling = kAsLikely;
  const std::vector<std::string> beginnings(static_cast<size_t>(count), before_user(session_));
  std::vector<std::string> questions, prompts;
  for (const Generation& question : write(beginnings, options, seed, progress)) {
    std::string prompt = prompt_of(session_, question.text).text;
    const size_t read = session_.tokenizer->encode(prompt).size();
    if (question.text.empty() || read >= static_cast<size_t>(length_)) continue;
    questions.push_back(question.text);
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) fail("{} tokens hold no question and its answer", length_);
  options.max_tokens = length_;
  options.sampling = session_.sampling;
  const std::vector<Generation> answers = write(prompts, options, seed, progress);
  std::string lines;
  for (size_t i = 0; i < answers.size(); ++i) {
    using json = nlohmann::ordered_json;
    const json line = {{"messages",
                        {{{"role", "user"}, {"content", questions[i]}},
                         {{"role", "assistant"}, {"content", answers[i].text}}}}};
    lines += line.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
  }
  return lines;
}

}  // namespace tessera::cli
