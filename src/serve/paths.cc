#include "serve/paths.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tessera::serve {
namespace {

constexpr std::string_view kVersion = "/v1";
constexpr std::array<std::string_view, 4> kOpenAi = {"/chat/completions", "/completions",
                                                     "/embeddings", "/models"};
constexpr std::array<std::string_view, 7> kOwn = {"/health",       "/metrics",    "/engine",
                                                  "/tokenize",     "/detokenize", "/apply-template",
                                                  "/lora-adapters"};

constexpr std::string_view kChat = "POST /v1/chat/completions";
constexpr std::string_view kCompletions = "POST /v1/completions";
constexpr std::string_view kEmbeddings = "POST /v1/embeddings";
constexpr std::string_view kModels = "GET /v1/models";
constexpr std::string_view kEngine = "GET /engine";
constexpr std::string_view kHealth = "GET /health";

constexpr std::pair<std::string_view, std::string_view> kCounterparts[] = {
    // llama-server
    {"/completion", kCompletions},
    {"/embedding", kEmbeddings},
    {"/props", kEngine},
    {"/slots", kEngine},
    // Ollama
    {"/api/chat", kChat},
    {"/api/generate", kCompletions},
    {"/api/embed", kEmbeddings},
    {"/api/embeddings", kEmbeddings},
    {"/api/tags", kModels},
    {"/api/show", kModels},
    {"/api/ps", kEngine},
    {"/api/version", kHealth},
    // vLLM, TGI
    {"/generate", kCompletions},
    {"/generate_stream", kCompletions},
    {"/info", kModels},
    {"/version", kHealth},
    {"/load", kEngine},
    // other APIs of the great, and what base URLs leave
    {"/v1/responses", kChat},
    {"/v1/messages", kChat},
    {"/v1/chat", kChat},
    {"/chat", kChat},
    {"/api", kModels},
    {"/v1", kModels},
    // probes
    {"/healthz", kHealth},
    {"/livez", kHealth},
    {"/ready", kHealth},
    {"/readyz", kHealth},
    {"/ping", kHealth},
    {"/status", kHealth},
    {"/stats", "GET /metrics"},
};

// Whole segments at the front of a path.
bool begins_with(std::string_view path, std::string_view front) {
  return path.starts_with(front) && (path.size() == front.size() || path[front.size()] == '/');
}

bool begins_with_any(std::string_view path, const auto& fronts) {
  return std::ranges::any_of(fronts, [&](auto front) { return begins_with(path, front); });
}

std::string with_single_slashes(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

}  // namespace

std::string canonical_path(const std::string& path) {
  const std::string plain = with_single_slashes(path);
  std::string_view rest = plain;
  while (begins_with(rest, kVersion)) rest.remove_prefix(kVersion.size());
  if (begins_with_any(rest, kOpenAi)) return std::string(kVersion) += rest;
  return begins_with_any(rest, kOwn) ? std::string(rest) : plain;
}

std::string_view counterpart_of(std::string_view path) {
  for (const auto& [other, ours] : kCounterparts) {
    if (path == other) return ours;
  }
  // Beneath what others put before it: "/api/v0/models", "/openai/deployments/x/chat/completions".
  for (const auto& [name, ours] :
       {std::pair(kOpenAi[0], kChat), std::pair(kOpenAi[1], kCompletions),
        std::pair(kOpenAi[2], kEmbeddings), std::pair(kOpenAi[3], kModels)}) {
    if (path.ends_with(name)) return ours;
  }
  return {};
}

}  // namespace tessera::serve
