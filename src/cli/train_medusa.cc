// tessera train medusa: heads that draft.
#include <memory>

#include "cli/train_draft.h"
#include "model/medusa_heads.h"
#include "train/medusa.h"

namespace tessera::cli {
namespace {

constexpr int kNodes = 24;  // of the tree that the decoder `medusa` grows

struct MedusaFlags {
  DraftTrainingFlags draft;
  int heads = 4;
};

void train_medusa(MedusaFlags& flags) {
  const TrainingFlags& training = flags.draft.training;
  const DraftTraining begun = begin_draft_training(flags.draft);
  const Session& session = begun.session;
  train::Learned learned = train::make_medusa_heads(flags.heads, session.model->config().embedding);
  train::MedusaObjective objective(*session.checkpoint, *session.model, *session.pool, learned,
                                   begun.tokens);
  const std::string what = fmt::format("{} Medusa heads of {}, {}", flags.heads,
                                       begun.describe_tokens(), identity_of(*session.checkpoint));
  const std::string title = "Medusa heads for " + training.model;
  const train::LossCurve curve =
      run_training(training, objective, *session.pool, learned, begun.data, what, title);
  const auto shares = objective.hit_shares(begun.data.held_out);
  train::save_medusa_heads(learned, begun.output_rows({TensorRole::kOutput}), shares, training.out);
  nlohmann::ordered_json heads = nlohmann::ordered_json::array();
  std::string lines;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (!shares[i]) {
      heads.push_back(nullptr);
      continue;
    }
    const double first = train::share_among(*shares[i], 1),
                 five = train::share_among(*shares[i], 5);
    heads.push_back({{"top1", first}, {"top5", five}});
    lines += fmt::format("head {}: first {:.1f} %, among five {:.1f} %\n", i + 1, 100 * first,
                         100 * five);
  }
  nlohmann::ordered_json tokens;  // null: nothing judges it
  if (!lines.empty()) {
    tokens = train::expected_tokens(shares, kNodes);
    lines +=
        fmt::format("a tree of {} nodes: {:.2f} tokens a step\n", kNodes, tokens.get<double>());
  }
  end_draft_training(flags.draft, begun, curve, title,
                     {{"heads", heads}, {"tokens_per_step", tokens}}, lines);
}

}  // namespace

void add_train_medusa(CLI::App& train) {
  auto flags = std::make_shared<MedusaFlags>();
  flags->draft.training.options.schedule.rate = 1e-3;
  CLI::App* command = train.add_subcommand(
      "medusa", "learn Medusa heads, which draft for --medusa, on a model as it is stored");
  command->add_option("--heads", flags->heads, "heads, each for a token further ahead")
      ->check(CLI::Range(1, MedusaHeads::kMost))
      ->capture_default_str();
  add_draft_training_flags(*command, flags->draft,
                           fmt::format("  heads: [{{top1, top5}}], on what is held out; null: "
                                       "nothing judges it\n"
                                       "  tokens_per_step: of a tree of {} nodes, by these; or "
                                       "null\n",
                                       kNodes));
  command->callback([flags] { train_medusa(*flags); });
}

}  // namespace tessera::cli
