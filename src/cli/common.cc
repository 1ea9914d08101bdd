#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "decode/decoder.h"
#include "text/well_known_templates.h"

namespace tessera::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

// The second Ctrl-C ends the program as usual, should the answer not stop.
void on_interrupt(int) {
  interrupt_count = interrupt_count + 1;
  if (interrupt_count > 1) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

}  // namespace

void add_model_flags(CLI::App& command, ModelFlags& flags) {
  command
      .add_option(
          "MODEL", flags.model,
          "a GGUF file, or a name: smollm2:135m, hf:OWNER/REPO[:QUANTIZATION|/FILE], https://...")
      ->required();
  command.add_option("-t,--threads", flags.load.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      .add_option("-c,--ctx", flags.load.context,
                  "context in tokens; 0: what the model was trained for")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command
      .add_option("--pre-tokenizer", flags.load.pre_tokenizer,
                  "cut words as this family does, for a model whose own is not known: qwen2, ...")
      ->type_name("NAME");
  CLI::Option* threshold = command
                               .add_option("--llm-int8-threshold", flags.load.llm_int8_threshold,
                                           "the same with another magnitude than 6")
                               ->check(CLI::PositiveNumber)
                               ->type_name("T");
  command
      .add_flag_callback(
          "--llm-int8", [&flags] { flags.load.llm_int8_threshold = 6; },
          "cut matrices of more bits to 8; activations of magnitude 6 and more meet them "
          "unquantized "
          "(LLM.int8())")
      ->excludes(threshold);
  command
      .add_option(
          "--weights-on-disk", flags.load.weights_folder,
          "keep weights in a file in this folder, for models larger than memory: what is not "
          "used leaves it")
      ->check(CLI::ExistingDirectory)
      ->type_name("FOLDER");
  command.add_option("--kv", flags.load.kv_format, "format of the KV cache: f16 or q8_0")
      ->check(CLI::IsMember({"f16", "q8_0"}))
      ->capture_default_str();
  add_lora_flag(
      command, flags.load.lora,
      "a LoRA adapter: a PEFT folder or its safetensors, a GGUF file, or hf:OWNER/REPO; may "
      "be given again; scale 0: only for requests that ask for it");
}

namespace {

// "PATH=0.5": what stands behind the last '=' is the scale, if it is a number.
LoraFile parse_lora(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos) return {.path = text};
  const char* end = text.data() + text.size();
  float scale = 0;
  const auto [rest, error] = std::from_chars(text.data() + equals + 1, end, scale);
  if (error != std::errc() || rest != end || !std::isfinite(scale)) return {.path = text};
  return {.path = text.substr(0, equals), .scale = scale};
}

}  // namespace

void add_lora_flag(CLI::App& command, std::vector<LoraFile>& files, const std::string& help) {
  command
      .add_option_function<std::vector<std::string>>(
          "--lora",
          [&files](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) files.push_back(parse_lora(text));
          },
          help)
      ->allow_extra_args(false)
      ->type_name("PATH[=SCALE]");
}

void add_draft_flag(CLI::App& command, LoadOptions& load) {
  command
      .add_option(
          "--draft", load.draft,
          "a smaller model, which drafts for the decoders auto and draft; cut to 4 bits and "
          "to its first 32768 tokens unless it is said otherwise (bits=0, head=0); of the "
          "same vocabulary, or of another by way of bytes (bridge=1); never changes the "
          "text")
      ->type_name("MODEL[,bits=4][,head=32768][,bridge=1]");
  command
      .add_option(
          "--medusa", load.medusa,
          "Medusa heads trained for the model, which draft for the decoders auto and medusa: "
          "what `tessera train medusa` or `tessera quantize` wrote, or safetensors")
      ->type_name("FILE");
  command.add_flag("--mtp", load.mtp,
                   "load the model's own layer that predicts further tokens (multi-token "
                   "prediction), which drafts for the decoders auto and mtp");
  command
      .add_option("--eagle", load.eagle,
                  "such a layer that was trained for the model (EAGLE), which drafts for the "
                  "decoders auto and mtp: what `tessera train eagle` wrote")
      ->type_name("FILE");
}

namespace {

// The names are llama.cpp's.
void add_constraint_flags(CLI::App& command, GenerateOptions& options) {
  auto* grammar =
      command.add_option("--grammar", options.grammar, "hold the answer to a grammar, in GBNF");
  auto* file = command
                   .add_option_function<std::string>(
                       "--grammar-file",
                       [&options](const std::string& path) { options.grammar = read_text(path); },
                       "read the grammar from a file; -: standard input")
                   ->type_name("FILE");
  auto* schema =
      command
          .add_option_function<std::string>(
              "-j,--json-schema",
              [&options](const std::string& schema_or_file) {
                const size_t first = schema_or_file.find_first_not_of(" \t\r\n");
                const bool is_schema = first != std::string::npos && schema_or_file[first] == '{';
                options.json_schema = is_schema ? schema_or_file : read_text(schema_or_file);
              },
              "hold the answer to a JSON schema, or to the one in a file; {}: any JSON")
          ->type_name("SCHEMA|FILE");
  grammar->excludes(file)->excludes(schema);
  file->excludes(schema);
}

}  // namespace

