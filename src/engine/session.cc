#include "engine/session.h"

#include <utility>

#include "backend/kv_format.h"
#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include "engine/draft_loading.h"
#include "engine/model_sampling.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "text/well_known_templates.h"

namespace tessera {

namespace {

// LLM.int8(): asked for, or what the checkpoint was made for.
ModelShortcuts int8_shortcuts(const LoadOptions& options, const Session& session) {
  constexpr std::string_view kFact = "general.llm_int8_threshold";
  if (options.llm_int8_threshold > 0) return llm_int8(options.llm_int8_threshold);
  const double threshold = session.checkpoint->facts().get_float(kFact).value_or(0);
  return {.outlier_threshold = static_cast<float>(threshold)};
}

}  // namespace

Session Session::load(const std::string& reference, const LoadOptions& options,
                      Model::Limits limits, std::optional<Device> device) {
  const Timer timer;
  Session session;
  if (options.mtp && !options.eagle.empty())
    fail("a model's own layer for further tokens and an EAGLE draft in its place: give one");
  session.kv_format = parse_kv_format(options.kv_format);
  ChatTemplates chosen;
  if (!options.chat_template.empty()) chosen.standard = find_chat_template(options.chat_template);
  session.checkpoint = open_checkpoint(resolve_model(reference));
  TokenizerData words = session.checkpoint->read_tokenizer();
  if (!options.pre_tokenizer.empty()) words.vocabulary.pre_tokenizer = options.pre_tokenizer;
  session.tokenizer = Tokenizer::make(std::move(words));
  session.sampling = read_sampling(session.checkpoint->facts());
  session.structured_output = std::make_unique<StructuredOutput>(*session.tokenizer);
  session.chat_formats = std::make_unique<ChatFormats>(
      chosen.standard ? chosen : session.checkpoint->read_chat_templates(), *session.tokenizer);
  if (chosen.standard) session.chat_formats->standard();  // does it parse?
  if (!device) device = open_cpu(options.threads, options.weights_folder);
  session.pool = device->pool;
  limits.context = options.context;
  session.model = std::make_unique<Model>(session.checkpoint, device->backend, limits,
                                          options.on_progress, int8_shortcuts(options, session));
  session.adapters = load_adapters(options.lora, *session.checkpoint, *session.model);
  const Config& config = session.model->config();
  if (config.context > config.training_context) {
    spdlog::warn(
        "{}: a context of {} tokens is asked for, it was trained for {}; beyond, answers get worse",
        reference, config.context, config.training_context);
  }
  const auto vocabulary = static_cast<size_t>(config.vocabulary);
  if (session.tokenizer->vocabulary_size() > vocabulary) {
    fail("the tokenizer has {} tokens, the model only {}", session.tokenizer->vocabulary_size(),
         vocabulary);
  }
  if (!options.draft.empty()) {
    limits.context = 0;
    LoadedDraft draft = load_draft(parse_draft(options.draft), *session.tokenizer, device->backend,
                                   limits, options.on_progress);
    session.draft = std::move(draft.model);
    session.draft_bridge = std::move(draft.bridge);
  }
  if (!options.medusa.empty()) {
    session.heads = std::make_unique<MedusaHeads>(*open_checkpoint(resolve_model(options.medusa)),
                                                  *session.model);
  }
  if (options.mtp)
    session.next_tokens = std::make_unique<NextTokens>(session.checkpoint, *session.model);
  if (!options.eagle.empty()) {
    session.next_tokens = std::make_unique<NextTokens>(
        session.checkpoint, *session.model, open_checkpoint(resolve_model(options.eagle)));
  }
  session.load_ms = timer.milliseconds();
  spdlog::debug("loaded {} in {:.0f} ms: {}, {:.1f} MB of weights; {}", reference, session.load_ms,
                session.model->config().architecture->name,
                static_cast<double>(session.model->weight_bytes()) / 1e6,
                session.model->backend().description());
  return session;
}

std::unique_ptr<Engine> Session::make_engine(Engine::Options options) const {
  options.kv_format = kv_format;
  options.draft = draft.get();
  options.draft_bridge = draft_bridge.get();
  options.heads = heads.get();
  options.next_tokens = next_tokens.get();
  options.pool = pool;
  return std::make_unique<Engine>(*model, options, [t = tokenizer.get()](Token token) {
    return static_cast<size_t>(token) < t->vocabulary_size() && t->is_end_of_generation(token);
  });
}

}  // namespace tessera
