// What the commands of `tessera train` share in which a model learns from another one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "engine/session.h"
#include "train/distillation.h"

namespace tessera::cli {

// --alpha, --temperature, --cosine, --top-k.
std::vector<CLI::Option*> add_distillation_flags(CLI::App& command,
                                                 train::DistillationOptions& options);
// Error for a loss in which the teacher has no part.
void require_teaching(const train::DistillationOptions& options);
std::string describe_teaching(const train::DistillationOptions& options);

// A model as it serves, to learn from.
struct LoadedTeacher {
  LoadedTeacher(const std::string& model, int threads);

  std::unique_ptr<train::Loss> make_loss(const Config& student,
                                         const train::DistillationOptions& options);

  const Session session;
  train::ModelTeacher teacher;
};

}  // namespace tessera::cli
