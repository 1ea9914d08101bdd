// What the commands of `tessera train` share: data, steps, a state to go on from, how it is told.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "model/config.h"
#include "text/chat.h"
#include "text/tokenizer.h"
#include "train/training.h"

namespace tessera::cli {

struct TrainingFlags {
  std::string model, out, svg, schedule = "cosine", optimizer = "adamw";
  std::vector<std::string> data, held_out_data;
  double held_out = 0.05, warmup = 0.05;
  int length = 512, rows = 1024, threads = 0;
  bool resume = false, force = false;
  train::TrainingOptions options;
  JsonFlags json;

  std::filesystem::path state() const { return out + ".training"; }
};
// All but --data, which some commands can do without.
void add_training_flags(CLI::App& command, TrainingFlags& flags, const std::string& fields);
void add_model_flag(CLI::App& command, TrainingFlags& flags);
CLI::Option* add_data_flag(CLI::App& command, TrainingFlags& flags, const std::string& help);

enum class Output { kFile, kFolder };
// Completes the options; Error for what cannot be written, before the long work.
void prepare_training(TrainingFlags& flags, Output kind);
// Error if what is written is what is read.
void check_not_source(const TrainingFlags& flags, const Checkpoint& model);
// What another model would differ in: its size, and what its tensors begin with.
std::string identity_of(const Checkpoint& model);
// Of --data, --held-out and --held-out-data.
train::Data read_training_data(const TrainingFlags& flags, const Tokenizer& tokenizer,
                               const ChatFormats& formats);

// Without --data MODEL writes it: so many conversations, or texts if it has no chat template, of
// --length tokens at most. They stay beside the output, as OUT.data.jsonl or OUT.data.txt, and
// --resume finds them there. Error if others are there.
void add_self_data(TrainingFlags& flags, int count);

// MODEL, whose own layers are trained.
struct TrainedModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  Config config;
};
// Opens it once the flags are prepared: examples are no longer than its context. Error if it is
// what is written, or cannot be trained.
TrainedModel open_trained_model(TrainingFlags& flags);
// Read by the model's own tokenizer. Error for one that has more tokens than the model.
train::Data read_training_data(const TrainingFlags& flags, const TrainedModel& model);

// Steps until the end, with a line on a terminal. Error if Ctrl-C came before the end, behind a
// picture of what there is. `what`: all that would make another training of it beside these flags
// and the data; `title`: of the picture.
train::LossCurve run_training(const TrainingFlags& flags, train::Objective& objective,
                              ThreadPool& pool, train::Learned& learned, const train::Data& data,
                              const std::string& what, const std::string& title);
// Once the output is written: --svg is drawn, the state goes, the result is told. `more`: of the
// JSON; `text`: behind the losses.
void end_training(const TrainingFlags& flags, const train::LossCurve& curve,
                  const std::string& title,
                  const nlohmann::ordered_json& more = nlohmann::ordered_json::object(),
                  const std::string& text = {});

// The commands.
void add_train_lora(CLI::App& train);
void add_train_medusa(CLI::App& train);
void add_train_finetune(CLI::App& train);
void add_train_qat(CLI::App& train);
void add_train_distill(CLI::App& train);
void add_train_eagle(CLI::App& train);
void add_train_chats(CLI::App& train);

}  // namespace tessera::cli
