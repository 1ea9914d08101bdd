// tessera train distill: a smaller model that says what a bigger one says.
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/teaching.h"
#include "cli/training.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "train/network.h"
#include "train/student.h"
#include "train/whole.h"

namespace tessera::cli {
namespace {

struct DistillFlags {
  TrainingFlags training;
  std::string student, format = "F16";
  bool pure = false;
  int self_texts = 64;
  train::DistillationOptions options;
};

// Error for a student that cannot be, before anything is written or loaded.
std::shared_ptr<const Checkpoint> open_student(const DistillFlags& flags) {
  const auto teacher = open_checkpoint(resolve_model(flags.training.model));
  check_not_source(flags.training, *teacher);
  const auto tokenizer = Tokenizer::make(teacher->read_tokenizer());
  auto student = train::open_student(flags.student, teacher, *tokenizer);
  check_not_source(flags.training, *student);
  return student;
}

void distill(DistillFlags& flags) {
  TrainingFlags& training = flags.training;
  require_teaching(flags.options);
  const Recipe& recipe = require_recipe(flags.format);
  prepare_training(training, recipe.folder == nullptr ? Output::kFile : Output::kFolder);
  const auto student = open_student(flags);
  const Config config = read_config(*student);
  const auto plan = train::plan_whole(*student, recipe, flags.pure);
  add_self_data(training, flags.self_texts);
  LoadedTeacher teacher(training.model, training.threads);
  const Session& session = teacher.session;
  ThreadPool& pool = *session.pool;
  auto loss = teacher.make_loss(config, flags.options);
  training.length = std::min({training.length, session.model->config().context, config.context});
  const train::Data data = read_training_data(training, *session.tokenizer, *session.chat_formats);

  train::Learned learned = train::make_whole(*student);
  // How far the student is from its teacher now, in nats a token.
  const auto divergence = [&] {
    train::Network judge(student, pool, training.rows, learned, teacher.make_loss(config, {}));
    return train::mean_loss(judge, data.held_out, training.rows);
  };
  const bool is_judged = !data.held_out.empty();
  const double before = is_judged ? divergence() : 0;
  const std::string what = fmt::format("{}, of {}, into {}", describe_teaching(flags.options),
                                       identity_of(*session.checkpoint), identity_of(*student));
  const std::string title = flags.student + " distilled from " + training.model;
  train::LossCurve curve;
  {
    train::Network network(student, pool, training.rows, learned, std::move(loss));
    curve = run_training(training, network, pool, learned, data, what, title);
  }
  train::save_whole(*student, learned, recipe, plan, pool, training.out);
  if (!is_judged) return end_training(training, curve, title, {{"divergence", nullptr}});
  const double after = divergence();
  end_training(training, curve, title, {{"divergence", {before, after}}},
               fmt::format("divergence from the teacher {:.4f} -> {:.4f}\n", before, after));
}

}  // namespace

void add_train_distill(CLI::App& train) {
  auto flags = std::make_shared<DistillFlags>();
  flags->training.options.schedule.rate = 3e-4;
  CLI::App* command = train.add_subcommand(
      "distill", "learn a smaller model, a student, that says what MODEL, its teacher, says");
  add_model_flag(*command, flags->training);
  command
      ->add_option("--student", flags->student,
                   "layers=8: so many of the teacher's, evenly spread; layers=0,2,5: these; or a "
                   "file or a name of a model with the same vocabulary")
      ->required();
  command
      ->add_option("-o,--out", flags->training.out,
                   "the GGUF file of the student, or the folder that --format is of")
      ->required();
  CLI::Option* data = add_data_flag(*command, flags->training,
                                    "; without it the teacher writes what its student learns");
  command
      ->add_option("--self-texts", flags->self_texts,
                   "chats that the teacher writes without --data (texts, if it is no chat model)")
      ->check(CLI::Range(1, 1 << 20))
      ->excludes(data)
      ->capture_default_str();
  command
      ->add_option("--format", flags->format,
                   "of the file: F16, Q8_0, Q4_K_M, ...; an unknown name lists them all")
      ->capture_default_str();
  command->add_flag("--pure", flags->pure,
                    "one format wherever it fits, instead of the recipe's mixture");
  add_distillation_flags(*command, flags->options);
  add_training_flags(*command, flags->training,
                     "  divergence: [before, behind] from the teacher, in nats a token, on what is "
                     "held out; null: nothing judges it\n");
  command->callback([flags] { distill(*flags); });
}

}  // namespace tessera::cli
