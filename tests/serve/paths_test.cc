// The paths that clients of other servers ask for.
#include "serve/paths.h"

#include <gtest/gtest.h>

#include <utility>

namespace tessera::serve {
namespace {

TEST(Paths, ThatAreTheSameHaveOneForm) {
  for (const auto& [path, canonical] :
       {std::pair("/chat/completions", "/v1/chat/completions"),
        std::pair("/v1/chat/completions/", "/v1/chat/completions"),
        std::pair("//v1//chat///completions//", "/v1/chat/completions"),
        std::pair("/v1/v1/chat/completions", "/v1/chat/completions"),
        std::pair("/completions", "/v1/completions"),
        std::pair("/embeddings/", "/v1/embeddings"),
        std::pair("/models", "/v1/models"),
        std::pair("/models/org/m.gguf", "/v1/models/org/m.gguf"),
        std::pair("/v1/models/", "/v1/models"),
        std::pair("/v1/tokenize", "/tokenize"),
        std::pair("/v1/apply-template/", "/apply-template"),
        std::pair("/v1/health", "/health"),
        std::pair("/health/", "/health"),
        std::pair("/v1/metrics/", "/metrics"),
        std::pair("//", "/"),
        std::pair("/", "/"),
        std::pair("", ""),
        std::pair("*", "*"),
        std::pair("/v1", "/v1"),
        std::pair("/v1/", "/v1"),
        std::pair("/v1/nowhere/", "/v1/nowhere"),
        std::pair("/modelsx", "/modelsx"),
        std::pair("/v1x/models", "/v1x/models"),
        std::pair("/chat/view.js", "/chat/view.js")}) {
    EXPECT_EQ(canonical_path(path), canonical) << path;
    EXPECT_EQ(canonical_path(canonical), canonical);
  }
}

TEST(Paths, OfOtherServersHaveACounterpart) {
  for (const auto& [path, ours] :
       {std::pair("/api/chat", "POST /v1/chat/completions"),
        std::pair("/api/generate", "POST /v1/completions"),
        std::pair("/api/tags", "GET /v1/models"), std::pair("/completion", "POST /v1/completions"),
        std::pair("/props", "GET /engine"), std::pair("/v1/responses", "POST /v1/chat/completions"),
        std::pair("/api/v0/models", "GET /v1/models"),
        std::pair("/openai/deployments/x/chat/completions", "POST /v1/chat/completions"),
        std::pair("/api/v1/completions", "POST /v1/completions"),
        std::pair("/v1", "GET /v1/models"), std::pair("/healthz", "GET /health"),
        std::pair("/favicon.ico", ""), std::pair("/", "")}) {
    EXPECT_EQ(counterpart_of(path), ours) << path;
  }
}

}  // namespace
}  // namespace tessera::serve
