#include "cli/train_draft.h"

#include <algorithm>
#include <utility>

#include "files/model_reference.h"
#include "files/open.h"
#include "train/draft_output.h"

namespace tessera::cli {
namespace {

// Of what SmolLM2 writes these are 99.8 % (docs/training.md).
constexpr int kFrequentTokens = 16384;

std::vector<Token> known_tokens(const DraftTrainingFlags& flags, const Session& session,
                                const train::Data& data) {
  const bool has_bias = session.checkpoint->find({TensorRole::kOutputBias}) != nullptr;
  const int count = flags.vocabulary.value_or(has_bias ? 0 : kFrequentTokens);
  std::vector<Token> ends;
  for (size_t i = 0; i < session.tokenizer->vocabulary_size(); ++i) {
    const auto token = static_cast<Token>(i);
    if (session.tokenizer->is_end_of_generation(token)) ends.push_back(token);
  }
  return train::frequent_tokens(data.learned, session.model->config().vocabulary, count, ends);
}

}  // namespace

double DraftTraining::known_share() const {
  double known = 0, all = 0;
  for (const auto* examples : {&data.learned, &data.held_out}) {
    for (const train::Example& example : *examples) {
      for (const Token target : example.targets) {
        if (target == train::kNothing) continue;
        ++all;
        known += tokens.empty() || std::ranges::binary_search(tokens, target) ? 1 : 0;
      }
    }
  }
  return known / all;
}

train::OutputRows DraftTraining::output_rows(TensorPlace place) const {
  return {.place = place,
          .tokens = tokens,
          .values =
              train::output_rows(*session.checkpoint, tokens, session.model->config().logit_scale)};
}

std::string DraftTraining::describe_tokens() const {
  return tokens.empty() ? "all tokens" : fmt::format("{} tokens", tokens.size());
}

DraftTraining begin_draft_training(DraftTrainingFlags& flags) {
  TrainingFlags& training = flags.training;
  prepare_training(training, Output::kFile);
  check_not_source(training, *open_checkpoint(resolve_model(training.model)));
  LoadOptions load;
  load.threads = training.threads;
  add_self_data(training, flags.self_texts);
  DraftTraining begun{.session = Session::load(training.model, load), .data = {}, .tokens = {}};
  const Session& session = begun.session;
  training.length = std::min(training.length, session.model->config().context);
  begun.data = read_training_data(training, *session.tokenizer, *session.chat_formats);
  begun.tokens = known_tokens(flags, session, begun.data);
  return begun;
}

void end_draft_training(const DraftTrainingFlags& flags, const DraftTraining& training,
                        const train::LossCurve& curve, const std::string& title,
                        nlohmann::ordered_json more, const std::string& text) {
  const int vocabulary = training.session.model->config().vocabulary;
  const int known = training.tokens.empty() ? vocabulary : static_cast<int>(training.tokens.size());
  more["vocabulary"] = {{"tokens", known}, {"share", training.known_share()}};
  std::string line;
  if (!training.tokens.empty()) {
    line = fmt::format("{} of {} tokens are known: {:.2f} % of the data\n", known, vocabulary,
                       100 * training.known_share());
  }
  end_training(flags.training, curve, title, more, line + text);
}

void add_draft_training_flags(CLI::App& command, DraftTrainingFlags& flags,
                              const std::string& fields) {
  add_model_flag(command, flags.training);
  command.add_option("-o,--out", flags.training.out, "the GGUF file of the draft")->required();
  CLI::Option* data = add_data_flag(command, flags.training,
                                    "; without it the model writes itself what is learned");
  command
      .add_option("--self-texts", flags.self_texts,
                  "chats that the model writes without --data (texts, if it is no chat model)")
      ->check(CLI::Range(1, 1 << 20))
      ->excludes(data)
      ->capture_default_str();
  command
      .add_option("--vocabulary", flags.vocabulary,
                  "tokens that it knows, those that the data has most often: others are never "
                  "drafted, and do not count; 0: all " +
                      fmt::format("[{}]", kFrequentTokens))
      ->check(CLI::Range(0, 1 << 24));
  add_training_flags(command, flags.training,
                     "  vocabulary: {tokens, share}, known tokens and how much of the data they "
                     "are\n" +
                         fields);
}

}  // namespace tessera::cli
