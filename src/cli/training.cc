#include "cli/training.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/progress.h"
#include "cli/self_text.h"
#include "compress/checks.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "train/loss_picture.h"
#include "train/network.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

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

// What would make another training of it.
std::string identity_of(const TrainingFlags& flags, const std::string& what,
                        const train::Data& data) {
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
      "{}, seed {}, {} steps of {}, rate {}, {}, warmup {}, {}, clip {}, decay {}, {} rows, {} "
      "tokens ({:x})",
      what, options.seed, options.schedule.steps, options.batch, options.schedule.rate,
      flags.schedule, options.schedule.warmup, flags.optimizer, options.clip, options.adamw.decay,
      flags.rows, tokens, sum);
}

// Is opened, to fail before the long work.
void check_file(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    fail("'{}' is a folder, and a file is to be written", printable(path.string(), 400));
  AtomicFile{path};
}

// What cannot be written fails before the long work.
void check_output(const TrainingFlags& flags, Output kind) {
  const fs::path state = flags.state();
  std::error_code ignored;
  const std::string shown = printable(state.string(), 400);
  const bool is_folder = fs::is_directory(flags.out, ignored);
  if (kind == Output::kFolder && fs::exists(flags.out, ignored) && !is_folder) {
    fail("'{}' is a file, and a folder is to be written (or a file that ends in .gguf)",
         printable(flags.out, 400));
  }
  if (kind == Output::kFile && is_folder) check_file(flags.out);
  if (fs::exists(flags.out, ignored) && !flags.force)
    fail("'{}' exists; --force overwrites it", printable(flags.out, 400));
  if (!fs::exists(state, ignored) && flags.resume)
    fail("'{}' is missing: there is no training to go on with", shown);
  if (fs::exists(state, ignored) && !flags.resume && !flags.force)
    fail("'{}' is a training that has not ended: --resume goes on with it, --force begins anew",
         shown);
  check_file(state);
  if (kind == Output::kFile) check_file(flags.out);
  if (is_folder) check_file(fs::path(flags.out) / "adapter_config.json");
  if (!flags.svg.empty()) check_file(flags.svg);
}

void draw(const TrainingFlags& flags, const train::LossCurve& curve, const std::string& title) {
  if (flags.svg.empty()) return;
  AtomicFile picture(flags.svg);
  picture.write(train::draw_losses(curve, title));
  picture.commit();
}

void add_example_flags(CLI::App& command, TrainingFlags& flags) {
  command
      .add_option("--length", flags.length,
                  "tokens of an example, at most: no more than the model's context")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  CLI::Option* share = command.add_option(
      "--held-out", flags.held_out, "the share of the examples that is not learned but judges");
  share->check(CLI::Range(0.0, 0.9))->capture_default_str();
  command
      .add_option("--held-out-data", flags.held_out_data,
                  "other data to judge by; may be given again")
      ->excludes(share)
      ->allow_extra_args(false);
}

void add_step_flags(CLI::App& command, TrainingFlags& flags) {
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
  command
      .add_option("--optimizer", flags.optimizer,
                  "adamw, or adamw8bit, which takes 2 bytes of memory for a weight instead of 8")
      ->capture_default_str();
  command.add_option("--decay", options.adamw.decay, "AdamW's weight decay")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--seed", options.seed,
                  "of what is drawn: how an adapter begins, the order of examples")
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

