// tessera logits: what a model thinks comes next, as numbers.
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/commands.h"
#include "decode/logprobs.h"
#include "engine/session.h"
#include "model/reader.h"

namespace tessera::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string prompt, out;
  std::vector<Token> tokens;
  int top = 10;
  bool all = false;
  JsonFlags json;
};

nlohmann::ordered_json top_tokens(const Tokenizer& tokenizer, std::span<const float> logits,
                                  int count) {
  auto top = nlohmann::ordered_json::array();
  for (const auto& [token, logprob] : find_logprobs(logits, 0, count).top) {
    const bool known = static_cast<size_t>(token) < tokenizer.vocabulary_size();
    top.push_back({{"token", token},
                   {"piece", known ? tokenizer.piece(token, true) : ""},
                   {"logit", logits[token]},
                   {"logprob", logprob}});
  }
  return top;
}

void logits(LogitsFlags& flags) {
  const Session session = Session::load(flags.model.model, flags.model.load);
  Model& model = *session.model;
  const std::vector<Token> tokens =
      flags.tokens.empty() ? session.tokenizer->encode(flags.prompt) : flags.tokens;
  if (tokens.empty()) fail("the prompt is empty: it has no tokens");
  for (const Token token : tokens) {
    if (token < 0 || token >= model.config().vocabulary) {
      fail("token {} is outside the vocabulary of {}", token, model.config().vocabulary);
    }
  }
  Reader reader(model, static_cast<int>(tokens.size()), session.kv_format);
  std::optional<AtomicFile> out;
  if (!flags.out.empty()) out.emplace(flags.out);
  auto positions = nlohmann::ordered_json::array();
  const auto add_positions = [&](HostRows rows, int first) {
    for (int r = 0; r < rows.rows; ++r) {
      const std::span<const float> row = rows.row(r);
      if (out) out->write(std::as_bytes(row));
      positions.push_back({{"position", first + r},
                           {"token", tokens[first + r]},
                           {"top", top_tokens(*session.tokenizer, row, flags.top)}});
    }
  };
  const size_t before = flags.all ? 0 : tokens.size() - 1;
  reader.read(std::span(tokens).first(before));
  reader.read(std::span(tokens).subspan(before), Reader::Logits::kAll, add_positions);
  if (out) out->commit();
  if (flags.json.wanted) {
    return print_json({{"tokens", tokens}, {"positions", positions}}, flags.json);
  }
  for (const auto& position : positions) {
    print(fmt::format("after position {}:\n", position["position"].get<int>()));
    for (const auto& top : position["top"]) {
      print(
          fmt::format("{:>8}  {:>9.4f}  {:>8.2f} %  {}\n", top["token"].get<int>(),
                      top["logit"].get<double>(), 100 * std::exp(top["logprob"].get<double>()),
                      top["piece"].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
  }
}

}  // namespace

void add_logits(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command = app.add_subcommand("logits", "show the most likely next tokens");
  add_model_flags(*command, flags->model);
  auto* prompt = command->add_option("-p,--prompt", flags->prompt, "the prompt");
  auto* tokens = command->add_option("--tokens", flags->tokens, "the prompt as token ids: 1,2,3")
                     ->delimiter(',');
  prompt->excludes(tokens);
  command->add_option("--top", flags->top, "how many to show")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_flag("--all", flags->all, "after every position, not only the last");
  command->add_option("--out", flags->out, "write all logits as raw f32, [positions, vocabulary]");
  add_json_flags(
      *command, flags->json, "print one JSON object, every number in full,",
      "  tokens\n"
      "  positions: [{position, token, top: [{token, piece, logit, logprob}, ...]}, ...]\n");
  command->callback([flags, prompt, tokens] {
    if (prompt->count() + tokens->count() == 0) throw CLI::RequiredError("-p or --tokens");
    logits(*flags);
  });
}

}  // namespace tessera::cli
