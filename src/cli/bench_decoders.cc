#include "cli/bench_decoders.h"

#include <cmath>
#include <filesystem>
#include <optional>
#include <sstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "engine/session.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

// {"prompt": TEXT, "prediction": TEXT, "schema": OBJECT} or {"turns": [TEXT...]}, of which the
// first is asked.
BenchPrompt read_prompt(const Json& line, const Session& session) {
  const auto text = line.contains("turns") ? line.at("turns").at(0).get<std::string>()
                                           : line.at("prompt").get<std::string>();
  const Tokenizer& tokenizer = *session.tokenizer;
  BenchPrompt prompt;
  if (session.chat_formats->has_template()) {
    const auto chat = render_chat(session.chat_formats->standard(), {{"user", text, {}}});
    prompt.tokens = tokenizer.encode(chat, {.add_special = false, .parse_special = true});
  } else {
    prompt.tokens = tokenizer.encode(text);
  }
  if (line.contains("prediction")) {
    prompt.prediction =
        tokenizer.encode(line.at("prediction").get<std::string>(), {.add_special = false});
  }
  if (line.contains("schema"))
    prompt.constraint = session.structured_output->json_schema(line.at("schema").dump());
  return prompt;
}

PromptSet read_set(const std::string& path, const Session& session) {
  PromptSet set{std::filesystem::path(path).stem().string(), {}};
  std::istringstream lines(read_text(path));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) continue;
    try {
      set.prompts.push_back(read_prompt(Json::parse(line), session));
    } catch (const Json::exception&) {
      fail(
          "{}:{}: expected an object with \"prompt\" (and \"prediction\", \"schema\") or \"turns\"",
          path, number);
    }
  }
  if (set.prompts.empty()) fail("{}: there is no prompt in it", path);
  return set;
}

// "83 71 60 ...": percent, of the first depths.
std::string describe_depths(const std::vector<double>& acceptance) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t d = 0; d < std::min(kShown, acceptance.size()); ++d)
    text += fmt::format("{}{:.0f}", d > 0 ? " " : "", 100 * acceptance[d]);
  return text;
}

Json to_json(const DecoderScore& s) {
  return {{"set", s.set},
          {"temperature", s.temperature},
          {"decoder", s.decoder},
          {"tokens_per_second", s.tokens_per_second},
          {"speed_up", s.speed_up},
          {"tokens_per_step", s.tokens_per_step},
          {"acceptance_by_depth", s.acceptance},
          {"looped", s.looped},
          {"different", s.different}};
}

}  // namespace

void bench_decoders(ModelFlags& model, const DecoderBenchOptions& options,
                    const std::vector<std::string>& files, const JsonFlags& json,
                    const std::string& svg_path) {
  std::optional<AtomicFile> svg;  // a path that cannot be written fails before the long work
  if (!svg_path.empty()) svg.emplace(svg_path);
  const Session session = Session::load(model.model, model.load);
  std::vector<PromptSet> sets;
  for (const std::string& file : files) sets.push_back(read_set(file, session));
  if (!json.wanted) {
    print(fmt::format("{}; {} clients, at most {} tokens an answer\n\n",
                      session.model->backend().description(), options.clients, options.max_tokens));
    print(fmt::format("{:<14} {:>4}  {:<22} {:>9} {:>9} {:>12}  {}\n", "prompts", "T", "decoder",
                      "tokens/s", "speed-up", "tokens/step", "accepted by depth (%)"));
  }
  size_t longest = 0;
  for (const PromptSet& set : sets) {
    if (std::ssize(set.prompts) < options.clients)
      fail("{} clients need as many prompts at least, '{}' has {}", options.clients, set.name,
           set.prompts.size());
    for (const BenchPrompt& prompt : set.prompts) longest = std::max(longest, prompt.tokens.size());
  }
  const Engine::Options defaults;
  const int each = static_cast<int>(longest) + options.max_tokens + defaults.draft_budget;
  const auto make_engine = [&] {
    return session.make_engine({.kv_blocks = options.clients * blocks_for(each)});
  };
  const auto scores = run_decoder_bench(make_engine, sets, options, [&](const DecoderScore& s) {
    if (json.wanted) return;
    print(fmt::format("{:<14} {:>4}  {:<22} {:>9.1f} {:>9.2f} {:>12.2f}  {}{}{}\n", s.set,
                      s.temperature, s.decoder, s.tokens_per_second, s.speed_up, s.tokens_per_step,
                      describe_depths(s.acceptance),
                      s.looped > 0 ? fmt::format("  ({} left out: loops)", s.looped) : "",
                      s.different > 0 ? fmt::format("  {} DIFFER", s.different) : ""));
  });
  if (svg) {
    svg->write(to_svg(scores, std::filesystem::path(model.model).filename().string(),
                      session.model->backend().description()));
    svg->commit();
  }
  if (json.wanted) {
    Json list = Json::array();
    for (const DecoderScore& score : scores) list.push_back(to_json(score));
    print_json(list, json);
  }
}

}  // namespace tessera::cli
