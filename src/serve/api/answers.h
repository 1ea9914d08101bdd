// From what the engine gives to OpenAI's objects: whole ones, and the chunks of a stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/http/json.h"
#include "serve/loop/job.h"
#include "text/tokenizer.h"
#include "text/tool_calls.h"

namespace tessera::serve {

// Collects the updates of one job. A stream sends what begin(), add() and end() return, each an
// object; otherwise whole() is the response once the job is done.
class Answers {
 public:
  virtual ~Answers() = default;
  virtual std::vector<Json> begin() = 0;
  virtual std::vector<Json> add(Update update) = 0;
  virtual std::vector<Json> end() = 0;  // the usage, if asked for
  virtual Json whole() = 0;
  // The first error among the outcomes; empty if none.
  const std::string& error() const { return error_; }

 protected:
  std::string error_;
};

// A prompt that stands before its answer.
struct Echo {
  std::string text;
  Token first_token = 0;  // which nothing tells the likelihood of
};

struct AnswersOptions {
  std::string model;
  int choices = 1;
  int choices_per_prompt = 1;  // which share one prompt's tokens in the usage
  bool logprobs = false;
  bool include_usage = false;
  // Chats:
  bool tools = false;
  ToolStyle tool_style = ToolStyle::kHermes;
  std::vector<std::string> tool_names = {};
  bool tells_thoughts = true;  // apart from the answer, of models that mark them
  bool parallel_tool_calls = true;
  // Completions:
  std::vector<Echo> echoes = {};  // for each choice; may be empty
};

std::unique_ptr<Answers> make_chat_answers(const Tokenizer& tokenizer, AnswersOptions options);
std::unique_ptr<Answers> make_completion_answers(const Tokenizer& tokenizer,
                                                 AnswersOptions options);

}  // namespace tessera::serve
