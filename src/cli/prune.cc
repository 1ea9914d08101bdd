// tessera prune: fewer layers, heads and neurons, in an ordinary model file.
#include "compress/prune.h"

#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "compress/sparsity.h"
#include "files/model_reference.h"

namespace tessera::cli {
namespace {

struct PruneFlags {
  std::string source, out, calibration_file, layers, heads, neurons;
  bool no_repair = false;
  PruneOptions options;
  JsonFlags json;
};

double share_of(const std::string& flag, const std::string& text) {
  if (text.empty()) return 0;
  const auto share = parse_share(text);
  if (!share || *share == 0) fail("{} is '{}', expected a share like 25% or 0.25", flag, text);
  return *share;
}

nlohmann::ordered_json shape_to_json(const ModelShape& shape) {
  return {{"layers", shape.layers},
          {"heads", shape.heads},
          {"kv_heads", shape.kv_heads},
          {"feed_forward", shape.feed_forward}};
}

void prune(PruneFlags& flags) {
  flags.options.layers = share_of("--layers", flags.layers);
  flags.options.heads = share_of("--heads", flags.heads);
  flags.options.neurons = share_of("--neurons", flags.neurons);
  flags.options.repair = !flags.no_repair;
  if (flags.no_repair && flags.options.heads + flags.options.neurons == 0)
    fail("--no-repair is for heads and neurons");
  PruneSummary summary;
  {
    ProgressBar bar("pruning", 1);
    flags.options.progress = shown_on(bar);
    flags.options.calibration = read_text(flags.calibration_file);
    summary = prune_file(resolve_model(flags.source), flags.options, flags.out);
  }
  if (flags.json.wanted) {
    return print_json({{"before", shape_to_json(summary.before)},
                       {"after", shape_to_json(summary.after)},
                       {"dropped_layers", summary.dropped_layers},
                       {"bytes_before", summary.bytes_before},
                       {"bytes_after", summary.bytes_after}},
                      flags.json);
  }
  const auto& [before, after] = std::pair(summary.before, summary.after);
  std::string text;
  if (after.layers < before.layers) {
    text += fmt::format("layers {} -> {} (without {})\n", before.layers, after.layers,
                        fmt::join(summary.dropped_layers, ", "));
  }
  if (after.heads < before.heads) {
    text += fmt::format("heads {} -> {}, of keys and values {} -> {}\n", before.heads, after.heads,
                        before.kv_heads, after.kv_heads);
  }
  if (after.feed_forward < before.feed_forward)
    text += fmt::format("neurons {} -> {}\n", before.feed_forward, after.feed_forward);
  print(text + fmt::format("{:.2f} MB -> {:.2f} MB\n",
                           static_cast<double>(summary.bytes_before) / 1e6,
                           static_cast<double>(summary.bytes_after) / 1e6));
}

}  // namespace

void add_prune(CLI::App& app) {
  auto flags = std::make_shared<PruneFlags>();
  CLI::App* command = app.add_subcommand(
      "prune", "cut layers, heads or neurons: a smaller model that any engine runs");
  command
      ->add_option("SOURCE", flags->source, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command->add_option("-o,--out", flags->out, "the GGUF file to write, in the source's formats")
      ->required();
  command
      ->add_option("--calibrate", flags->calibration_file,
                   "a text file: what the model makes of it says what matters least")
      ->required();
  command
      ->add_option("--calibrate-chunks", flags->options.calibration_chunks,
                   "chunks of 512 tokens to take of it; 0: all")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--layers", flags->layers, "the share of the layers to drop: 25%, or 0.25");
  command->add_option("--heads", flags->heads, "... of the attention heads of each layer");
  command->add_option("--neurons", flags->neurons,
                      "... of the neurons of each feed-forward network");
  command->add_flag("--no-repair", flags->no_repair,
                    "leave the output matrices of heads and neurons as they were, instead of "
                    "refitting what stays of them");
  command->add_option("-t,--threads", flags->options.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_flag("--force", flags->options.overwrite, "overwrite the output if it exists");
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  before, after: {layers, heads, kv_heads, feed_forward}\n"
                 "  dropped_layers, bytes_before, bytes_after\n");
  command->callback([flags] { prune(*flags); });
}

}  // namespace tessera::cli
