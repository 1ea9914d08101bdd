// tessera eval: how much quality a model keeps.
#include <memory>

#include "backend/kv_format.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/eval_compare.h"
#include "cli/progress.h"
#include "cli/simulated.h"
#include "engine/session.h"
#include "evaluate/score.h"

namespace tessera::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  std::string reference, file;
  RoundingFlags rounding;
  ScoreOptions score;
  JsonFlags json;
};

void add_score_flags(CLI::App& command, EvalFlags& flags, const std::string& fields) {
  command.add_option("FILE", flags.file, "a text file")->required();
  command.add_option("--chunks", flags.score.chunks, "chunks to read; 0: the whole text")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  add_rounding_flags(command, flags.rounding);
  add_json_flags(command, flags.json, "print one JSON object", fields);
}

// --ctx is the chunk here, as in llama.cpp's perplexity tool.
void prepare(EvalFlags& flags) {
  if (flags.model.load.context > 0) flags.score.context = flags.model.load.context;
  flags.score.kv_format = parse_kv_format(flags.model.load.kv_format);
  ScoreOptions& score = flags.score;
  auto bar = std::make_shared<ProgressBar>("scoring chunks", 1);
  score.on_progress = [bar, show = shown_on(*bar)](size_t done, size_t total) {
    show(done, total);
  };
}

nlohmann::ordered_json to_json(const Perplexity& p) {
  return {{"perplexity", p.value},
          {"standard_error", p.standard_error},
          {"chunks", p.chunks},
          {"tokens", p.scored_tokens}};
}

void perplexity(EvalFlags& flags) {
  const std::string text = read_text(flags.file);
  const Session session = load_rounded(flags.model, flags.rounding);
  prepare(flags);
  const Perplexity p = measure_perplexity(*session.model, *session.tokenizer, text, flags.score);
  flags.score.on_progress = nullptr;
  if (flags.json.wanted) return print_json(to_json(p), flags.json);
  print(fmt::format("perplexity {:.4f} +- {:.4f} ({} chunks of {}, {} tokens scored)\n", p.value,
                    p.standard_error, p.chunks, flags.score.context, p.scored_tokens));
}

void kl(EvalFlags& flags) {
  const std::string text = read_text(flags.file);
  const Session session = load_rounded(flags.model, flags.rounding);
  LoadOptions plain = flags.model.load;  // adapters, LLM.int8() and rounding are the model's
  plain.lora.clear();
  plain.llm_int8_threshold = 0;
  const Session reference = Session::load(flags.reference, plain);
  prepare(flags);
  const Divergence d =
      measure_divergence(*session.model, *reference.model, *session.tokenizer, text, flags.score);
  flags.score.on_progress = nullptr;
  if (flags.json.wanted) {
    return print_json({{"mean_kl", d.mean_kl},
                       {"standard_error", d.standard_error},
                       {"median_kl", d.median_kl},
                       {"p999_kl", d.high_kl},
                       {"max_kl", d.max_kl},
                       {"same_top", d.same_top},
                       {"perplexity", d.model.value},
                       {"reference_perplexity", d.reference.value},
                       {"chunks", d.model.chunks},
                       {"tokens", d.model.scored_tokens}},
                      flags.json);
  }
  print(
      fmt::format("KL divergence   {:.6f} +- {:.6f} nats a token\n"
                  "                median {:.6f}, 99.9 % {:.4f}, largest {:.4f}\n"
                  "same top token  {:.2f} %\n"
                  "perplexity      {:.4f}, reference {:.4f} (ratio {:.4f})\n"
                  "{} chunks of {}, {} tokens scored\n",
                  d.mean_kl, d.standard_error, d.median_kl, d.high_kl, d.max_kl, 100 * d.same_top,
                  d.model.value, d.reference.value, d.model.value / d.reference.value,
                  d.model.chunks, flags.score.context, d.model.scored_tokens));
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* eval = app.add_subcommand("eval", "measure quality");
  eval->require_subcommand(1);

  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = eval->add_subcommand("perplexity", "how surprised the model is by a text");
  add_model_flags(*command, flags->model);
  add_score_flags(*command, *flags, "  perplexity, standard_error, chunks, tokens\n");
  command->callback([flags] { perplexity(*flags); });

  auto kl_flags = std::make_shared<EvalFlags>();
  command =
      eval->add_subcommand("kl", "how far the model's predictions are from a reference model's");
  add_model_flags(*command, kl_flags->model);
  command->add_option("REFERENCE", kl_flags->reference, "the model to compare with")->required();
  add_score_flags(*command, *kl_flags,
                  "  mean_kl, standard_error, median_kl, p999_kl, max_kl, same_top, perplexity,\n"
                  "  reference_perplexity, chunks, tokens\n");
  command->callback([kl_flags] { kl(*kl_flags); });

  add_eval_compare(*eval);
}

}  // namespace tessera::cli