void add_sampling_flags(CLI::App& command, GenerateOptions& options) {
  command.add_option("--temp", options.sampling.temperature, "temperature; 0: greedy")
      ->capture_default_str();
  command.add_option("--top-k", options.sampling.top_k, "keep the K most likely tokens; 0: off")
      ->capture_default_str();
  command
      .add_option("--top-p", options.sampling.top_p,
                  "keep the smallest set with probability P; 1: off")
      ->capture_default_str();
  command
      .add_option("--min-p", options.sampling.min_p,
                  "keep tokens at least P as likely as the best; 0: off")
      ->capture_default_str();
  command
      .add_option("--repeat-penalty", options.sampling.repetition_penalty,
                  "divide logits of recent tokens; 1: off")
      ->capture_default_str();
  command
      .add_option("--presence-penalty", options.sampling.presence_penalty,
                  "subtract from tokens generated before")
      ->capture_default_str();
  command
      .add_option("--frequency-penalty", options.sampling.frequency_penalty,
                  "subtract for each time a token was generated")
      ->capture_default_str();
  command
      .add_option_function<std::vector<std::string>>(
          "--logit-bias",
          [&options](const std::vector<std::string>& entries) {
            for (const std::string& entry : entries) {
              int token = 0, used = 0;
              float bias = 0;
              if (std::sscanf(entry.c_str(), "%d=%f%n", &token, &bias, &used) != 2 ||
                  used != static_cast<int>(entry.size())) {
                throw CLI::ValidationError("--logit-bias",
                                           "expected TOKEN=BIAS, found '" + entry + "'");
              }
              options.sampling.logit_bias[token] = bias;
            }
          },
          "TOKEN=BIAS, added to a token's logit; repeatable")
      ->type_name("TOKEN=BIAS");
  command.add_option("--stop", options.stop, "end the answer before this text; repeatable");
  command.add_option("--stop-token-ids", options.stop_tokens,
                     "end the answer at this token, too; repeatable");
  command.add_option("--min-tokens", options.min_tokens, "before so many, nothing ends the answer")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_option("--bad-words", options.bad_words, "what must not come; repeatable")
      ->type_name("TEXT");
  command
      .add_option_function<int64_t>(
          "-s,--seed",
          [&options](int64_t seed) {
            if (seed != -1) options.sampling.seed = static_cast<uint64_t>(seed);
          },
          "the same seed gives the same text; -1: another one each time")
      ->default_str("-1");
  command
      .add_option("--decoder", options.decoder,
                  "how tokens are proposed; never changes the text\n" + describe_decoders())
      ->type_name("NAME[,KEY=VALUE...]")
      ->check(decoder_validator())
      ->capture_default_str();
  command.add_flag("--ignore-eos", options.ignore_eos, "go on after the end of the answer");
  add_constraint_flags(command, options);
}

CLI::Validator decoder_validator() {
  return {[](const std::string& text) {
            try {
              parse_decoder(text);
              return std::string();
            } catch (const Error& error) {
              return std::string(error.what());
            }
          },
          ""};
}

CLI::Option* add_chat_template_flag(CLI::App& command, std::string& name_or_file) {
  std::vector<std::string_view> names;
  for (const auto& known : well_known_templates()) names.push_back(known.name);
  return command
      .add_option("--chat-template", name_or_file,
                  fmt::format("instead of the model's own: a Jinja file, or one of {}",
                              fmt::join(names, ", ")))
      ->type_name("NAME|FILE");
}

CLI::Option* add_parse_special_flag(CLI::App& command, bool& parse_special) {
  return command.add_flag_callback(
      "--no-parse-special", [&parse_special] { parse_special = false; },
      "a control token that a prompt or a message spells out (<|im_end|>) is plain text");
}

void settle_sampling(const CLI::App& command, const LanguageModel& model,
                     SamplingOptions& options) {
  const SamplingOptions& own = model.recommended_sampling();
  const auto settle = [&](const char* flag, auto SamplingOptions::*option) {
    if (command.count(flag) == 0) options.*option = own.*option;
  };
  settle("--temp", &SamplingOptions::temperature);
  settle("--top-k", &SamplingOptions::top_k);
  settle("--top-p", &SamplingOptions::top_p);
  settle("--min-p", &SamplingOptions::min_p);
  settle("--repeat-penalty", &SamplingOptions::repetition_penalty);
  settle("--repeat-penalty", &SamplingOptions::penalty_window);
}

std::string describe_sampling(const SamplingOptions& options) {
  if (options.temperature == 0) return "greedy";
  std::string text = fmt::format("temperature {:g}, top-k {}, top-p {:g}, min-p {:g}",
                                 options.temperature, options.top_k, options.top_p, options.min_p);
  if (options.repetition_penalty != 1)
    text += fmt::format(", repetition penalty {:g}", options.repetition_penalty);
  return text;
}

