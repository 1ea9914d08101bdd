// tessera train: what inference needs and a model does not bring.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "files/save_adapter.h"
#include "text/tokenizer.h"
#include "train/lora.h"
#include "train/loss_picture.h"
#include "train/training.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct TrainFlags {
  std::string model, out, svg, schedule = "cosine";
  std::vector<std::string> data, held_out_data;
  double held_out = 0.05, warmup = 0.05, alpha = 0;
  int length = 512, rows = 1024, threads = 0;
  bool resume = false, force = false;
  train::TrainingOptions options;
  train::LoraOptions lora;
  JsonFlags json;
};

// How far a training is, on one line of a terminal; nothing in a pipe.
class TrainingLine {
 public:
  explicit TrainingLine(int steps) : steps_(steps) {}
  ~TrainingLine() {
    if (enabled_ && is_drawn_) std::fputs("\r\x1b[K", stderr);
  }
  TrainingLine(const TrainingLine&) = delete;
  TrainingLine& operator=(const TrainingLine&) = delete;

  void update(int step, double loss, int tokens, const train::LossCurve& curve) {
    if (!enabled_) return;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    ++taken_;
    tokens_ += tokens;
    std::string held_out;
    if (!curve.held_out.empty())
      held_out = fmt::format(", held out {:.3f}", curve.held_out.back().loss);
    fmt::print(stderr, "\rstep {}/{}: loss {:.3f}{} ({:.0f} tokens/s, {:.0f} s left)\x1b[K", step,
               steps_, loss, held_out, tokens_ / seconds, seconds / taken_ * (steps_ - step));
    std::fflush(stderr);
    is_drawn_ = true;
  }

 private:
  const int steps_;
  const bool enabled_ = ::isatty(STDERR_FILENO) == 1;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool is_drawn_ = false;
  int taken_ = 0;      // steps of this run
  double tokens_ = 0;  // that counted
};

void read_examples(const std::string& path, const Tokenizer& tokenizer, const ChatFormats& formats,
                   int length, std::vector<train::Example>& into) {
  const std::string text = read_text(path), shown = printable(path, 400);
  const size_t before = into.size();
  int left_out = 0;
  try {
    if (fs::path(path).extension() == ".jsonl") {
      left_out = train::read_lines(tokenizer, formats.standard(), text, length, into);
    } else {
      require_utf8("it", text);
      train::read_plain(tokenizer, text, length, into);
    }
  } catch (const Error& error) {
    fail("'{}': {}", shown, error.what());
  }
  if (into.size() == before) fail("'{}' has no example to learn from", shown);
  if (left_out > 0) {
    spdlog::warn("'{}': {} lines are left out: nothing of them counts within {} tokens", shown,
                 left_out, length);
  }
}

train::Data read_data(const TrainFlags& flags, const Checkpoint& model) {
  const auto tokenizer = Tokenizer::make(model.read_tokenizer());
  const ChatFormats formats(model.read_chat_templates(), *tokenizer);
  std::vector<train::Example> examples;
  for (const std::string& path : flags.data)
    read_examples(path, *tokenizer, formats, flags.length, examples);
  if (flags.held_out_data.empty()) return train::hold_out(std::move(examples), flags.held_out);
  train::Data data = train::hold_out(std::move(examples), 0);
  for (const std::string& path : flags.held_out_data)
    read_examples(path, *tokenizer, formats, flags.length, data.held_out);
  return data;
}

// What would make another training of it.
std::string identity_of(const TrainFlags& flags, const Checkpoint& model, const train::Data& data) {
  uint64_t tokens = 0, sum = 0;
  for (const auto* examples : {&data.learned, &data.held_out}) {
    for (const train::Example& example : *examples) {
      tokens += example.tokens.size();
      for (const Token token : example.tokens) sum = sum * 31 + static_cast<uint64_t>(token);
      for (const Token target : example.targets) sum = sum * 31 + static_cast<uint64_t>(target);
    }
  }
  const train::TrainingOptions& options = flags.options;
  return fmt::format(
      "lora of rank {}, alpha {}, seed {}, {} steps of {}, rate {}, {}, warmup {}, clip {}, decay "
      "{}, {} rows, {} tensors of '{}', {} tokens ({:x})",
      flags.lora.rank, flags.lora.alpha, options.seed, options.schedule.steps, options.batch,
      options.schedule.rate, flags.schedule, options.schedule.warmup, options.clip,
      options.adamw.decay, flags.rows, model.tensors().size(),
      model.facts().require_string("general.architecture"), tokens, sum);
}

// What cannot be written fails before the long work.
void check_output(const TrainFlags& flags, const fs::path& state) {
  std::error_code ignored;
  const std::string shown = printable(state.string(), 400);
  if (fs::exists(flags.out, ignored) && !flags.force)
    fail("'{}' exists; --force overwrites it", printable(flags.out, 400));
  if (!fs::exists(state, ignored) && flags.resume)
    fail("'{}' is missing: there is no training to go on with", shown);
  if (fs::exists(state, ignored) && !flags.resume && !flags.force)
    fail("'{}' is a training that has not ended: --resume goes on with it, --force begins anew",
         shown);
  AtomicFile{state};
}

