// tessera bench: how fast this machine runs a model.
#include "evaluate/bench.h"

#include <memory>

#include "base/error.h"
#include "cli/bench_decoders.h"
#include "cli/bench_roofline.h"
#include "cli/commands.h"
#include "engine/session.h"

namespace tessera::cli {
namespace {

struct BenchFlags {
  ModelFlags model;
  BenchOptions bench;
  bool roofline = false;
  DecoderBenchOptions decoders;
  std::vector<std::string> prompts;
  JsonFlags json;
  std::string svg;
};

void bench(BenchFlags& flags) {
  const Session session = Session::load(flags.model.model, flags.model.load);
  flags.bench.kv_format = session.kv_format;
  if (!flags.json.wanted) {
    print(fmt::format("{}; weights {:.1f} MB; loaded in {:.0f} ms\n\n",
                      session.model->backend().description(),
                      static_cast<double>(session.model->weight_bytes()) / 1e6, session.load_ms));
    print(fmt::format("{:<12} {:>12}  {:>22}\n", "test", "tokens/s", "slowest - fastest"));
  }
  const auto results = run_bench(*session.model, flags.bench, [&](const BenchResult& r) {
    if (!flags.json.wanted)
      print(fmt::format("{:<12} {:>12.1f}  {:>10.1f} - {:>9.1f}\n", r.name, r.tokens_per_second,
                        r.slowest, r.fastest));
  });
  if (!flags.json.wanted) return;
  auto list = nlohmann::ordered_json::array();
  for (const BenchResult& r : results) {
    list.push_back({{"name", r.name},
                    {"tokens_per_second", r.tokens_per_second},
                    {"slowest", r.slowest},
                    {"fastest", r.fastest},
                    {"tokens", r.tokens}});
  }
  print_json(list, flags.json);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "measure speed, on random tokens");
  add_model_flags(*command, flags->model);
  add_draft_flag(*command, flags->model.load);
  const auto counts = [&](const char* name, std::vector<int>& into, const char* help) {
    command->add_option(name, into, help)
        ->delimiter(',')
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
  };
  counts("-p", flags->bench.prompt, "read a prompt of this many tokens");
  counts("-n", flags->bench.generate, "generate this many tokens one by one");
  counts("-b", flags->bench.verify, "run steps of this many tokens at once");
  command->add_option("-d", flags->bench.depth, "tokens already in the context")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_option("-r", flags->bench.repetitions, "repetitions; the median is shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--roofline", flags->roofline,
                    "show where the time of each phase goes, beside the limits of this machine");
  command
      ->add_option(
          "--svg", flags->svg,
          "write a picture of what --roofline shows, or --decoders; without these, of --roofline")
      ->type_name("FILE");
  command
      ->add_option("--decoders", flags->decoders.decoders,
                   "show what these decoders gain over plain decoding on --prompts; repeatable")
      ->type_name("NAME[,KEY=VALUE...]")
      ->check(decoder_validator());
  command
      ->add_option("--prompts", flags->prompts,
                   "a set of prompts: JSON lines with \"prompt\" or \"turns\"; repeatable")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command
      ->add_option("--temp", flags->decoders.temperatures, "temperatures to decode at; repeatable")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->decoders.max_tokens, "of an answer, with --decoders")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--clients", flags->decoders.clients, "answers at once, with --decoders")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_json_flags(
      *command, flags->json, "print a JSON list, of --roofline an object,",
      "  [{name, tokens_per_second, slowest, fastest, tokens}, ...]\n"
      "  of --decoders: [{set, temperature, decoder, tokens_per_second, speed_up, "
      "tokens_per_step,\n"
      "                   acceptance_by_depth, looped, different}, ...]\n"
      "  of --roofline:\n"
      "  machine, weight_bytes, kv, depth\n"
      "  peaks: {read_bytes_per_second, dot_macs_per_second, fma_macs_per_second}\n"
      "  phases: [{name, tokens, ms, tokens_per_second, times_one_token, WORK,\n"
      "            percent_of_bandwidth, percent_of_dot_peak, percent_of_limit, bound_by,\n"
      "            barriers: {sections, ms, waiting_ms, idle_ms},\n"
      "            operations: [{name, label, matrix, formats, rows, columns, calls, ms, WORK,\n"
      "                          percent_of_limit}, ...]}, ...]\n"
      "  WORK: memory_bytes, activation_bytes, dot_macs, float_macs\n");
  command->callback([flags, command] {
    const auto drop_zeros = [](std::vector<int>& counts_) { std::erase(counts_, 0); };
    drop_zeros(flags->bench.prompt);
    drop_zeros(flags->bench.generate);
    drop_zeros(flags->bench.verify);
    if (flags->decoders.decoders.empty() != flags->prompts.empty())
      fail("--decoders and --prompts belong together: which decoders, on which prompts");
    if (!flags->prompts.empty())
      return bench_decoders(flags->model, flags->decoders, flags->prompts, flags->json, flags->svg);
    if (!flags->roofline && flags->svg.empty()) return bench(*flags);
    if (command->count("-b") == 0) flags->bench.verify = {2, 4, 8, 16};
    bench_roofline(flags->model, flags->bench, flags->json, flags->svg);
  });
}

}  // namespace tessera::cli
