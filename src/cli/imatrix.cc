// tessera imatrix: which columns of a model's matrices matter, over a text.
#include <memory>

#include "base/atomic_file.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "compress/checks.h"
#include "compress/importance.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct ImatrixFlags {
  std::string model, file, out;
  ImportanceOptions options;
};

void imatrix(ImatrixFlags& flags) {
  const std::string text = read_text(flags.file);
  flags.options.dataset = flags.file;
  const auto model = resolve_model(flags.model);
  check_not_source(*open_checkpoint(model), flags.out);
  check_not_source(flags.file, flags.out);
  AtomicFile{flags.out};  // a path that cannot be written fails before the long work
  Imatrix result;
  {
    ProgressBar bar("reading layers", 1);
    flags.options.progress = shown_on(bar);
    result = collect_importance(model, text, flags.options);
  }
  write_imatrix(result, flags.out);
  print(fmt::format("{} matrices, {} chunks of {} tokens\n", result.entries.size(), result.chunks,
                    result.chunk_tokens));
}

}  // namespace

void add_imatrix(CLI::App& app) {
  auto flags = std::make_shared<ImatrixFlags>();
  CLI::App* command = app.add_subcommand(
      "imatrix", "measure over a text which weights matter, for quantize --imatrix");
  command->add_option("MODEL", flags->model, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command->add_option("-f,--file", flags->file, "a text file")->required();
  command
      ->add_option("-o,--out", flags->out,
                   "the file to write: GGUF, or with the ending .dat llama.cpp's older layout")
      ->required();
  command->add_option("--chunks", flags->options.chunks, "chunks to read; 0: the whole text")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--ctx", flags->options.length, "tokens of a chunk")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("-t,--threads", flags->options.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->callback([flags] { imatrix(*flags); });
}

}  // namespace tessera::cli
