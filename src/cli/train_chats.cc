// tessera train chats: what drafts and students of a model learn from, written by the model itself.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/progress.h"
#include "cli/self_text.h"
#include "cli/training.h"
#include "compress/checks.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct ChatsFlags {
  std::string model, out;
  int chats = 1000, length = 512;
  uint64_t seed = 1;
  bool force = false;
  LoadOptions load;
  JsonFlags json;
};

void train_chats(const ChatsFlags& flags) {
  std::error_code ignored;
  if (std::filesystem::path(flags.out).extension() != ".jsonl")
    fail("'{}' does not end in .jsonl, by which --data knows such lines",
         printable(flags.out, 400));
  const std::string shown = printable(flags.out, 400);
  if (std::filesystem::exists(flags.out, ignored) && !flags.force)
    fail("'{}' exists; --force overwrites it", shown);
  tessera::check_not_source(*open_checkpoint(resolve_model(flags.model)), flags.out);
  AtomicFile file(flags.out);  // what cannot be written fails before the long work
  std::string lines;
  {
    SelfText self(flags.model, flags.load, flags.length);
    ProgressBar bar("writing chats", 1);
    lines = self.chats(flags.chats, flags.seed, shown_on(bar));
  }
  file.write(lines);
  file.commit();
  const auto written = std::ranges::count(lines, '\n');
  if (flags.json.wanted) return print_json({{"chats", written}}, flags.json);
  print(fmt::format("{} chats are in '{}'\n", written, shown));
}

}  // namespace

void add_train_chats(CLI::App& train) {
  auto flags = std::make_shared<ChatsFlags>();
  CLI::App* command = train.add_subcommand(
      "chats",
      "have a chat model write what its drafts and students learn from: questions, answers");
  command->add_option("MODEL", flags->model, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command->add_option("-o,--out", flags->out, "the lines, as --data takes them: a .jsonl file")
      ->required();
  command->add_option("--chats", flags->chats, "how many")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command->add_option("--length", flags->length, "tokens of a chat, at most")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of what is drawn")->capture_default_str();
  command->add_flag("--force", flags->force, "overwrite what is there");
  command->add_option("-t,--threads", flags->load.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_json_flags(*command, flags->json, "print one JSON object", "  chats: written\n");
  command->callback([flags] { train_chats(*flags); });
}

}  // namespace tessera::cli
