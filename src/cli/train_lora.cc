// tessera train lora: a low-rank adapter.
#include <memory>

#include "cli/training.h"
#include "files/save_adapter.h"
#include "train/lora.h"
#include "train/network.h"

namespace tessera::cli {
namespace {

struct LoraFlags {
  TrainingFlags training;
  train::LoraOptions lora;
  double alpha = 0;
};

void train_lora(LoraFlags& flags) {
  TrainingFlags& training = flags.training;
  prepare_training(training, is_adapter_file(training.out) ? Output::kFile : Output::kFolder);
  flags.lora.seed = training.options.seed;
  flags.lora.alpha = flags.alpha > 0 ? flags.alpha : 2 * flags.lora.rank;

  const TrainedModel trained = open_trained_model(training);
  const auto& model = trained.checkpoint;
  train::Learned learned = train::make_lora(*model, flags.lora);
  check_adapter(train::stored_adapter(learned), *model, training.out);
  const train::Data data = read_training_data(training, trained);
  ThreadPool pool(training.threads);
  train::Network network(model, pool, training.rows, learned);
  const std::string what = fmt::format("lora of rank {}, alpha {}, {}", flags.lora.rank,
                                       flags.lora.alpha, identity_of(*model));
  const std::string title = "LoRA on " + training.model;
  const train::LossCurve curve = run_training(training, network, pool, learned, data, what, title);
  save_adapter(train::stored_adapter(learned), *model, training.out);
  end_training(training, curve, title);
}

}  // namespace

void add_train_lora(CLI::App& train) {
  auto flags = std::make_shared<LoraFlags>();
  CLI::App* command = train.add_subcommand(
      "lora", "learn a low-rank adapter on a model as it is stored, quantized or not");
  add_model_flag(*command, flags->training);
  command
      ->add_option("-o,--out", flags->training.out,
                   "the adapter: a folder as PEFT writes it, or with the ending .gguf a file")
      ->required();
  add_data_flag(*command, flags->training, "")->required();
  command->add_option("--rank", flags->lora.rank, "of the adapter's matrices")
      ->check(CLI::Range(1, 1 << 14))
      ->capture_default_str();
  command
      ->add_option("--alpha", flags->alpha,
                   "what the adapter adds is scaled by alpha / rank; 0: twice the rank")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  add_training_flags(*command, flags->training, "");
  command->callback([flags] { train_lora(*flags); });
}

}  // namespace tessera::cli
