// A model of a real shape with random weights in one format, for measuring, or a tiny one, for
// trying what does not depend on the model: what script/make-random-model runs.
//
//   random_model SHAPE FORMAT OUT.gguf
//   random_model --list
#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

struct Shape {
  std::string_view name;
  TinyModelSpec spec;
};

// Dimensions as published (config.json of each model), except for the context: all have room to
// measure at a depth of 8192 tokens and more.
std::vector<Shape> shapes() {
  constexpr int kContext = 32768;
  return {
      {"tiny", {.context = 8192}},
      {"smollm2-135m",
       {.layers = 30,
        .embedding = 576,
        .heads = 9,
        .kv_heads = 3,
        .head_dim = 64,
        .feed_forward = 1536,
        .vocabulary = 49152,
        .context = kContext,
        .tied = true,
        .repeat_blocks = true}},
      {"qwen2.5-1.5b",
       {.architecture = "qwen2",
        .layers = 28,
        .embedding = 1536,
        .heads = 12,
        .kv_heads = 2,
        .head_dim = 128,
        .feed_forward = 8960,
        .vocabulary = 151936,
        .context = kContext,
        .tied = true,
        .repeat_blocks = true}},
      {"tiny-qwen3moe", {.architecture = "qwen3moe", .context = 8192}},
      {"tiny-qwen2moe", {.architecture = "qwen2moe", .context = 8192}},
      {"tiny-mixtral", {.experts = 4, .context = 8192}},
      {"tiny-glm4moe", {.architecture = "glm4moe", .context = 8192}},
      {"tiny-deepseek2", {.architecture = "deepseek2", .context = 8192}},
      {"tiny-gpt-oss", {.architecture = "gpt-oss", .context = 8192, .rope_scaling = "yarn"}},
      // 8 of its 24 layers.
      {"gpt-oss-20b-8",
       {.architecture = "gpt-oss",
        .layers = 8,
        .embedding = 2880,
        .heads = 64,
        .kv_heads = 8,
        .head_dim = 64,
        .feed_forward = 5760,
        .experts = 32,
        .experts_used = 4,
        .vocabulary = 201088,
        .context = kContext,
        .window = 128,
        .rope_scaling = "yarn",
        .repeat_blocks = true}},
      // 12 of its 48 layers.
      {"qwen3-30b-a3b-12",
       {.architecture = "qwen3moe",
        .layers = 12,
        .embedding = 2048,
        .heads = 32,
        .kv_heads = 4,
        .head_dim = 128,
        .feed_forward = 1536,
        .experts = 128,
        .experts_used = 8,
        .vocabulary = 151936,
        .context = kContext,
        .repeat_blocks = true}},
      {"tiny-qwen35", {.architecture = "qwen35", .context = 8192}},
      {"tiny-qwen35moe", {.architecture = "qwen35moe", .context = 8192}},
      {"tiny-qwen3next", {.architecture = "qwen3next", .context = 8192}},
      {"tiny-lfm2", {.architecture = "lfm2", .context = 8192}},
      {"tiny-mamba2", {.architecture = "mamba2", .context = 8192}},
      {"tiny-granitehybrid", {.architecture = "granitehybrid", .context = 8192}},
      {"tiny-nemotron_h", {.architecture = "nemotron_h", .context = 8192}},
      {"tiny-nemotron_h_moe", {.architecture = "nemotron_h_moe", .context = 8192}},
      {"tiny-falcon-h1", {.architecture = "falcon-h1", .context = 8192}},
      {"qwen3.5-4b",
       {.architecture = "qwen35",
        .layers = 32,
        .embedding = 2560,
        .heads = 16,
        .kv_heads = 4,
        .head_dim = 256,
        .rope_dimensions = 64,
        .feed_forward = 9216,
        .state_heads = 32,
        .state_key_heads = 16,
        .state_dim = 128,
        .vocabulary = 248320,
        .context = kContext,
        .tied = true,
        .repeat_blocks = true}},
      {"llama3.2-1b",
       {.layers = 16,
        .embedding = 2048,
        .heads = 32,
        .kv_heads = 8,
        .head_dim = 64,
        .feed_forward = 8192,
        .vocabulary = 128256,
        .context = kContext,
        .rope_scaling = "llama3",
        .tied = true,
        .repeat_blocks = true}},
  };
}

void write_random_model(std::string_view name, std::string_view format, const char* path) {
  for (Shape& shape : shapes()) {
    if (shape.name != name) continue;
    TinyModelSpec& spec = shape.spec;
    spec.format = &require_format(format);
    const TinyModelSpec whole = with_defaults(spec);
    for (const int columns :
         {whole.embedding, whole.feed_forward}) {  // heads * head_dim is the former
      const Format& fitting = fitting_format(*spec.format, columns);
      if (&fitting != spec.format)
        fmt::print(stderr, "matrices of {} columns are {}: no whole number of blocks of {}\n",
                   columns, fitting.name, spec.format->name);
    }
    return write_tiny_model_file(spec, path);
  }
  fail("no such shape: '{}' (--list names them)", name);
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  using namespace tessera;
  if (argc == 2 && std::string_view(argv[1]) == "--list") {
    for (const Shape& shape : shapes()) fmt::print("{}\n", shape.name);
    return 0;
  }
  if (argc != 4) {
    fmt::print(stderr, "usage: random_model SHAPE FORMAT OUT.gguf | --list\n");
    return 2;
  }
  try {
    write_random_model(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