LanguageModel load_model(ModelFlags& flags) {
  offer_download(flags.model);
  ProgressBar bar("loading", 1);
  flags.load.on_progress = [&](size_t done, size_t total) {
    bar.set_total(total);
    bar.update(done);
  };
  return LanguageModel::load(flags.model, flags.load);
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail("cannot write to standard output: {}", std::strerror(errno));
  }
}

void add_json_flags(CLI::App& command, JsonFlags& flags, const std::string& help,
                    const std::string& fields) {
  command.add_flag("--json", flags.wanted, help + " on one line");
  command.add_flag_callback(
      "--pretty", [&flags] { flags.wanted = flags.pretty = true; },
      "the same with line breaks, for people");
  command.footer("JSON:\n" + fields);
}

void add_exit_statuses(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    add_exit_statuses(*command);
  }
  const std::string before = app.get_footer();
  app.footer(before + (before.empty() ? "" : "\n") +
             "Exit status:\n"
             "  0  done, also where Ctrl-C cut an answer or ended a server\n"
             "  1  failed: one line on standard error says why\n"
             "  2  the arguments are wrong\n");
}

void print_json(const nlohmann::ordered_json& json, const JsonFlags& flags) {
  // A token may be part of a character.
  const auto replace = nlohmann::json::error_handler_t::replace;
  print(json.dump(flags.pretty ? 2 : -1, ' ', false, replace) + "\n");
}

std::string read_text(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) fail("cannot open '{}': {}", path, std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  size_t count = 0;
  while ((count = std::fread(buffer, 1, sizeof buffer, file)) > 0) text.append(buffer, count);
  const int error = std::ferror(file) != 0 ? errno : 0;
  if (file != stdin) std::fclose(file);
  if (error != 0) fail("cannot read '{}': {}", path, std::strerror(error));
  return text;
}

void require_utf8(const std::string& what, std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Prefix character = inspect_utf8(text.substr(i));
    if (character.kind != Utf8Prefix::Kind::kComplete) {
      fail("{} is not valid UTF-8: byte 0x{:02x} at offset {}", what,
           static_cast<unsigned char>(text[i]), i);
    }
    i += character.length;
  }
}

nlohmann::ordered_json to_json(const Generation& g, double load_ms, const std::string& decoder) {
  const auto rounded = [](double value) { return std::stod(fmt::format("{:.4g}", value)); };
  const auto rate = [&](double tokens, double ms) {
    return rounded(ms > 0 ? tokens / ms * 1e3 : 0.0);
  };
  const auto generated = static_cast<double>(g.tokens.size());
  return {
      {"text", g.text},
      {"tokens", g.tokens},
      {"finish_reason", g.finish_reason},
      {"seed", g.seed},
      {"usage",
       {{"prompt_tokens", g.prompt_tokens},
        {"completion_tokens", g.tokens.size()},
        {"total_tokens", g.prompt_tokens + g.tokens.size()}}},
      {"timings",
       {{"load_ms", rounded(load_ms)},
        {"prefill_ms", rounded(g.prefill_ms)},
        {"decode_ms", rounded(g.decode_ms)},
        {"prefill_tokens_per_second", rate(g.prompt_tokens - g.cached_tokens, g.prefill_ms)},
        {"decode_tokens_per_second", rate(generated - 1, g.decode_ms)}}},
      {"decoder",
       {{"name", decoder},
        {"steps", g.steps},
        {"drafted", g.drafted},
        {"accepted", g.accepted},
        {"accepted_prediction", g.accepted_prediction},
        {"rejected_prediction", g.rejected_prediction}}},
  };
}

std::string describe_run(const Generation& g) {
  const double computed = g.prompt_tokens - g.cached_tokens;
  return fmt::format(
      "prompt {} tokens ({} cached), {:.1f} tokens/s; answer {} tokens, {:.1f} tokens/s; seed {}",
      g.prompt_tokens, g.cached_tokens, g.prefill_ms > 0 ? computed / g.prefill_ms * 1e3 : 0.0,
      g.tokens.size(),
      g.decode_ms > 0 ? (static_cast<double>(g.tokens.size()) - 1) / g.decode_ms * 1e3 : 0.0,
      g.seed);
}

void warn_if_cut(const LanguageModel& model, const Generation& g, int max_tokens) {
  const auto size = static_cast<int>(g.tokens.size());
  if (g.finish_reason != "length" || (max_tokens >= 0 && size >= max_tokens)) return;
  spdlog::warn(
      "the answer was cut after {} tokens: the context of {} is full, of which the prompt has {}",
      size, model.context(), g.prompt_tokens);
}

void warn_without_template(const std::string& model, std::string_view completion) {
  spdlog::warn(
      "'{}' has no chat template, as if it were a base model: what it is asked is put in ChatML, "
      "which it may not know (--chat-template: in another format); plain text is completed by {}",
      model, completion);
}

bool interrupted() {
  return interrupt_count > 0;
}

void reset_interrupted() {
  interrupt_count = 0;
  struct sigaction action {};  // without SA_RESTART: waiting for a key ends, too
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
}

}  // namespace tessera::cli
