#include "cli/eval_compare.h"

#include <filesystem>
#include <memory>
#include <optional>

#include "backend/kv_format.h"
#include "base/atomic_file.h"
#include "cli/progress.h"
#include "compress/checks.h"
#include "evaluate/compare.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct EvalCompareFlags {
  std::string reference, text, svg, kv_format = "f16";
  std::vector<std::string> models;
  CompareOptions compare;
  int threads = 0;
  JsonFlags json;
};

std::string short_name(const std::string& model) {
  return std::filesystem::path(model).filename().string();
}

nlohmann::ordered_json describe(const ComparedModel& model) {
  nlohmann::ordered_json json = {{"model", model.name},
                                 {"bytes", model.bytes},
                                 {"bits_per_weight", model.bits_per_weight},
                                 {"perplexity", model.divergence.model.value}};
  if (model.tokens_per_second > 0) json["tokens_per_second"] = model.tokens_per_second;
  return json;
}

nlohmann::ordered_json to_json(const Comparison& comparison) {
  auto models = nlohmann::ordered_json::array();
  const auto front = pareto_front(comparison.models);
  for (size_t i = 0; i < front.size(); ++i) {
    const Divergence& d = comparison.models[i].divergence;
    auto json = describe(comparison.models[i]);
    json["mean_kl"] = d.mean_kl;
    json["standard_error"] = d.standard_error;
    json["median_kl"] = d.median_kl;
    json["p999_kl"] = d.high_kl;
    json["max_kl"] = d.max_kl;
    json["same_top"] = d.same_top;
    json["pareto"] = static_cast<bool>(front[i]);
    models.push_back(json);
  }
  const Perplexity& reference = comparison.reference.divergence.model;
  return {{"reference", describe(comparison.reference)},
          {"models", models},
          {"chunks", reference.chunks},
          {"tokens", reference.scored_tokens}};
}

std::string to_table(const Comparison& comparison) {
  size_t width = 5;
  for (const auto& model : comparison.models) width = std::max(width, model.name.size());
  width = std::max(width, comparison.reference.name.size());
  std::string text =
      fmt::format("{:<{}} {:>9} {:>6} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "model", width, "MB",
                  "bits/w", "perplexity", "mean KL", "median", "99.9 %", "same top", "tokens/s");
  const auto front = pareto_front(comparison.models);
  const auto row = [&](const ComparedModel& model, bool is_reference, std::string_view mark) {
    const Divergence& d = model.divergence;
    text +=
        fmt::format("{:<{}} {:>9.2f} {:>6.2f} {:>11.4f}", model.name, width,
                    static_cast<double>(model.bytes) / 1e6, model.bits_per_weight, d.model.value);
    text += is_reference ? fmt::format(" {:>9} {:>9} {:>9} {:>9}", "", "", "", "")
                         : fmt::format(" {:>9.5f} {:>9.5f} {:>9.4f} {:>7.2f} %", d.mean_kl,
                                       d.median_kl, d.high_kl, 100 * d.same_top);
    if (model.tokens_per_second > 0) text += fmt::format(" {:>9.1f}", model.tokens_per_second);
    text += fmt::format("{}\n", mark);
  };
  row(comparison.reference, true, "");
  for (size_t i = 0; i < front.size(); ++i) row(comparison.models[i], false, front[i] ? "  *" : "");
  return text + fmt::format("\n{} tokens scored; * is on the Pareto front of size and mean KL\n",
                            comparison.reference.divergence.model.scored_tokens);
}

void compare(EvalCompareFlags& flags) {
  const std::string text = read_text(flags.text);
  std::optional<AtomicFile> svg;  // a path that cannot be written fails before the long work
  check_not_source(flags.text, flags.svg);
  if (!flags.svg.empty()) svg.emplace(flags.svg);
  std::vector<std::string> names;
  for (std::string& model : flags.models) {
    model = resolve_model(model).string();
    check_not_source(*open_checkpoint(model), flags.svg);  // so does a model that is none
    names.push_back(short_name(model));
  }
  flags.compare.score.kv_format = parse_kv_format(flags.kv_format);
  const LoadOptions load{.threads = flags.threads, .kv_format = flags.kv_format};
  const Comparison comparison = [&] {
    ProgressBar bar("scoring chunks", 1);
    flags.compare.score.on_progress = shown_on(bar);
    return compare_models(
        names, [&](size_t i) { return Session::load(flags.models[i], load); }, text, flags.compare);
  }();
  if (svg) {
    svg->write(to_svg(comparison, names.front()));
    svg->commit();
  }
  if (flags.json.wanted) return print_json(to_json(comparison), flags.json);
  print(to_table(comparison));
}

}  // namespace

void add_eval_compare(CLI::App& eval) {
  auto flags = std::make_shared<EvalCompareFlags>();
  CLI::App* command = eval.add_subcommand(
      "compare", "compressed models beside the one they were made of: size, quality, speed");
  command->add_option("REFERENCE", flags->reference, "the model that they were made of")
      ->required();
  command->add_option("MODELS", flags->models, "models of the same vocabulary, one or more")
      ->required();
  command->add_option("--text", flags->text, "a text file to score")->required()->type_name("FILE");
  command->add_option("--chunks", flags->compare.score.chunks, "chunks to read; 0: the whole text")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_option("-c,--ctx", flags->compare.score.context, "tokens of a chunk")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("-n", flags->compare.generate,
                   "tokens to decode one by one for the speed; 0: none, and no speed")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--kv", flags->kv_format, "format of the KV cache: f16 or q8_0")
      ->check(CLI::IsMember({"f16", "q8_0"}))
      ->capture_default_str();
  command->add_option("-t,--threads", flags->threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--svg", flags->svg, "write a picture: mean KL divergence against size")
      ->type_name("FILE");
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  reference: {model, bytes, bits_per_weight, perplexity, tokens_per_second}\n"
                 "  models: [{the same, mean_kl, standard_error, median_kl, p999_kl, max_kl,\n"
                 "            same_top, pareto}, ...]\n"
                 "  chunks, tokens\n");
  command->callback([flags] {
    flags->models.insert(flags->models.begin(), flags->reference);
    compare(*flags);
  });
}

}  // namespace tessera::cli
