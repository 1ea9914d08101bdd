// tessera train: what inference needs and a model does not bring, and models themselves.
#include "cli/training.h"

namespace tessera::cli {

void add_train(CLI::App& app) {
  CLI::App* train = app.add_subcommand("train", "train what a model needs to run well");
  train->require_subcommand(1);
  add_train_lora(*train);
  add_train_medusa(*train);
  add_train_finetune(*train);
  add_train_qat(*train);
  add_train_distill(*train);
  add_train_eagle(*train);
  add_train_chats(*train);
}

}  // namespace tessera::cli
