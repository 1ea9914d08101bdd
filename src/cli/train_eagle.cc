// tessera train eagle: a layer that drafts.
#include <memory>

#include "cli/train_draft.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "train/eagle.h"
#include "train/network.h"

namespace tessera::cli {
namespace {

constexpr int kTimes = 4;  // that a draft is asked when it is judged

struct EagleFlags {
  DraftTrainingFlags draft;
  train::EagleOptions options;
};

void train_eagle(EagleFlags& flags) {
  const TrainingFlags& training = flags.draft.training;
  const auto model = open_checkpoint(resolve_model(training.model));
  train::require_trainable(*model, read_config(*model));  // before the model writes its data
  const DraftTraining begun = begin_draft_training(flags.draft);
  const Session& session = begun.session;
  train::Learned learned =
      train::make_eagle_draft(*session.checkpoint, *session.model, begun.data.learned.front());
  train::EagleObjective objective(*session.checkpoint, *session.model, *session.pool, learned,
                                  begun.tokens, flags.options, training.rows);
  const std::string what =
      fmt::format("an EAGLE draft of {}, classification {}, regression {}, {} passes, {}",
                  begun.describe_tokens(), flags.options.classification, flags.options.regression,
                  flags.options.passes, identity_of(*session.checkpoint));
  const std::string title = "EAGLE draft for " + training.model;
  const train::LossCurve curve =
      run_training(training, objective, *session.pool, learned, begun.data, what, title);
  train::save_eagle_draft(learned, session.model->config(), begun.output_rows({}), training.out);
  nlohmann::ordered_json times = nlohmann::ordered_json::array();
  std::string lines;
  for (const auto& accuracy : objective.accuracies(begun.data.held_out, kTimes)) {
    times.push_back(accuracy ? nlohmann::ordered_json(*accuracy) : nullptr);
    if (accuracy)
      lines += fmt::format("token {} ahead: right {:.1f} %\n", times.size() + 1, 100 * *accuracy);
  }
  end_draft_training(flags.draft, begun, curve, title, {{"top1", times}}, lines);
}

}  // namespace

void add_train_eagle(CLI::App& train) {
  auto flags = std::make_shared<EagleFlags>();
  flags->draft.training.options.schedule.rate = 5e-4;
  CLI::App* command = train.add_subcommand(
      "eagle", "learn a layer that drafts for --eagle, on a model as it is stored");
  command
      ->add_option("--passes", flags->options.passes,
                   "of a step, each on what the one before made: drafts are asked on and on")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  command
      ->add_option("--classification", flags->options.classification,
                   "the weight of the tokens' loss: their divergence from the model's distribution")
      ->check(CLI::Range(0.0, 1e3))
      ->capture_default_str();
  command
      ->add_option("--regression", flags->options.regression,
                   "the weight of the hidden states' loss: smooth L1")
      ->check(CLI::Range(0.0, 1e3))
      ->capture_default_str();
  add_draft_training_flags(*command, flags->draft,
                           "  top1: how often a guess is the token that comes, of what is held "
                           "out, asked once, twice, ...; null: nothing judges it\n");
  command->callback([flags] { train_eagle(*flags); });
}

}  // namespace tessera::cli
