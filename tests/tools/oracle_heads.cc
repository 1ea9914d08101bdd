// Medusa heads that know what a model answers to some prompts: the ceiling of what any heads can
// gain, at what heads cost.
//
//   oracle_heads MODEL PROMPTS.jsonl PROMPTS TOKENS HEADS OUT.safetensors
//
// The greedy answers of so many prompts, of so many tokens at most, together no more than the
// model's embedding is long. `tessera bench MODEL --medusa OUT.safetensors --decoders medusa --temp
// 0` asks the same prompts.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "engine/session.h"
#include "support/medusa_heads.h"
#include "support/run_to_end.h"

namespace tessera {
namespace {

void run(char** arguments) {
  const Session session = Session::load(arguments[1]);
  const int prompts = std::stoi(arguments[3]), tokens = std::stoi(arguments[4]);
  std::vector<test::KnownText> texts;
  std::ifstream lines(arguments[2]);
  for (std::string line; std::ssize(texts) < prompts && std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line);
    const auto text = object.contains("turns") ? object["turns"][0].get<std::string>()
                                               : object["prompt"].get<std::string>();
    Request request;
    request.prompt = session.tokenizer->encode(
        render_chat(session.chat_formats->standard(), {{"user", text, {}}}),
        {.add_special = false, .parse_special = true});
    request.max_tokens = tokens;
    request.sampling.temperature = 0;
    const int first = static_cast<int>(request.prompt.size()) - 1;
    const auto engine = session.make_engine();
    const auto answer = engine->add(std::move(request));
    run_to_end(*engine);
    texts.push_back({answer->tokens, first});
    fmt::print("{} tokens\n", answer->generated());
  }
  const std::string heads =
      test::oracle_medusa_heads(std::stoi(arguments[5]), *session.model, texts);
  std::ofstream(arguments[6], std::ios::binary) << heads;
}

}  // namespace
}  // namespace tessera

int main(int count, char** arguments) {
  try {
    if (count != 7)
      tessera::fail("usage: oracle_heads MODEL PROMPTS.jsonl PROMPTS TOKENS HEADS OUT.safetensors");
    tessera::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
