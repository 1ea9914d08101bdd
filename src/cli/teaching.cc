#include "cli/teaching.h"

#include "base/error.h"

namespace tessera::cli {
namespace {

LoadOptions with_threads(int threads) {
  LoadOptions load;
  load.threads = threads;
  return load;
}

}  // namespace

LoadedTeacher::LoadedTeacher(const std::string& model, int threads)
    : session(Session::load(model, with_threads(threads))), teacher(*session.model) {}

std::unique_ptr<train::Loss> LoadedTeacher::make_loss(const Config& student,
                                                      const train::DistillationOptions& options) {
  return std::make_unique<train::DistillationLoss>(*session.pool, teacher, student, options);
}

void require_teaching(const train::DistillationOptions& options) {
  if (options.alpha == 0 && options.cosine == 0)
    fail("--alpha 0 without --cosine: nothing of the teacher would be learned");
}

std::string describe_teaching(const train::DistillationOptions& options) {
  return fmt::format("distillation of alpha {}, temperature {}, cosine {}, top {}", options.alpha,
                     options.temperature, options.cosine, options.kept);
}

std::vector<CLI::Option*> add_distillation_flags(CLI::App& command,
                                                 train::DistillationOptions& options) {
  return {
      command
          .add_option("--alpha", options.alpha,
                      "the share of what the teacher says in the loss, beside the text itself")
          ->check(CLI::Range(0.0, 1.0))
          ->capture_default_str(),
      command
          .add_option("--temperature", options.temperature,
                      "of both models' distributions: higher tells more of what is unlikely")
          ->check(CLI::Range(0.05, 100.0))
          ->capture_default_str(),
      command
          .add_option("--cosine", options.cosine,
                      "the weight of the direction of the last hidden states, which are to be as "
                      "wide as the teacher's")
          ->check(CLI::Range(0.0, 1000.0))
          ->capture_default_str(),
      command
          .add_option("--top-k", options.kept,
                      "tokens of which the teacher is heard, the likeliest, the rest as one; 0: "
                      "all")
          ->check(CLI::Range(0, 1 << 24))
          ->capture_default_str()};
}

}  // namespace tessera::cli
