#include "engine/session.h"

#include "base/error.h"
#include "base/timer.h"
#include "engine/text_stream.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera {

KvFormat parse_kv_format(std::string_view name) {
  if (name == "f16") return KvFormat::kF16;
  if (name == "q8_0") return KvFormat::kQ8_0;
  fail("there is no KV format '{}' (known: f16, q8_0)", name);
}

std::string_view to_string(KvFormat format) {
  return format == KvFormat::kF16 ? "f16" : "q8_0";
}

Session Session::load(const std::string& reference, const LoadOptions& options,
                      Model::Limits limits, std::shared_ptr<Backend> backend) {
  const Timer timer;
  Session session;
  session.kv_format = parse_kv_format(options.kv_format);
  session.checkpoint = open_checkpoint(resolve_model(reference));
  session.tokenizer = Tokenizer::make(session.checkpoint->read_tokenizer());
  session.structured_output = std::make_unique<StructuredOutput>(*session.tokenizer);
  if (backend == nullptr) backend = make_cpu_backend(options.threads);
  limits.context = options.context;
  session.model =
      std::make_unique<Model>(session.checkpoint, std::move(backend), limits, options.on_progress);
  const auto vocabulary = static_cast<size_t>(session.model->config().vocabulary);
  if (session.tokenizer->vocabulary_size() > vocabulary) {
    fail("the tokenizer has {} tokens, the model only {}", session.tokenizer->vocabulary_size(),
         vocabulary);
  }
  session.load_ms = timer.milliseconds();
  return session;
}

std::unique_ptr<Engine> Session::make_engine(Engine::Options options) const {
  options.kv_format = kv_format;
  return std::make_unique<Engine>(*model, options, [t = tokenizer.get()](Token token) {
    return static_cast<size_t>(token) < t->vocabulary_size() && t->is_end_of_generation(token);
  });
}

std::shared_ptr<const ConstraintSource> find_constraint(StructuredOutput& structured_output,
                                                        const GenerateOptions& options) {
  if (!options.grammar.empty() && !options.json_schema.empty())
    fail("a grammar and a JSON schema are given, expected one of them");
  if (!options.grammar.empty()) return structured_output.grammar(options.grammar);
  if (!options.json_schema.empty()) return structured_output.json_schema(options.json_schema);
  return nullptr;
}

namespace {

Request make_request(std::vector<Token> prompt, const GenerateOptions& options, int context) {
  Request request;
  const int room = context + 1 - static_cast<int>(prompt.size());
  if (options.max_tokens < -1)
    fail("the number of tokens to generate is {}, expected 0 or more", options.max_tokens);
  request.max_tokens = options.max_tokens < 0 ? std::max(room, 0) : options.max_tokens;
  request.prompt = std::move(prompt);
  request.ignore_eos = options.ignore_eos;
  request.decoder = options.decoder;
  request.sampling = {.temperature = options.temperature,
                      .top_k = options.top_k,
                      .top_p = options.top_p,
                      .min_p = options.min_p,
                      .repetition_penalty = options.repetition_penalty,
                      .presence_penalty = options.presence_penalty,
                      .frequency_penalty = options.frequency_penalty,
                      .logit_bias = {options.logit_bias.begin(), options.logit_bias.end()},
                      .seed = options.seed};
  return request;
}

}  // namespace

Generation generate(Engine& engine, const Tokenizer& tokenizer, std::vector<Token> prompt,
                    const GenerateOptions& options, const TextCallback& on_text,
                    std::shared_ptr<const ConstraintSource> constraint) {
  const Timer timer;
  double first_token_ms = 0;
  bool cancelled = false;
  Generation result;
  TextStream stream(tokenizer, options.stop);
  const auto emit = [&](const std::string& text) {
    result.text += text;
    if (!text.empty() && on_text && !on_text(text)) cancelled = true;
  };

  Request request = make_request(std::move(prompt), options, engine.model().config().context);
  request.sampling.constraint = std::move(constraint);
  request.on_tokens = [&](std::span<const Token> tokens) {
    if (first_token_ms == 0) first_token_ms = timer.milliseconds();
    for (const Token token : tokens) {
      result.tokens.push_back(token);
      if (!cancelled) emit(stream.push(token));
      if (cancelled || stream.stopped()) return false;
    }
    return true;
  };
  const auto sequence = engine.add(std::move(request));
  // Should a callback throw, the sequence must not stay behind with references to this frame.
  struct CancelAtExit {
    Engine& engine;
    Sequence& sequence;
    ~CancelAtExit() { engine.cancel(sequence); }
  } cancel_at_exit{engine, *sequence};
  while (sequence->finished == FinishReason::kNone && engine.step()) {
    if (options.is_cancelled && options.is_cancelled()) {
      cancelled = true;
      engine.cancel(*sequence);
    }
  }
  if (!cancelled) emit(stream.finish());

  result.finish_reason = cancelled ? "cancelled" : to_string(sequence->finished);
  result.prompt_tokens = static_cast<int>(sequence->prompt_size());
  result.cached_tokens = sequence->statistics.cached_tokens;
  result.steps = sequence->statistics.steps;
  result.drafted = sequence->statistics.drafted;
  result.accepted = sequence->statistics.accepted;
  result.prefill_ms = first_token_ms;
  result.decode_ms = first_token_ms > 0 ? timer.milliseconds() - first_token_ms : 0;
  return result;
}

}  // namespace tessera
