// tessera serve: a model behind OpenAI's API.
#include "serve/server.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <semaphore>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/system_memory.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "engine/kv_budget.h"
#include "engine/session.h"

namespace tessera::cli {
namespace {

struct ServeFlags {
  ModelFlags model;
  serve::ServerOptions server;
  serve::ServiceOptions service;
  std::string key_file, kv_memory;
  int step_tokens = 512, prompt_chunk = 128;
  int64_t body_mb = 8;
  int request_seconds = 1800, grace_seconds = 30;
};

// "smollm2:135m" stays; a path becomes its file's name.
std::string model_name_of(const std::string& reference) {
  const std::filesystem::path path(reference);
  return path.extension() == ".gguf" ? path.stem().string() : reference;
}

// SIGINT and SIGTERM, which all threads made from now on leave to one that waits for them. They end
// the program at once until there are answers that should end in order.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    watcher_ = std::thread([this] { watch(); });
  }
  ~StopSignals() {
    expect();
    pthread_kill(watcher_.native_handle(), SIGTERM);
    watcher_.join();
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void expect() { expected_ = true; }  // from now on for wait()
  void wait() {
    came_.acquire();
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);  // the second one ends the program at once
  }

 private:
  void watch() {
    int signal = 0;
    sigwait(&set_, &signal);
    if (!expected_) {
      pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
      std::raise(signal);
    }
    came_.release();
  }

  sigset_t set_;
  std::atomic<bool> expected_ = false;
  std::binary_semaphore came_{0};
  std::thread watcher_;
};

// Whatever happens, nobody is served any more when what answers goes.
struct EndsAtExit {
  serve::Server& server;
  ~EndsAtExit() { server.shutdown(std::chrono::seconds(0)); }
};

void run(ServeFlags& flags) {
  if (!flags.key_file.empty()) flags.server.keys = serve::ApiKeys::read(flags.key_file);
  offer_download(flags.model.model);
  share_heaps();
  StopSignals signals;
  if (flags.service.model_name.empty()) flags.service.model_name = model_name_of(flags.model.model);
  flags.server.model_name = flags.service.model_name;
  flags.server.adapter_names = adapter_names(flags.model.load.lora);
  flags.server.http.body_bytes = static_cast<size_t>(flags.body_mb) << 20;
  flags.service.request_time = std::chrono::seconds(flags.request_seconds);
  serve::Server server(flags.server);  // first: a port that is taken is to be known at once
  server.start();

  ProgressBar bar("loading", 1);
  flags.model.load.on_progress = [&](size_t done, size_t total) {
    bar.set_total(total);
    bar.update(done);
  };
  const int rows = std::max(flags.step_tokens, flags.service.max_sequences);
  // Every answer needs logits in a step; logprobs of an echoed prompt, those of all its rows.
  const int wanted = std::min(rows, std::max(flags.service.max_sequences, 64));
  const Session session =
      Session::load(flags.model.model, flags.model.load, {.rows = rows, .wanted_rows = wanted});
  if (!session.chat_formats->has_template()) {
    spdlog::warn(
        "'{}' has no chat template: chats are refused unless they bring one (--chat-template gives "
        "it one); POST /v1/completions completes plain text",
        flags.model.model);
  }
  const auto [blocks, states] =
      kv_budget(*session.model, session.draft.get(), session.kv_format, flags.kv_memory,
                flags.service.max_sequences, Engine::Options{}.draft_budget);
  const auto engine = session.make_engine({.kv_blocks = blocks,
                                           .states = states,
                                           .sequences = flags.service.max_sequences,
                                           .step_rows = rows,
                                           .prompt_rows = flags.prompt_chunk});
  serve::Service service(session, *engine, flags.service);
  const EndsAtExit ends_at_exit{server};
  const size_t block_bytes = kv_block_bytes(*session.model, session.draft.get(), session.kv_format);
  const double mb = static_cast<double>(blocks) * static_cast<double>(block_bytes) / 1e6;
  fmt::print(stderr, "KV memory: up to {:.0f} MB for {} tokens in blocks of {}; context {}\n", mb,
             static_cast<int64_t>(blocks) * kBlockTokens, kBlockTokens,
             session.model->config().context);
  if (states > 0) {
    const double state_mb = static_cast<double>(session.model->state_bytes()) / 1e6;
    fmt::print(stderr, "Recurrent states: up to {:.0f} MB, {} of {:.1f} MB\n", states * state_mb,
               states, state_mb);
  }
  signals.expect();
  server.open(service);
  print(fmt::format("Serving {} on {}\n", flags.service.model_name, server.url()));
  signals.wait();
  fmt::print(stderr, "Stopping: running answers have {} s to end\n", flags.grace_seconds);
  server.shutdown(std::chrono::seconds(flags.grace_seconds));
}

void add_limits(CLI::App& command, ServeFlags& flags) {
  command
      .add_option("--kv-memory", flags.kv_memory,
                  "memory for keys and values, such as 4G; default: half of what is free")
      ->type_name("SIZE");
  command.add_option("--max-seqs", flags.service.max_sequences, "answers made at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--max-queue", flags.service.max_queue, "answers that may wait; more get a 429")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--step-tokens", flags.step_tokens, "tokens of a step at most")
      ->check(CLI::Range(32, 1 << 16))
      ->capture_default_str();
  command
      .add_option("--prompt-chunk", flags.prompt_chunk,
                  "prompt tokens of a step while answers are being made: bounds the gap between "
                  "their tokens")
      ->check(CLI::Range(32, 1 << 16))
      ->capture_default_str();
  command
      .add_option("--max-connections", flags.server.http.connections, "clients connected at once")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      .add_option("--max-client-connections", flags.server.http.client_connections,
                  "of these by one address; default: three times what is left free")
      ->check(CLI::Range(1, 1 << 16));
  command.add_option("--max-body", flags.body_mb, "size of a request in MiB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--timeout", flags.request_seconds, "seconds for a whole answer")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command
      .add_option("--grace", flags.grace_seconds,
                  "seconds that answers have to end after SIGTERM or SIGINT")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
}

}  // namespace

void add_serve(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "serve a model behind OpenAI's API");
  add_model_flags(*command, flags->model);
  add_draft_flag(*command, flags->model.load);
  command->add_option("--host", flags->server.host, "address to listen on; 0.0.0.0: all")
      ->capture_default_str();
  command->add_option("--port", flags->server.port, "port; 0: any free one, which is printed")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--name", flags->service.model_name,
                      "the model's name in the API; default: its reference or file name");
  command->add_option("--api-key-file", flags->key_file,
                      "a file of API keys, one a line; without it nobody needs one");
  command
      ->add_option("--cors", flags->server.cors_origins,
                   "origin whose pages may call, such as https://chat.example.com, may be given "
                   "again; *: all")
      ->allow_extra_args(false);
  command
      ->add_option("--allowed-host", flags->server.allowed_hosts,
                   "a name that clients may call this server besides --host, may be given again; "
                   "*: any")
      ->allow_extra_args(false);
  add_chat_template_flag(*command, flags->model.load.chat_template);
  add_parse_special_flag(*command, flags->service.parse_special);
  command->add_flag("--allow-priority", flags->server.allow_priority,
                    "anybody may ask to be served before others ('priority' below 0); without it, "
                    "those whose line in the key file ends in 'priority'");
  add_limits(*command, *flags);
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
