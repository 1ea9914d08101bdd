#include "support/tiny_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "files/gguf/writer.h"
#include "support/tiny_families.h"
#include "support/tiny_tensors.h"
#include "support/tiny_tokenizer.h"

namespace tessera {
namespace {

using namespace tiny;

// general.file_type: what a file mostly holds, in the numbers of llama.h (llama_ftype). Some
// readers insist on it.
std::optional<uint32_t> file_type(const Format* format) {
  static const std::pair<const Format*, uint32_t> kTypes[] = {
      {&kF32, 0},  {&kF16, 1},   {&kQ4_0, 2},  {&kQ4_1, 3},  {&kQ8_0, 7},  {&kQ5_0, 8},
      {&kQ5_1, 9}, {&kQ2_K, 10}, {&kQ3_K, 12}, {&kQ4_K, 15}, {&kQ5_K, 17}, {&kQ6_K, 18}};
  for (const auto& [known, number] : kTypes)
    if (known == format) return number;
  return std::nullopt;
}

GgufMetadata make_metadata(const TinyModelSpec& spec) {
  GgufMetadata metadata;
  const auto set = [&](std::string_view name, auto value) {
    metadata.set(fmt::format("{}.{}", spec.architecture, name), GgufValue{value});
  };
  const auto number = [](int value) { return static_cast<uint32_t>(value); };
  metadata.set("general.architecture", GgufValue{spec.architecture});
  metadata.set("general.name",
               GgufValue{std::string("tiny")});  // llama.cpp treats a name with "phi3" specially
  if (const auto type = file_type(spec.format)) metadata.set("general.file_type", GgufValue{*type});
  set("context_length", number(spec.context));
  set("embedding_length", number(spec.embedding));
  set("block_count", number(spec.layers + spec.next_token_layers));
  if (spec.next_token_layers > 0) set("nextn_predict_layers", number(spec.next_token_layers));
  const auto by_layer = [&](std::string_view name, bool uneven, auto of) {
    if (!uneven) return set(name, number(of(spec, 0)));
    std::vector<uint32_t> values;
    for (int layer = 0; layer < spec.layers; ++layer) values.push_back(number(of(spec, layer)));
    set(name, GgufValue::Array{values});
  };
  by_layer("feed_forward_length",
           spec.uneven_layers || is_gemma4(spec) || (!feeds_forward(spec, 0) && !is_mamba2(spec)),
           feed_forward_of);
  if (spec.experts > 0) {
    set("expert_count", number(spec.experts));
    set("expert_used_count", number(spec.experts_used));
    if (spec.architecture != "llama")  // where it is the feed-forward length
      set("expert_feed_forward_length", number(expert_width(spec)));
    if (has_dense_layer(spec)) {
      set("leading_dense_block_count", uint32_t{1});
      set("expert_gating_func", uint32_t{2});
    }
    if (is_like_deepseek(spec)) {
      set("expert_shared_count", uint32_t{1});
      set("expert_weights_norm", true);
      set("expert_weights_scale", 1.5f);
    }
    if (is_llama4(spec)) {
      set("interleave_moe_layer_step", uint32_t{2});
      set("attention.chunk_size", number(kChunk));
      // Queries grow from position 39 on.
      set("attention.temperature_length", uint32_t{40});
      set("attention.temperature_scale", 0.4f);
    }
    if (spec.architecture == "qwen2moe" || is_recurrent(spec) || is_nemotron(spec))
      set("expert_shared_feed_forward_length", number(spec.feed_forward));
  }
  if (spec.experts > 0 && is_nemotron(spec)) {
    set("moe_latent_size", number(kExpertLatent));
    set("expert_weights_norm", true);
    set("expert_weights_scale", 1.5f);
  }
  by_layer("attention.head_count", spec.uneven_layers, heads_of);
  const bool some_attend = !attends(spec, 0) && !is_recurrent(spec);
  if (!is_mamba2(spec)) {
    by_layer("attention.head_count_kv", spec.uneven_kv_heads || some_attend || is_gemma4(spec),
             kv_heads_of);
  }
  const Holds holds = holds_of(spec);
  set(holds.layer_norms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
      1e-6f);
  if (spec.head_dim * spec.heads != spec.embedding || is_gemma(spec) || is_qwen3(spec) ||
      is_recurrent(spec) || is_gpt_oss(spec) || spec.uneven_head_dims) {
    by_layer("attention.key_length", spec.uneven_head_dims, head_dim_of);
    by_layer("attention.value_length", spec.uneven_head_dims, head_dim_of);
  }
  if (is_deepseek(spec)) {
    set("vocab_size", number(spec.vocabulary));
    set("attention.q_lora_rank", number(spec.latent.query));
    set("attention.kv_lora_rank", number(spec.latent.key_value));
    set("attention.key_length", number(spec.latent.key_value + spec.latent.rotated));
    set("attention.value_length", number(spec.latent.key_value));
    set("attention.key_length_mla", number(spec.latent.key));
    set("attention.value_length_mla", number(spec.latent.value));
  }
  if (is_lfm2(spec)) set("shortconv.l_cache", number(kTaps));
  if (is_recurrent(spec) || is_state_space(spec) || is_falcon_h1(spec)) {
    set("ssm.conv_kernel", number(kTaps));
    set("ssm.state_size", number(spec.state_dim));
    set("ssm.group_count", number(spec.state_key_heads));
    set("ssm.time_step_rank", number(spec.state_heads));
    set("ssm.inner_size", number(spec.state_heads * spec.state_dim));
  }
  if (is_recurrent(spec)) {
    const int pairs = spec.rope_dimensions / 2;
    set("rope.dimension_sections",
        GgufValue::Array{std::vector<int32_t>{pairs - 2 * (pairs / 3), pairs / 3, pairs / 3, 0}});
  }
  if (spec.window > 0) set("attention.sliding_window", number(spec.window));
  if (spec.architecture == "granite" || spec.architecture == "granitehybrid") {
    set("embedding_scale", 1.5f);
    set("residual_scale", 0.7f);
    set("logit_scale", 1.25f);
    set("attention.scale", 0.3f);
  }
  if (spec.architecture == "cohere2") set("logit_scale", 0.8f);
  if (spec.architecture == "gptneox") set("use_parallel_residual", true);
  if (spec.architecture == "mpt") set("attention.max_alibi_bias", 6.0f);
  if (spec.architecture == "mistral3") {
    set("attention.temperature_scale", 0.4f);
    set("rope.scaling.yarn_log_multiplier", 0.5f);
  }
  if (spec.architecture == "gemma2") set("attn_logit_softcapping", 50.0f);
  if (spec.architecture == "gemma2" || is_gemma4(spec)) set("final_logit_softcapping", 30.0f);
  if (is_gemma4(spec)) {
    std::vector<bool> windowed;
    for (int layer = 0; layer < spec.layers; ++layer)
      windowed.push_back(!is_unwindowed(spec, layer));
    set("attention.sliding_window_pattern", GgufValue::Array(windowed));
    for (const char* length : {"attention.key_length", "attention.value_length"}) {
      set(length, number(2 * spec.head_dim));
      set(std::string(length) + "_swa", number(spec.head_dim));
    }
    set("attention.shared_kv_layers", number(spec.experts > 0 ? 0 : kGemma4Shared));
    set("embedding_length_per_layer_input", number(spec.experts > 0 ? 0 : kPerLayerInput));
    set("rope.dimension_count_swa", number(spec.rope_dimensions));
    set("rope.freq_base_swa", 10000.0f);
  }

  if (!spec.uneven_head_dims)
    set("rope.dimension_count", number(spec.rope_dimensions * (is_gemma4(spec) ? 2 : 1)));
  set("rope.freq_base", spec.architecture == "gemma3" || is_gemma4(spec) ? 100000.0f : 10000.0f);
  if (spec.rope_scaling == "linear" || spec.rope_scaling == "yarn") {
    set("rope.scaling.type", spec.rope_scaling);
    set("rope.scaling.factor", 4.0f);
    set("rope.scaling.original_context_length", number(spec.context / 4));
  } else if (spec.rope_scaling == "longrope") {
    const double original = spec.context / 4.0;
    set("rope.scaling.original_context_length", number(spec.context / 4));
    set("rope.scaling.attn_factor",
        static_cast<float>(std::sqrt(1 + std::log(4.0) / std::log(original))));
  } else if (!spec.rope_scaling.empty() && spec.rope_scaling != "llama3") {
    fail("no such RoPE scaling: '{}'", spec.rope_scaling);
  }
  add_tiny_tokenizer(metadata, spec.vocabulary, spec.chat_template, spec.merges);
  return metadata;
}

}  // namespace

TinyModelSpec with_defaults(TinyModelSpec spec) {
  const bool wide = spec.format->block_elements > 32;
  const auto choose = [](int& field, int value) {
    if (field == 0) field = value;
  };
  // Where a family lets heads * head_dim differ from the embedding length, it does.
  const bool free_head_dim = is_qwen3(spec) || is_gemma(spec) || is_gpt_oss(spec);
  const Holds holds = holds_of(spec);
  choose(spec.layers, holds.layers > 0 ? holds.layers : 2);
  choose(spec.embedding, wide ? 256 : 64);
  choose(spec.feed_forward, wide ? 512 : 160);
  choose(spec.heads, wide ? 8 : 4);
  if (is_deepseek(spec)) {
    spec.kv_heads = 1;
    spec.rope_dimensions = spec.latent.rotated;
  }
  // Those before grouped-query attention have a key for each query.
  choose(spec.kv_heads, holds.fused_qkv && holds.layer_norms ? spec.heads : 2);
  choose(spec.head_dim, spec.embedding / spec.heads * (free_head_dim ? 2 : 1));
  choose(spec.rope_dimensions, is_recurrent(spec) ? spec.head_dim / 2 : spec.head_dim);
  if (spec.architecture == "qwen2moe" || spec.architecture == "qwen3moe" ||
      spec.architecture == "olmoe" || spec.architecture == "minimax-m2" ||
      spec.architecture == "nemotron_h_moe" || spec.architecture == "lfm2moe" || is_gpt_oss(spec) ||
      is_like_deepseek(spec) || is_llama4(spec) ||
      (is_recurrent(spec) && spec.architecture != "qwen35"))
    choose(spec.experts, 6);
  if (spec.experts > 0) choose(spec.experts_used, is_llama4(spec) ? 1 : 2);
  choose(spec.state_heads, 4);
  choose(spec.state_key_heads, 2);
  choose(spec.state_dim, 32);
  choose(spec.vocabulary, 320);
  choose(spec.context, 256);
  choose(spec.window, holds.window > 0 ? holds.window : -1);
  if (holds.tied) spec.tied = true;
  return spec;
}

const Format& fitting_format(const Format& format, int columns) {
  static const std::pair<const Format*, const Format*> kFallbacks[] = {
      {&kQ2_K, &kQ4_0}, {&kQ3_K, &kQ4_0},     {&kQ4_K, &kQ5_0},
      {&kQ5_K, &kQ5_1}, {&kIQ4_XS, &kIQ4_NL}, {&kQ6_K, &kQ8_0}};
  if (static_cast<uint32_t>(columns) % format.block_elements == 0) return format;
  for (const auto& [wide, narrow] : kFallbacks)
    if (wide == &format) return fitting_format(*narrow, columns);
  return kF16;
}

void write_tiny_model_file(const TinyModelSpec& given, const std::filesystem::path& path) {
  const TinyModelSpec spec = with_defaults(given);
  const std::vector<PlannedTensor> tensors = plan_tensors(spec);
  GgufWriter writer(make_metadata(spec));
  for (const PlannedTensor& tensor : tensors)
    writer.declare(tensor.name, *tensor.format, tensor.shape);
  writer.write(path, [&](size_t index) {
    return spec.repeat_blocks ? tensors[index].make_repeated_bytes(spec.seed)
                              : tensors[index].make_bytes(spec.seed);
  });
}

std::filesystem::path write_tiny_model(const TinyModelSpec& given,
                                       const std::filesystem::path& folder) {
  const TinyModelSpec spec = with_defaults(given);
  const std::string dimensions = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
      spec.latent.key_value, spec.latent.key, spec.experts, spec.experts_used, spec.state_heads,
      spec.state_key_heads, spec.state_dim, spec.next_token_layers, spec.layers, spec.embedding,
      spec.heads, spec.kv_heads, spec.head_dim, spec.rope_dimensions, spec.feed_forward,
      spec.vocabulary, spec.context, spec.window, spec.tied, spec.attention_output_bias,
      spec.uneven_layers, spec.uneven_kv_heads, spec.uneven_head_dims, spec.repeat_blocks,
      spec.chat_template, spec.merges, fmt::join(spec.says, ","));
  const auto path =
      folder / fmt::format("{}-{}-{}{}-{:08x}.gguf", spec.architecture, spec.format->name,
                           spec.seed, spec.rope_scaling, hash_text(dimensions) >> 32);
  write_tiny_model_file(spec, path);
  return path;
}

}  // namespace tessera
