// tessera train finetune, tessera train qat: all weights of a model, as they are or as a format
// rounds them.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/teaching.h"
#include "cli/training.h"
#include "compress/recipes.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "text/vocabulary_difference.h"
#include "train/gradual_pruning.h"
#include "train/network.h"
#include "train/whole.h"

namespace tessera::cli {
namespace {

struct WholeFlags {
  TrainingFlags training;
  bool rounds = false;  // in passes: of qat
  std::string format = "F16";
  bool pure = false, keep_zeros = false;
  std::string prune, prune_scope = "row";
  int prune_from = 0, prune_to = -1;
  std::string teacher;  // "": of qat the model itself
  train::DistillationOptions distillation;

  bool is_taught() const {
    return rounds ? distillation.alpha + distillation.cosine > 0 : !teacher.empty();
  }
  bool has_zeros() const { return keep_zeros || !prune.empty(); }
};

// Completes the flags. Error for what cannot be, before anything is opened.
std::optional<Sparsity> pruned_to(WholeFlags& flags) {
  if (flags.prune.empty()) return {};
  Sparsity sparsity = parse_sparsity(flags.prune);
  sparsity.scope = parse_sparsity_scope(flags.prune_scope);
  if (sparsity.group > 0 && sparsity.scope != SparsityScope::kRow)
    fail("zeros of neighbours ({}) have no scope but their row", flags.prune);
  const int steps = flags.training.options.schedule.steps;
  if (flags.prune_to < 0) flags.prune_to = std::max(flags.prune_from, steps / 2);
  if (flags.prune_from > flags.prune_to || flags.prune_to >= steps) {
    fail("weights cannot be pruned from step {} to {}: there are {} steps", flags.prune_from,
         flags.prune_to, steps);
  }
  return sparsity;
}

std::string describe(const WholeFlags& flags, const Recipe& recipe) {
  std::string text = fmt::format("all weights, {} {}{}", flags.rounds ? "rounded to" : "written as",
                                 recipe.name, flags.pure ? " alone" : "");
  if (flags.keep_zeros) text += ", zeros kept";
  if (!flags.prune.empty()) {
    text += fmt::format(", pruned to {} of each {} from {} to {}", flags.prune, flags.prune_scope,
                        flags.prune_from, flags.prune_to);
  }
  return text;
}

// Matrices whose columns are no whole number of blocks get another format: that is to be known
// before hours of training. The output's are told by nobody's choice.
void warn_of_fallbacks(const Checkpoint& model, std::span<const PlannedFormat> plan) {
  // Columns; name and blocks of what is wanted; name of what is planned.
  std::map<std::tuple<uint64_t, std::string_view, uint32_t, std::string_view>, int> fallbacks;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    if (plan[i].format == plan[i].wanted || tensor.place.layer == kNoLayer) continue;
    const auto [planned, wanted] = plan[i];
    ++fallbacks[{tensor.columns(), wanted->name, wanted->block_elements, planned->name}];
  }
  for (const auto& entry : fallbacks) {
    const auto& [columns, wanted, elements, planned] = entry.first;
    spdlog::warn("{} matrices have {} columns, no whole number of {}'s blocks of {}: {} instead",
                 entry.second, columns, wanted, elements, planned);
  }
}

// Error for a format in which zeros would not stay zeros.
void check_zeros(const Checkpoint& model, std::span<const PlannedFormat> plan,
                 train::Learned& learned) {
  const auto pruned = train::pruned_parameters(learned);
  for (size_t i = 0; i < plan.size(); ++i) {
    const auto found = learned.whole.find(model.tensors()[i].place);
    if (found != learned.whole.end() && std::ranges::count(pruned, &found->second) > 0)
      require_zero(*plan[i].format);
  }
}

// Whom the model learns from beside the text, or instead of it; nullptr: nobody.
std::unique_ptr<LoadedTeacher> load_teacher(const WholeFlags& flags, const Checkpoint& model) {
  if (!flags.is_taught()) return nullptr;
  if (flags.teacher.empty())
    return std::make_unique<LoadedTeacher>(flags.training.model, flags.training.threads);
  const auto other = open_checkpoint(resolve_model(flags.teacher));
  check_not_source(flags.training, *other);
  const std::string difference = vocabulary_difference(*Tokenizer::make(model.read_tokenizer()),
                                                       *Tokenizer::make(other->read_tokenizer()));
  if (!difference.empty()) {
    fail("the teacher '{}' has another vocabulary than its student: {}",
         printable(flags.teacher, 400), difference);
  }
  return std::make_unique<LoadedTeacher>(flags.teacher, flags.training.threads);
}

void train_whole(WholeFlags& flags) {
  TrainingFlags& training = flags.training;
  const Recipe& recipe = require_recipe(flags.format);
  const auto sparsity = pruned_to(flags);
  if (!flags.teacher.empty()) require_teaching(flags.distillation);
  prepare_training(training, recipe.folder == nullptr ? Output::kFile : Output::kFolder);
  const TrainedModel trained = open_trained_model(training);
  const Checkpoint& model = *trained.checkpoint;
  const auto plan = train::plan_whole(model, recipe, flags.pure);
  warn_of_fallbacks(model, plan);
  const auto teacher = load_teacher(flags, model);
  std::unique_ptr<train::Loss> loss;
  if (teacher != nullptr) {
    loss = teacher->make_loss(trained.config, flags.distillation);
    training.length = std::min(training.length, teacher->session.model->config().context);
  }
  const train::Data data = read_training_data(training, trained);
  train::Learned learned = train::make_whole(model);
  if (flags.has_zeros()) check_zeros(model, plan, learned);
  const auto pruned = train::pruned_parameters(learned);
  if (flags.keep_zeros && train::share_of_zeros(pruned) == 0)
    fail("'{}' has no zeros to keep in the matrices of its layers", training.model);
  if (flags.rounds) train::set_grids(model, plan, learned);
  for (train::Parameter* parameter : pruned) parameter->keeps_zeros = flags.keep_zeros;

  const auto threads =
      teacher == nullptr ? std::make_shared<ThreadPool>(training.threads) : teacher->session.pool;
  ThreadPool& pool = *threads;
  std::optional<train::GradualPruning> pruning;
  if (sparsity) {
    pruning.emplace(pruned, *sparsity, flags.prune_from, flags.prune_to, pool);
    training.options.before_step = [&](int step) { pruning->before_step(step); };
  }
  train::Network network(trained.checkpoint, pool, training.rows, learned, std::move(loss));
  std::string what = describe(flags, recipe) + ", " + identity_of(model);
  if (teacher != nullptr) {
    what += fmt::format(", {}, of {}", describe_teaching(flags.distillation),
                        identity_of(*teacher->session.checkpoint));
  }
  const std::string title =
      (flags.rounds ? std::string(recipe.name) : "All weights") + " of " + training.model;
  const train::LossCurve curve = run_training(training, network, pool, learned, data, what, title);
  train::save_whole(model, learned, recipe, plan, pool, training.out);
  if (!flags.has_zeros()) return end_training(training, curve, title);
  const double zeros = train::share_of_zeros(pruned);
  end_training(training, curve, title, {{"zeros", zeros}},
               fmt::format("zeros: {:.1f} % of the layers' weights\n", 100 * zeros));
}

void add_zero_flags(CLI::App& command, WholeFlags& flags) {
  command.add_flag("--keep-zeros", flags.keep_zeros,
                   "what is zero in the matrices of layers stays zero: of a pruned model");
  CLI::Option* prune = command.add_option(
      "--prune", flags.prune,
      "make so many of the layers' weights zero while the others learn, the smallest first: a "
      "share (50%), or 2:4 for two zeros in four columns");
  command
      .add_option("--prune-scope", flags.prune_scope,
                  "whose share it is: each row's, each layer's (a matrix is one) or global, all "
                  "matrices' together")
      ->needs(prune)
      ->capture_default_str();
  const CLI::Range step(0, 1 << 24);
  command.add_option("--prune-from", flags.prune_from, "the step at which pruning begins")
      ->check(step)
      ->needs(prune)
      ->capture_default_str();
  command
      .add_option("--prune-to", flags.prune_to,
                  "and at which all that is to go is gone; half of the steps by default")
      ->check(step)
      ->needs(prune);
}

void add_teacher_flags(CLI::App& command, WholeFlags& flags) {
  CLI::Option* teacher = command.add_option(
      "--teacher", flags.teacher,
      flags.rounds ? "a model with the same vocabulary whose distribution is learned; by default "
                     "MODEL itself, as it is before it is rounded (--alpha 0: the text alone)"
                   : "a model with the same vocabulary whose distribution is learned, instead of "
                     "the text or beside it: what MODEL was before it was pruned, say");
  for (CLI::Option* option : add_distillation_flags(command, flags.distillation)) {
    if (!flags.rounds) option->needs(teacher);
  }
}

CLI::App* add_command(CLI::App& train, const std::shared_ptr<WholeFlags>& flags,
                      const std::string& name, const std::string& help) {
  CLI::App* command = train.add_subcommand(name, help);
  add_model_flag(*command, flags->training);
  command
      ->add_option("-o,--out", flags->training.out,
                   "the GGUF file of the trained model, or the folder, if the format is one's")
      ->required();
  add_data_flag(*command, flags->training, "")->required();
  add_zero_flags(*command, *flags);
  add_teacher_flags(*command, *flags);
  add_training_flags(*command, flags->training,
                     "  zeros: the share of the layers' weights, with --keep-zeros or --prune\n");
  command->callback([flags] { train_whole(*flags); });
  return command;
}

}  // namespace

