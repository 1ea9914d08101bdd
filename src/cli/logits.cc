// tessera logits: what a model thinks comes next, as numbers.
#include <algorithm>
#include <memory>
#include <numeric>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/commands.h"
#include "engine/session.h"
#include "evaluate/score.h"
#include "model/flat_context.h"

namespace tessera::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string prompt, out;
  std::vector<Token> tokens;
  int top = 10;
  bool all = false, json = false;
};

nlohmann::ordered_json top_tokens(const Tokenizer& tokenizer, std::span<const float> logits,
                                  int count) {
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  count = std::min<int>(count, static_cast<int>(order.size()));
  std::ranges::partial_sort(order, order.begin() + count, [&](Token a, Token b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  auto top = nlohmann::ordered_json::array();
  for (int i = 0; i < count; ++i) {
    const bool known = static_cast<size_t>(order[i]) < tokenizer.vocabulary_size();
    top.push_back({{"token", order[i]},
                   {"piece", known ? tokenizer.piece(order[i], true) : ""},
                   {"logit", logits[order[i]]},
                   {"logprob", log_probability(logits, order[i])}});
  }
  return top;
}

void logits(Flags& flags) {
  const Session session = Session::load(flags.model.model, flags.model.load);
  Model& model = *session.model;
  const std::vector<Token> tokens =
      flags.tokens.empty() ? session.tokenizer->encode(flags.prompt) : flags.tokens;
  if (tokens.empty()) fail("the prompt is empty: it has no tokens");
  const int count = static_cast<int>(tokens.size());
  if (count > model.config().context)
    fail("the prompt has {} tokens, the context holds {}", count, model.config().context);
  for (const Token token : tokens) {
    if (token < 0 || token >= model.config().vocabulary) {
      fail("token {} is outside the vocabulary of {}", token, model.config().vocabulary);
    }
  }

  std::optional<AtomicFile> out;
  if (!flags.out.empty()) out.emplace(flags.out);
  const FlatContext context(model, count, session.kv_format);
  const int step = flags.all ? model.limits().wanted_rows : model.limits().rows;
  auto positions = nlohmann::ordered_json::array();
  for (int first = 0; first < count; first += step) {
    const int n = std::min(step, count - first);
    Batch batch;
    batch.add_chain(std::span(tokens).subspan(first, n), first, context.block_table);
    for (int r = 0; r < n; ++r) {
      if (flags.all || first + r == count - 1) batch.wanted.push_back(r);
    }
    const Tensor rows = model.forward(batch, *context.kv);
    for (int r = 0; r < static_cast<int>(batch.wanted.size()); ++r) {
      const std::span<const float> row(rows.row(r), rows.columns);
      if (out) out->write(std::as_bytes(row));
      positions.push_back({{"position", first + batch.wanted[r]},
                           {"token", tokens[first + batch.wanted[r]]},
                           {"top", top_tokens(*session.tokenizer, row, flags.top)}});
    }
  }
  if (out) out->commit();
  if (flags.json) {
    print(nlohmann::ordered_json{{"tokens", tokens}, {"positions", positions}}.dump(
              2, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n");
    return;
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
  auto flags = std::make_shared<Flags>();
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
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, prompt, tokens] {
    if (prompt->count() + tokens->count() == 0) throw CLI::RequiredError("-p or --tokens");
    logits(*flags);
  });
}

}  // namespace tessera::cli
