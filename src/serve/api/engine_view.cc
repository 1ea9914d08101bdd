// GET /engine: the engine at one moment, for those who want to watch it. Numbers only, never what
// anybody asked.
#include <algorithm>

#include "serve/api/service.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr int kMostBlocksShown = 1 << 16;

Json sequence_json(const Sequence& sequence) {
  return {{"id", sequence.id},
          {"priority", sequence.request.priority},
          {"prompt_tokens", sequence.prompt_size()},
          {"generated_tokens", sequence.generated()},
          {"computed_tokens", sequence.computed},
          {"cached_tokens", sequence.statistics.cached_tokens},
          {"preemptions", sequence.statistics.preemptions},
          {"blocks", sequence.blocks.blocks()}};
}

Json sequences_json(const Scheduler::Queue& queue) {
  Json list = Json::array();
  for (const auto& sequence : queue) {
    if (sequence->finished == FinishReason::kNone) list.push_back(sequence_json(*sequence));
  }
  return list;
}

// One letter a block: '.' free, 'c' cached and unused, 'u' used, 's' used by several sequences.
std::string block_map(const BlockPool& pool) {
  std::string map;
  for (BlockId block = 0; block < std::min(pool.capacity(), kMostBlocksShown); ++block) {
    const int references = pool.references(block);
    map += references > 1 ? 's' : references == 1 ? 'u' : pool.is_published(block) ? 'c' : '.';
  }
  return map;
}

}  // namespace

void Service::engine_view(const httplib::Request&, httplib::Response& response) {
  Json json = {{"model", options_.model_name}};
  const bool looked = loop_.inspect([&](const Engine& engine) {
    const BlockPool& pool = engine.pool();
    const Engine::Statistics statistics = engine.statistics();
    json["running"] = sequences_json(engine.scheduler().running());
    json["waiting"] = sequences_json(engine.scheduler().waiting());
    json["pool"] = {{"blocks", pool.capacity()},
                    {"block_tokens", pool.block_tokens()},
                    {"used", pool.capacity() - pool.available()},
                    {"map", block_map(pool)}};
    json["totals"] = {{"steps", statistics.steps},
                      {"prompt_tokens", statistics.prompt_tokens},
                      {"cached_tokens", statistics.cached_tokens},
                      {"generated_tokens", statistics.generated_tokens},
                      {"preemptions", statistics.preemptions},
                      {"drafts", statistics.drafts},
                      {"drafted", statistics.drafted},
                      {"accepted_at", statistics.accepted_at},
                      {"accepted", statistics.accepted}};
  });
  if (!looked) throw ApiError(503, "server_error", "the server is shutting down");
  Json history = Json::array();
  for (const ThroughputSample& sample : metrics_.throughput()) {
    history.push_back({{"second", sample.second},
                       {"generated_tokens", sample.generated},
                       {"prompt_tokens", sample.prompt}});
  }
  json["throughput"] = std::move(history);
  json["second"] = metrics_.second();
  response.set_content(to_text(json), "application/json");
}

}  // namespace tessera::serve