void add_train_finetune(CLI::App& train) {
  auto flags = std::make_shared<WholeFlags>();
  flags->training.options.schedule.rate = 5e-5;
  CLI::App* command =
      add_command(train, flags, "finetune",
                  "train all weights of a model, of a pruned one those that are left");
  CLI::Option* format = command->add_option(
      "--format", flags->format,
      "of the file: F16, Q8_0, Q4_K_M, ..., or a quantized folder: gptq-4bit-128g, "
      "bitnet, ...; an unknown name lists them all");
  format->capture_default_str();
  command->add_flag("--pure", flags->pure,
                    "one format wherever it fits, instead of the recipe's mixture");
}

void add_train_qat(CLI::App& train) {
  auto flags = std::make_shared<WholeFlags>();
  flags->training.options.schedule.rate = 1e-4;
  flags->rounds = true;
  CLI::App* command = add_command(
      train, flags, "qat",
      "train all weights of a model for a format that rounds them (quantization-aware training)");
  command
      ->add_option(
          "--format", flags->format,
          "what is trained for, and written: Q2_0, Q4_0, Q3_K_M, ..., or a quantized folder: "
          "bitnet, gptq-4bit-128g, ...; an unknown name lists them all")
      ->required();
  command->add_flag("--pure", flags->pure,
                    "one format wherever it fits, instead of the recipe's mixture");
}

}  // namespace tessera::cli
