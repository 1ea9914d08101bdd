// tessera train medusa: heads that draft.
#include <algorithm>
#include <memory>

#include "cli/calibration_text.h"
#include "cli/progress.h"
#include "cli/training.h"
#include "engine/session.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "model/medusa_heads.h"
#include "train/medusa.h"

namespace tessera::cli {
namespace {

struct MedusaFlags {
  TrainingFlags training;
  int heads = 4, self_texts = 64;
};

// What the model writes itself, where there is nothing else to learn from.
std::string self_text(const MedusaFlags& flags, LoadOptions load) {
  load.context = flags.training.length;  // there is no need of memory for more
  ProgressBar bar("writing text to learn from", 1);
  return write_calibration_text(flags.training.model, load, flags.self_texts, flags.training.length,
                                shown_on(bar));
}

void train_medusa(MedusaFlags& flags) {
  TrainingFlags& training = flags.training;
  prepare_training(training, Output::kFile);
  check_not_source(training, *open_checkpoint(resolve_model(training.model)));
  LoadOptions load;
  load.threads = training.threads;
  const std::string text = training.data.empty() ? self_text(flags, load) : "";
  const Session session = Session::load(training.model, load);
  training.length = std::min(training.length, session.model->config().context);
  const train::Data data =
      read_training_data(training, *session.tokenizer, *session.chat_formats, text);
  const Config& config = session.model->config();
  train::Learned learned = train::make_medusa_heads(flags.heads, config.embedding);
  train::MedusaObjective objective(*session.checkpoint, *session.model, *session.pool, learned);
  const std::string what =
      fmt::format("{} Medusa heads, {}", flags.heads, identity_of(*session.checkpoint));
  const std::string title = "Medusa heads for " + training.model;
  const train::LossCurve curve =
      run_training(training, objective, *session.pool, learned, data, what, title);
  train::save_medusa_heads(learned, training.out);
  const auto accuracies = objective.accuracies(data.held_out);
  nlohmann::ordered_json heads = nlohmann::ordered_json::array();
  std::string lines;
  for (size_t i = 0; i < accuracies.size(); ++i) {
    if (!accuracies[i]) {
      heads.push_back(nullptr);
      continue;
    }
    const auto [first, five] = *accuracies[i];
    heads.push_back({{"top1", first}, {"top5", five}});
    lines += fmt::format("head {}: first {:.1f} %, among five {:.1f} %\n", i + 1, 100 * first,
                         100 * five);
  }
  end_training(training, curve, title, {{"heads", heads}}, lines);
}

}  // namespace

void add_train_medusa(CLI::App& train) {
  auto flags = std::make_shared<MedusaFlags>();
  flags->training.options.schedule.rate = 1e-3;
  CLI::App* command = train.add_subcommand(
      "medusa", "learn Medusa heads, which draft for --medusa, on a model as it is stored");
  command
      ->add_option("MODEL", flags->training.model,
                   "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command->add_option("-o,--out", flags->training.out, "the GGUF file of the heads")->required();
  CLI::Option* data = add_data_flag(*command, flags->training,
                                    "; without it the model writes itself what it learns");
  command->add_option("--heads", flags->heads, "heads, each for a token further ahead")
      ->check(CLI::Range(1, MedusaHeads::kMost))
      ->capture_default_str();
  command
      ->add_option("--self-texts", flags->self_texts, "texts that the model writes without --data")
      ->check(CLI::Range(1, 1 << 20))
      ->excludes(data)
      ->capture_default_str();
  add_training_flags(*command, flags->training,
                     "  heads: [{top1, top5}], on what is held out; null: nothing judges it\n");
  command->callback([flags] { train_medusa(*flags); });
}

}  // namespace tessera::cli