void add_model_flag(CLI::App& command, TrainingFlags& flags) {
  command.add_option("MODEL", flags.model, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
}

CLI::Option* add_data_flag(CLI::App& command, TrainingFlags& flags, const std::string& help) {
  return command
      .add_option("--data", flags.data,
                  "a text, or with the ending .jsonl lines of {\"messages\": [...]}, of which the "
                  "assistant's are learned, {\"prompt\", \"completion\"} or {\"text\"}; may be "
                  "given again" +
                      help)
      ->allow_extra_args(false);
}

void add_training_flags(CLI::App& command, TrainingFlags& flags, const std::string& fields) {
  add_example_flags(command, flags);
  add_step_flags(command, flags);
  command.add_option("--svg", flags.svg, "draw the losses into this file");
  command.add_flag("--resume", flags.resume, "go on with a training that stopped");
  command.add_flag("--force", flags.force, "overwrite what is there, and begin anew");
  command.add_option("-t,--threads", flags.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_json_flags(command, flags.json, "print one JSON object",
                 "  losses: of each step\n"
                 "  held_out: [{step, loss}]\n" +
                     fields);
}

void prepare_training(TrainingFlags& flags, Output kind) {
  while (flags.out.size() > 1 && flags.out.ends_with('/')) flags.out.pop_back();
  train::Schedule& schedule = flags.options.schedule;
  schedule.decline = train::parse_decline(flags.schedule);
  if (flags.optimizer != "adamw" && flags.optimizer != "adamw8bit") {
    fail("optimizer '{}' is not known, expected adamw or adamw8bit", printable(flags.optimizer));
  }
  flags.options.adamw.eight_bits = flags.optimizer == "adamw8bit";
  schedule.warmup = static_cast<int>(flags.warmup * schedule.steps);
  flags.rows = std::max(flags.rows, flags.length);
  check_output(flags, kind);
}

void check_not_source(const TrainingFlags& flags, const Checkpoint& model) {
  for (const std::string& written : {flags.out, flags.svg}) {
    if (written.empty()) continue;
    tessera::check_not_source(model, written);
    for (const auto* read : {&flags.data, &flags.held_out_data}) {
      for (const std::string& path : *read) tessera::check_not_source(path, written);
    }
  }
}

std::string identity_of(const Checkpoint& model) {
  constexpr size_t kBeginning = 64;  // bytes, of each
  uint64_t size = 0, sum = 0;
  for (const StoredTensor& tensor : model.tensors()) {
    size += tensor.stored_bytes();
    for (const std::span<const std::byte> bytes : tensor.stored()) {
      for (const std::byte byte : bytes.first(std::min(bytes.size(), kBeginning)))
        sum = sum * 31 + std::to_integer<uint64_t>(byte);
    }
  }
  return fmt::format("{} tensors of '{}' in {} bytes ({:x})", model.tensors().size(),
                     printable(model.facts().require_string("general.architecture")), size, sum);
}

train::Data read_training_data(const TrainingFlags& flags, const Tokenizer& tokenizer,
                               const ChatFormats& formats) {
  std::vector<train::Example> examples;
  for (const std::string& path : flags.data)
    read_examples(path, tokenizer, formats, flags.length, examples);
  if (flags.held_out_data.empty()) return train::hold_out(std::move(examples), flags.held_out);
  train::Data data = train::hold_out(std::move(examples), 0);
  for (const std::string& path : flags.held_out_data)
    read_examples(path, tokenizer, formats, flags.length, data.held_out);
  return data;
}

TrainedModel open_trained_model(TrainingFlags& flags) {
  TrainedModel model;
  model.checkpoint = open_checkpoint(resolve_model(flags.model));
  model.config = read_config(*model.checkpoint);
  check_not_source(flags, *model.checkpoint);
  train::require_trainable(*model.checkpoint, model.config);
  flags.length = std::min(flags.length, model.config.context);
  return model;
}

train::Data read_training_data(const TrainingFlags& flags, const TrainedModel& model) {
  const auto tokenizer = Tokenizer::make(model.checkpoint->read_tokenizer());
  if (tokenizer->vocabulary_size() > static_cast<size_t>(model.config.vocabulary)) {
    fail("the tokenizer has {} tokens, the model only {}", tokenizer->vocabulary_size(),
         model.config.vocabulary);
  }
  return read_training_data(flags, *tokenizer,
                            ChatFormats(model.checkpoint->read_chat_templates(), *tokenizer));
}

void add_self_data(TrainingFlags& flags, int count) {
  if (!flags.data.empty()) return;
  const std::string chats = flags.out + ".data.jsonl", texts = flags.out + ".data.txt";
  std::error_code ignored;
  for (const std::string& written : {chats, texts}) {
    if (!fs::exists(written, ignored)) continue;
    if (flags.resume) return flags.data.push_back(written);
    if (!flags.force)
      fail("'{}' exists: --data learns from it, --force overwrites it", printable(written, 400));
    for (const std::string& read : flags.held_out_data) {
      if (fs::equivalent(read, written, ignored))
        fail("'{}' is the source itself: write elsewhere", printable(written, 400));
    }
    fs::remove(written, ignored);
  }
  LoadOptions load;
  load.threads = flags.threads;
  SelfText self(flags.model, load, flags.length);
  ProgressBar bar("writing text to learn from", 1);
  const std::string& out = self.has_chats() ? chats : texts;
  AtomicFile file(out);
  file.write(self.has_chats() ? self.chats(count, flags.options.seed, shown_on(bar))
                              : self.texts(count, shown_on(bar)));
  file.commit();
  flags.data.push_back(out);
}

train::LossCurve run_training(const TrainingFlags& flags, train::Objective& objective,
                              ThreadPool& pool, train::Learned& learned, const train::Data& data,
                              const std::string& what, const std::string& title) {
  train::Training training(objective, pool, learned, data, flags.rows, flags.options,
                           identity_of(flags, what, data));
  if (flags.resume) training.load(flags.state());
  reset_interrupted();
  {
    TrainingLine line(flags.options.schedule.steps);
    training.run(flags.state(), [&](int step, double loss, int tokens) {
      line.update(step, loss, tokens, training.curve());
      return !interrupted();
    });
  }
  if (!training.is_done()) {
    draw(flags, training.curve(), title);
    fail("stopped after step {}: the same command with --resume goes on", training.step());
  }
  return training.curve();
}

void end_training(const TrainingFlags& flags, const train::LossCurve& curve,
                  const std::string& title, const ordered_json& more, const std::string& text) {
  draw(flags, curve, title);
  std::error_code ignored;
  fs::remove(flags.state(), ignored);
  if (flags.json.wanted) {
    ordered_json held_out = ordered_json::array();
    for (const auto& point : curve.held_out)
      held_out.push_back({{"step", point.step}, {"loss", point.loss}});
    ordered_json json = {{"losses", curve.learned}, {"held_out", held_out}};
    json.update(more);
    return print_json(json, flags.json);
  }
  std::string losses =
      fmt::format("loss {:.4f} -> {:.4f}", curve.learned.front(), curve.learned.back());
  if (curve.held_out.size() > 1) {
    losses += fmt::format(", held out {:.4f} -> {:.4f}", curve.held_out.front().loss,
                          curve.held_out.back().loss);
  }
  print(losses + "\n" + text);
}

}  // namespace tessera::cli
