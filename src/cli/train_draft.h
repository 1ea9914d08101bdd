// What the commands share that learn to draft for a frozen model: `train medusa`, `train eagle`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/training.h"
#include "engine/session.h"
#include "train/draft_file.h"

namespace tessera::cli {

struct DraftTrainingFlags {
  TrainingFlags training;
  int self_texts = 64;
  std::optional<int> vocabulary;  // tokens that the draft knows; 0: all
};
// `fields`: of --json, beside those of all trainings and of these.
void add_draft_training_flags(CLI::App& command, DraftTrainingFlags& flags,
                              const std::string& fields);

struct DraftTraining {
  Session session;
  train::Data data;
  std::vector<Token> tokens;  // that the draft knows; none: all

  // Of its data's targets, how many the draft knows.
  double known_share() const;
  // What is written of the output matrix, to a place that the file's kind decides.
  train::OutputRows output_rows(TensorPlace place) const;
  // "all tokens", "16384 tokens"
  std::string describe_tokens() const;
};
// Loads the model, and reads what is learned; without --data the model writes it.
DraftTraining begin_draft_training(DraftTrainingFlags& flags);

// As end_training(), with what of its tokens the draft knows.
void end_draft_training(const DraftTrainingFlags& flags, const DraftTraining& training,
                        const train::LossCurve& curve, const std::string& title,
                        nlohmann::ordered_json more, const std::string& text);

}  // namespace tessera::cli