void print_result(const train::LossCurve& curve, const JsonFlags& json) {
  if (json.wanted) {
    ordered_json held_out = ordered_json::array();
    for (const auto& point : curve.held_out)
      held_out.push_back({{"step", point.step}, {"loss", point.loss}});
    return print_json({{"losses", curve.learned}, {"held_out", held_out}}, json);
  }
  std::string text =
      fmt::format("loss {:.4f} -> {:.4f}", curve.learned.front(), curve.learned.back());
  if (curve.held_out.size() > 1) {
    text += fmt::format(", held out {:.4f} -> {:.4f}", curve.held_out.front().loss,
                        curve.held_out.back().loss);
  }
  print(text + "\n");
}

void train_lora(TrainFlags& flags) {
  while (flags.out.size() > 1 && flags.out.ends_with('/')) flags.out.pop_back();
  const fs::path state = flags.out + ".training";
  check_output(flags, state);
  train::TrainingOptions& options = flags.options;
  options.schedule.decline = train::parse_decline(flags.schedule);
  options.schedule.warmup = static_cast<int>(flags.warmup * options.schedule.steps);
  flags.lora.seed = options.seed;
  flags.lora.alpha = flags.alpha > 0 ? flags.alpha : 2 * flags.lora.rank;

  const auto model = open_checkpoint(resolve_model(flags.model));
  train::require_trainable(read_config(*model));
  train::Learned learned = train::make_lora(*model, flags.lora);
  const train::Data data = read_data(flags, *model);
  const int rows = std::max(flags.rows, flags.length);
  ThreadPool pool(flags.threads);
  train::Network network(model, pool, rows, learned);
  train::Training training(network, pool, learned, data, rows, options,
                           identity_of(flags, *model, data));
  if (flags.resume) training.load(state);
  reset_interrupted();
  {
    TrainingLine line(options.schedule.steps);
    training.run(state, [&](int step, double loss, int tokens) {
      line.update(step, loss, tokens, training.curve());
      return !interrupted();
    });
  }
  if (!flags.svg.empty()) {
    AtomicFile picture(flags.svg);
    picture.write(train::draw_losses(training.curve(), "LoRA on " + flags.model));
    picture.commit();
  }
  if (!training.is_done())
    fail("stopped after step {}: the same command with --resume goes on", training.step());
  save_adapter(train::stored_adapter(learned), *model, flags.out);
  std::error_code ignored;
  fs::remove(state, ignored);
  print_result(training.curve(), flags.json);
}

void add_data_flags(CLI::App& command, TrainFlags& flags) {
  command
      .add_option("--data", flags.data,
                  "a text, or with the ending .jsonl lines of {\"messages\": [...]}, of which the "
                  "assistant's are learned, {\"prompt\", \"completion\"} or {\"text\"}; may be "
                  "given again")
      ->required()
      ->allow_extra_args(false);
  command.add_option("--length", flags.length, "tokens of an example, at most")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--held-out", flags.held_out,
                  "the share of the examples that is not learned but judges")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command
      .add_option("--held-out-data", flags.held_out_data,
                  "other data to judge by; may be given again")
      ->allow_extra_args(false);
}

void add_step_flags(CLI::App& command, TrainFlags& flags) {
  train::TrainingOptions& options = flags.options;
  options.schedule.steps = 200;
  const CLI::Range count(0, 1 << 24), positive(1, 1 << 24);
  command.add_option("--steps", options.schedule.steps, "steps to take")
      ->check(positive)
      ->capture_default_str();
  command.add_option("--batch", options.batch, "examples of a step")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      .add_option("--rows", flags.rows, "tokens that are computed together: memory grows with them")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  command.add_option("--rate", options.schedule.rate, "the learning rate at its highest")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  command.add_option("--schedule", flags.schedule, "how the rate declines: none, linear, cosine")
      ->capture_default_str();
  command.add_option("--warmup", flags.warmup, "the share of the steps in which the rate rises")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--clip", options.clip, "the gradient's length, at most; 0: any")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  command.add_option("--decay", options.adamw.decay, "AdamW's weight decay")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--seed", options.seed, "of how the adapter begins and of the order of examples")
      ->capture_default_str();
  command
      .add_option("--evaluate-every", options.evaluate_every,
                  "steps between looks at what is held out; 0: before and behind only")
      ->check(count)
      ->capture_default_str();
  command
      .add_option("--save-every", options.save_every,
                  "steps between states, kept beside the output until it is there; 0: only where "
                  "it stops")
      ->check(count)
      ->capture_default_str();
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* train = app.add_subcommand("train", "train what a model needs to run well");
  train->require_subcommand(1);

  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = train->add_subcommand(
      "lora", "learn a low-rank adapter on a model as it is stored, quantized or not");
  command->add_option("MODEL", flags->model, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command
      ->add_option("-o,--out", flags->out,
                   "the adapter: a folder as PEFT writes it, or with the ending .gguf a file")
      ->required();
  add_data_flags(*command, *flags);
  command->add_option("--rank", flags->lora.rank, "of the adapter's matrices")
      ->check(CLI::Range(1, 1 << 14))
      ->capture_default_str();
  command
      ->add_option("--alpha", flags->alpha,
                   "what the adapter adds is scaled by alpha / rank; 0: twice the rank")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  add_step_flags(*command, *flags);
  command->add_option("--svg", flags->svg, "draw the losses into this file");
  command->add_flag("--resume", flags->resume, "go on with a training that stopped");
  command->add_flag("--force", flags->force, "overwrite what is there, and begin anew");
  command->add_option("-t,--threads", flags->threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  losses: of each step\n"
                 "  held_out: [{step, loss}]\n");
  command->callback([flags] { train_lora(*flags); });
}

}  // namespace tessera::cli
