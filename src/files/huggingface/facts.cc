#include "files/huggingface/facts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "files/huggingface/complete_config.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/gemma4_layers.h"
#include "files/huggingface/layer_kinds.h"
#include "files/huggingface/llama4_layers.h"
#include "files/huggingface/rope_scaling.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

// Facts that config.json has under another name, and nothing more.
struct Row {
  std::string_view fact, key;
};
constexpr auto kIntegers = std::to_array<Row>({
    {"block_count", "num_hidden_layers"},
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"attention.value_length", "head_dim"},
    {"vocab_size", "vocab_size"},
});
constexpr auto kNumbers = std::to_array<Row>({
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.layer_norm_epsilon", "layer_norm_eps"},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
    {"attention.layer_norm_epsilon", "norm_epsilon"},
    {"attention.max_alibi_bias", "alibi_bias_max"},
    {"attention.scale", "attention_multiplier"},
    {"embedding_scale", "embedding_multiplier"},
    {"residual_scale", "residual_multiplier"},
    {"logit_scale", "logits_scaling"},
    {"logit_scale", "logit_scale"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
});

class ConfigTranslation {
 public:
  ConfigTranslation(const json& config, ModelConfig& into) : from_(config), into_(into) {}

  void run() {
    check_activation();
    check_direction();
    for (const Row& row : kIntegers) copy_integer(row.fact, row.key);
    for (const Row& row : kNumbers) copy_number(row.fact, row.key);
    if (const auto parallel = from_.boolean("use_parallel_residual"))
      set("use_parallel_residual", "use_parallel_residual", {*parallel});
    if (into_.family->bidirectional) read_embedding_model();
    read_attention_scale();
    check_unrotated_layers();
    if (into_.family->gemma4_layers) {
      read_kinds();
    } else {
      read_windows();
      if (into_.family->rotary) read_ropes();
      if (into_.family->experts) read_experts();
    }
    if (into_.family->llama4_layers) {
      for (auto& [fact, key, value] : read_llama4_layers(from_)) set(fact, key, std::move(value));
    }
    if (into_.family->latent_attention) read_latent_attention();
    if (into_.family->recurrent != RecurrentStyle::kNone) read_recurrent_layers();
    into_.layers = from_.integer("num_hidden_layers").value_or(0);
    into_.heads = from_.integer("num_attention_heads").value_or(0);
    into_.kv_heads = from_.integer("num_key_value_heads").value_or(into_.heads);
    into_.tied = from_.boolean("tie_word_embeddings");
    // Of Llama 4 it is a norm without weights.
    if (!into_.family->llama4_layers) into_.qk_norm = from_.boolean("use_qk_norm");
  }

 private:
  void set(std::string_view fact, std::string_view key, GgufValue value) {
    into_.metadata.set(std::string(into_.family->architecture) + "." + std::string(fact),
                       std::move(value));
    into_.keys[std::string(fact)] = key;
  }
  void copy_integer(std::string_view fact, std::string_view key) {
    into_.keys.emplace(fact, key);  // where it is missing, too
    if (const auto value = from_.integer(key)) set(fact, key, {static_cast<uint32_t>(*value)});
  }
  void copy_number(std::string_view fact, std::string_view key) {
    into_.keys.emplace(fact, key);
    if (const auto value = from_.number(key)) set(fact, key, {static_cast<float>(*value)});
  }

  // Images may be read in both directions ("vision"), texts not.
  void check_direction() const {
    constexpr std::string_view kKey = "use_bidirectional_attention";
    const json* both = from_.find(kKey);
    if (both == nullptr || (into_.family->bidirectional && *both == true)) return;
    if (*both != false && *both != "vision")
      fail("key '{}': {} is not supported", kKey, printable(both->dump(-1, ' ', true), 60));
  }

  void read_kinds() {
    Gemma4Layers kinds = read_gemma4_layers(from_);
    for (auto& [fact, key, value] : kinds.facts) set(fact, key, std::move(value));
    into_.rope_factors = std::move(kinds.rope_factors);
  }

  // One of the names that it goes by.
  static std::string_view activation_of(std::string_view name) {
    if (name == "swish" || name == "swiglu") return "silu";
    if (name == "gelu_new" || name == "gelu_fast") return "gelu_pytorch_tanh";
    return name;
  }
  void check_activation() const {
    const std::string_view key =
        from_.find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
    const std::string found = from_.text(key).value_or(std::string(into_.family->activation));
    if (activation_of(found) == activation_of(into_.family->activation)) return;
    // The first Gemma's folders name what its code never took.
    if (into_.family->model_type == "gemma" && found == "gelu") return;
    fail("key '{}': '{}' is not supported in {} models, expected '{}'", key, printable(found),
         into_.family->model_type, into_.family->activation);
  }

  void read_embedding_model() {
    set("attention.causal", "is_decoder", {false});
    const auto types = from_.integer("type_vocab_size");
    // Other readers of GGUF want to be told.
    if (types)
      into_.metadata.set("tokenizer.ggml.token_type_count", {static_cast<uint32_t>(*types)});
    const auto positions = from_.integer("max_position_embeddings");
    // Beyond that, frequencies depend on the text's length (dynamic NTK).
    const auto trained = from_.integer("max_trained_positions");
    if (trained && from_.number("rotary_scaling_factor"))
      set("context_length", "max_trained_positions", {static_cast<uint32_t>(*trained)});
    if (!into_.family->counts_unused || !positions) return;
    const int64_t used = *positions - into_.family->unused_positions;
    if (used < 1) fail("key 'max_position_embeddings': {} is out of range", *positions);
    set("context_length", "max_position_embeddings", {static_cast<uint32_t>(used)});
  }

  void copy_boolean(std::string_view fact, std::string_view key) {
    into_.keys.emplace(fact, key);
    if (const auto value = from_.boolean(key)) set(fact, key, {*value});
  }
  void read_experts() {
    // Whatever it was called when the folder was written.
    std::string_view count = "num_experts";
    for (const std::string_view key : {"num_local_experts", "n_routed_experts"}) {
      if (from_.find(key) != nullptr) count = key;
    }
    copy_integer("expert_count", count);
    copy_integer("expert_shared_count", "n_shared_experts");
    copy_integer("leading_dense_block_count", "first_k_dense_replace");
    read_dense_layers();
    copy_integer("moe_latent_size", "moe_latent_size");
    copy_number("expert_weights_scale", "routed_scaling_factor");
    read_gating();
    copy_integer("expert_used_count", "num_experts_per_tok");
    if (const auto limit = from_.number("swiglu_limit"); limit && *limit != 7)
      fail("key 'swiglu_limit': {} is not supported, expected 7", *limit);
    if (const auto alpha = from_.number("swiglu_alpha"); alpha && *alpha != 1.702)
      fail("key 'swiglu_alpha': {} is not supported, expected 1.702", *alpha);
    // Where no length of experts is told, there is only one. llama.cpp looks for it here.
    copy_integer("expert_feed_forward_length", from_.find("moe_intermediate_size") != nullptr
                                                   ? "moe_intermediate_size"
                                                   : "intermediate_size");
    copy_integer("expert_shared_feed_forward_length", "shared_expert_intermediate_size");
    copy_boolean("expert_weights_norm", "norm_topk_prob");
    if (const auto frequency = from_.integer("moe_layer_freq"); frequency && *frequency != 1)
      fail("key 'moe_layer_freq': {} is not supported, expected 1", *frequency);
    const auto step = from_.integer("decoder_sparse_step");
    if (step && *step != 1)
      fail("key 'decoder_sparse_step': {} is not supported, expected 1", *step);
    const json* dense = from_.find("mlp_only_layers");
    if (dense != nullptr && !dense->empty())
      fail("key 'mlp_only_layers': layers without experts are not supported");
  }

  // How experts are scored, and of which groups they may be.
  void read_gating() {
    const bool is_sigmoid = into_.family->sigmoid_gating;
    const auto scoring = from_.text("scoring_func"), method = from_.text("topk_method");
    if (is_sigmoid && scoring && *scoring != "sigmoid")
      fail("key 'scoring_func': '{}' is not supported, expected 'sigmoid'", printable(*scoring));
    const bool has_groups = !method || *method != "greedy";
    const bool is_known =
        !method || (is_sigmoid ? *method == "noaux_tc"
                               : *method == "group_limited_greedy" || *method == "greedy");
    if (!is_known) fail("key 'topk_method': '{}' is not supported", printable(*method));
    if (is_sigmoid)  // llama_expert_gating_func_type
      set("expert_gating_func", "scoring_func", {uint32_t{2}});
    if (!has_groups) return;
    copy_integer("expert_group_count", "n_group");
    copy_integer("expert_group_used_count", "topk_group");
  }

  // Newer folders list the layers' kinds. Those without experts come first.
  void read_dense_layers() {
    constexpr std::string_view kKey = "mlp_layer_types";
    const json* types = from_.find(kKey);
    if (types == nullptr) return;
    if (!types->is_array()) fail("key '{}': expected a list", kKey);
    const auto first = std::find(types->begin(), types->end(), "sparse");
    if (std::any_of(types->begin(), first, [](const json& type) { return type != "dense"; }) ||
        std::any_of(first, types->end(), [](const json& type) { return type != "sparse"; }))
      fail("key '{}': other than dense layers before sparse ones is not supported", kKey);
    set("leading_dense_block_count", kKey, {static_cast<uint32_t>(first - types->begin())});
  }

  // Lengths of keys and values as they are kept, and as each head has them.
  void read_latent_attention() {
    if (from_.boolean("rope_interleave") == false)
      fail("key 'rope_interleave': false is not supported");
    copy_integer("attention.q_lora_rank", "q_lora_rank");
    copy_integer("attention.kv_lora_rank", "kv_lora_rank");
    copy_integer("attention.value_length_mla", "v_head_dim");
    const auto latent = from_.integer("kv_lora_rank"), rope = from_.integer("qk_rope_head_dim"),
               nope = from_.integer("qk_nope_head_dim");
    if (!latent || !rope || !nope)
      fail("keys 'kv_lora_rank', 'qk_rope_head_dim' and 'qk_nope_head_dim' are expected");
    const auto set_sum = [&](std::string_view fact, std::string_view key, int64_t value) {
      if (value > UINT32_MAX) fail("key '{}': {} is out of range", key, value);
      set(fact, key, {static_cast<uint32_t>(value)});
    };
    set_sum("attention.key_length_mla", "qk_nope_head_dim", *nope + *rope);
    set_sum("attention.key_length", "kv_lora_rank", *latent + *rope);
    set_sum("attention.value_length", "kv_lora_rank", *latent);
    set("attention.head_count_kv", "num_key_value_heads", {uint32_t{1}});
    into_.latent_key = *nope;
  }

  // Which layers are recurrent, and what these are like, in GGUF's names for state-space models.
  void read_recurrent_layers() {
    switch (into_.family->recurrent) {
      case RecurrentStyle::kLinearAttention:
        copy_integer("ssm.conv_kernel", "linear_conv_kernel_dim");
        copy_integer("full_attention_interval", "full_attention_interval");
        read_recurrence({"linear_num_value_heads", "linear_num_key_heads", "linear_key_head_dim",
                         "linear_value_head_dim"});
        into_.recurrent.spread_heads = into_.family->architecture != "qwen3next";
        return set_layer_kinds();
      case RecurrentStyle::kMamba:
        check_step_limits(from_);
        copy_integer("ssm.conv_kernel", "mamba_d_conv");
        read_recurrence({"mamba_n_heads", "mamba_n_groups", "mamba_d_state", "mamba_d_head"});
        into_.recurrent.is_state_space = true;
        if (into_.family->style == TensorStyle::kFalconH1) return read_multipliers();
        if (into_.family->rotary)
          set("rope.scaling.finetuned", "position_embedding_type",
              {from_.text("position_embedding_type") == "rope"});
        return set_layer_kinds();
      case RecurrentStyle::kConvolution:
        copy_integer("shortconv.l_cache", "conv_L_cache");
        if (const auto length = adjusted_feed_forward(from_))
          set("feed_forward_length", "intermediate_size", {*length});
        return set_layer_kinds();
      case RecurrentStyle::kNone:
        break;
    }
  }

  void read_multipliers() {
    into_.row_scales = read_row_scales(from_, into_.recurrent);
    into_.metadata.erase(std::string(into_.family->architecture) + ".embedding_scale");
    if (from_.boolean("tie_word_embeddings") != true) return;
    // The embedding's factor is in the output, too.
    const double output = from_.number("lm_head_multiplier").value_or(1),
                 embedding = from_.number("embedding_multiplier").value_or(1);
    if (!(output > 0 && embedding > 0))
      fail("keys 'lm_head_multiplier' and 'embedding_multiplier': expected positive numbers");
    set("logit_scale", "lm_head_multiplier", {static_cast<float>(output / embedding)});
  }

  // By the keys of heads, heads with keys of their own, and the lengths of keys and values.
  void read_recurrence(std::array<std::string_view, 4> keys) {
    std::array<int64_t, 4> found{};
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i] = from_.integer(keys[i]).value_or(0);
      if (found[i] < 1 || found[i] > 65536)
        fail("key '{}': {} is not from 1 to 65536", keys[i], found[i]);
    }
    copy_integer("ssm.time_step_rank", keys[0]);
    copy_integer("ssm.group_count", keys[1]);
    copy_integer("ssm.state_size", keys[2]);
    set("ssm.inner_size", keys[3], {static_cast<uint32_t>(found[0] * found[3])});
    into_.recurrent = {
        .heads = found[0], .key_heads = found[1], .key_dim = found[2], .value_dim = found[3]};
  }

  // No layer of Mamba-2 attends or feeds forward; other readers of GGUF want to be told.
  void set_no_other_parts() {
    const std::string prefix = std::string(into_.family->architecture) + ".";
    for (const char* fact : {"attention.key_length", "attention.value_length"})
      into_.metadata.erase(prefix + fact);
    set("attention.head_count", "num_attention_heads", {uint32_t{0}});
    set("feed_forward_length", "intermediate_size", {uint32_t{0}});
  }

  void set_layer_kinds() {
    if (into_.family->style == TensorStyle::kMamba2) return set_no_other_parts();
    const std::vector<LayerKind> kinds = read_layer_kinds(from_);
    if (into_.family->recurrent == RecurrentStyle::kLinearAttention) {
      if (kinds.empty()) return;
      std::vector<bool> recurrent;
      for (const LayerKind kind : kinds) {
        if (kind != LayerKind::kRecurrent && kind != LayerKind::kAttention)
          fail("key 'layer_types': feed-forward layers are not supported in {} models",
               into_.family->model_type);
        recurrent.push_back(kind == LayerKind::kRecurrent);
      }
      return set("attention.recurrent_layers", "layer_types", {GgufValue::Array(recurrent)});
    }
    if (kinds.empty()) fail("key 'layer_types' is missing (expected a list)");
    const auto keys = static_cast<uint32_t>(
        std::clamp<int64_t>(from_.integer("num_key_value_heads").value_or(0), 0, UINT32_MAX));
    std::vector<uint32_t> kv_heads, feed_forward;
    for (const LayerKind kind : kinds) kv_heads.push_back(kind == LayerKind::kAttention ? keys : 0);
    set("attention.head_count_kv", "num_key_value_heads", {GgufValue::Array(kv_heads)});
    set("block_count", "num_hidden_layers", {static_cast<uint32_t>(kinds.size())});
    if (into_.family->style != TensorStyle::kNemotronH) return;
    const auto length = [&](std::string_view key) {
      return static_cast<uint32_t>(
          std::clamp<int64_t>(from_.integer(key).value_or(0), 0, UINT32_MAX));
    };
    for (const LayerKind kind : kinds) {
      feed_forward.push_back(kind == LayerKind::kFeedForward ? length("intermediate_size")
                             : kind == LayerKind::kExperts   ? length("moe_intermediate_size")
                                                             : 0);
    }
    set("feed_forward_length", "intermediate_size", {GgufValue::Array(feed_forward)});
  }

  void read_attention_scale() {
    constexpr std::string_view kKey = "query_pre_attn_scalar";
    const auto scalar = from_.number(kKey);
    if (!scalar) return;
    if (!(*scalar > 0)) fail("key '{}': {} is not positive", kKey, *scalar);
    set("attention.scale", kKey, {static_cast<float>(1 / std::sqrt(*scalar))});
  }

  // SmolLM 3 lists them.
  void check_unrotated_layers() const {
    constexpr std::string_view kKey = "no_rope_layers";
    const auto rotated = from_.numbers(kKey);
    if (!rotated) return;
    const int64_t layers = from_.integer("num_hidden_layers").value_or(0);
    if (std::ssize(*rotated) != layers)
      fail("key '{}': {} values for {} layers", kKey, rotated->size(), layers);
    for (size_t i = 0; i < rotated->size(); ++i) {
      if (((*rotated)[i] != 0) != ((i + 1) % 4 != 0))
        fail("key '{}': other than every fourth layer is not supported", kKey);
    }
  }

  // Layers n, 2n, ... attend to everything, the others to a window; n = 1: all to the window.
  // Nothing if all attend to everything.
  std::optional<int64_t> window_period(int64_t layers) const {
    const json* types = from_.find("layer_types");
    if (types == nullptr) {
      if (from_.boolean("use_sliding_window") == false) return std::nullopt;
      if (from_.boolean("use_sliding_window") == true) {
        const int64_t first = from_.integer("max_window_layers").value_or(0);
        if (first >= layers) return std::nullopt;
        if (first > 0)
          fail("key 'max_window_layers': windows from layer {} on are not supported", first);
      }
      if (const auto pattern = from_.integer("_sliding_window_pattern")) return pattern;
      return from_.integer("sliding_window_pattern").value_or(1);
    }
    std::vector<bool> full;
    if (!types->is_array()) fail("key 'layer_types': expected a list");
    for (const json& type : *types) {
      const std::string name = type.is_string() ? type.get<std::string>() : type.dump();
      if (name != "full_attention" && name != "sliding_attention")
        fail("key 'layer_types': '{}' is not supported", printable(name));
      full.push_back(name == "full_attention");
    }
    if (static_cast<int64_t>(full.size()) != layers)
      fail("key 'layer_types': {} types for {} layers", full.size(), layers);
    if (into_.family->full_layers_first) return period_from_first(full);
    const auto first_full = std::ranges::find(full, true);
    // A period beyond the last layer: all have the window.
    const int64_t period = first_full == full.end() ? 1 : first_full - full.begin() + 1;
    if (std::ranges::find(full, false) == full.end()) return std::nullopt;
    for (size_t i = 0; i < full.size() && first_full != full.end(); ++i) {
      if (full[i] != ((static_cast<int64_t>(i) + 1) % period == 0))
        fail("key 'layer_types': full attention in other than every n-th layer is not supported");
    }
    return period;
  }

  // Layers 0, n, 2n, ... attend to everything.
  static std::optional<int64_t> period_from_first(const std::vector<bool>& full) {
    if (std::ranges::find(full, false) == full.end()) return std::nullopt;
    const auto second = std::find(full.begin() + 1, full.end(), true);
    const int64_t period = second - full.begin();  // beyond the last layer, if there is none
    for (size_t i = 0; i < full.size(); ++i) {
      if (full[i] != (static_cast<int64_t>(i) % period == 0))
        fail("key 'layer_types': full attention in other than every n-th layer is not supported");
    }
    return period;
  }

  void read_windows() {
    if (!into_.family->windows) return;
    const auto window = from_.integer("sliding_window");
    const int64_t layers = from_.integer("num_hidden_layers").value_or(0);
    const auto period = window ? window_period(layers) : std::nullopt;
    if (!period) return;
    set("attention.sliding_window", "sliding_window", {static_cast<uint32_t>(*window)});
    set("attention.sliding_window_pattern", "sliding_window_pattern",
        {static_cast<uint32_t>(*period)});
  }

  void read_ropes() {
    // Of latent attention only a part of each head is rotated, whose length this is.
    const double head_dim =
        from_.integer(into_.family->latent_attention ? "qk_rope_head_dim" : "head_dim")
            .value_or(from_.integer("hidden_size").value_or(0) /
                      std::max<int64_t>(1, from_.integer("num_attention_heads").value_or(1)));
    // Newer folders keep all of it in one object, by kind of layer where kinds differ.
    const json* all = from_.object("rope_parameters");
    const json* of_windows =
        all == nullptr ? nullptr : ConfigReader(*all).object("sliding_attention");
    const json* of_others = all == nullptr ? nullptr : ConfigReader(*all).object("full_attention");
    if (of_others == nullptr) of_others = all != nullptr ? all : from_.object("rope_scaling");
    static const json kNone = json::object();
    const ConfigReader rope(of_others == nullptr ? kNone : *of_others);

    read_sections(rope);
    if (const auto growth = rope.number("llama_4_scaling_beta"))
      set("attention.temperature_scale", "llama_4_scaling_beta", {static_cast<float>(*growth)});
    const double base =
        rope.number("rope_theta").value_or(from_.number("rope_theta").value_or(1e4));
    set("rope.freq_base", "rope_theta", {static_cast<float>(base)});
    auto local = from_.number("rope_local_base_freq");
    if (of_windows != nullptr) {
      const ConfigReader windows(*of_windows);
      if (const auto type = windows.text("rope_type"); type && *type != "default")
        fail("key 'rope_type': scaling '{}' of windowed layers is not supported", printable(*type));
      local = windows.number("rope_theta");
    }
    if (local) set("rope.freq_base_swa", "rope_local_base_freq", {static_cast<float>(*local)});

    const double usual = from_.number("rotary_dim").value_or(head_dim) / std::max(1.0, head_dim);
    const double part = rope.number("partial_rotary_factor")
                            .value_or(from_.number("partial_rotary_factor").value_or(usual));
    if (!(part > 0 && part <= 1)) fail("key 'partial_rotary_factor': {} is not in (0, 1]", part);
    const auto dimensions = static_cast<uint32_t>(head_dim * part);
    set("rope.dimension_count", "partial_rotary_factor", {dimensions});

    const RopeScaling scaling = read_rope_scaling(
        rope, {.dimensions = dimensions,
               .base = base,
               .context = static_cast<double>(from_.integer("max_position_embeddings").value_or(0)),
               .original_context = from_.number("original_max_position_embeddings"),
               .is_latent = into_.family->latent_attention,
               .has_log_multiplier = into_.family->architecture == "mistral3"});
    for (const auto& [fact, value] : scaling.facts) set(fact, "rope_scaling", value);
    into_.rope_factors = scaling.factors;
    into_.rope_factors_long = scaling.long_factors;
    into_.rope_factors_short = scaling.short_factors;
  }

  // Of images, positions have three parts, each of which turns some frequencies (M-RoPE, Wang et
  // al. 2024). They are equal for texts; other readers of GGUF want to be told.
  void read_sections(const ConfigReader& rope) {
    constexpr std::string_view kKey = "mrope_section";
    auto sections = rope.numbers(kKey);
    if (!sections) sections = from_.numbers(kKey);
    if (!sections) return;
    std::vector<int32_t> four(4);
    if (sections->size() > four.size()) fail("key '{}': {} sections", kKey, sections->size());
    for (size_t i = 0; i < sections->size(); ++i) {
      const float section = (*sections)[i];
      if (!(section >= 0 && section <= 65536)) fail("key '{}': {} is out of range", kKey, section);
      four[i] = static_cast<int32_t>(section);
    }
    set("rope.dimension_sections", kKey, {GgufValue::Array(four)});
  }

  const ConfigReader from_;
  ModelConfig& into_;
};

}  // namespace

json text_part(const json& config) {
  const json* text = ConfigReader(config).object("text_config");
  if (text == nullptr) return config;
  json part = *text;
  for (const char* key : {"tie_word_embeddings", "quantization_config"}) {
    if (!part.contains(key) && config.contains(key)) part[key] = config[key];
  }
  return part;
}

ModelConfig read_config(const json& config, std::string_view name) {
  json text = config;
  ModelConfig result;
  result.family = &complete_config(text);
  result.metadata.set("general.architecture", {std::string(result.family->architecture)});
  result.metadata.set("general.name", {std::string(name)});
  result.keys.emplace("general.architecture", "model_type");
  ConfigTranslation(text, result).run();
  return result;
}

void add_next_token_layers(ModelConfig& config, int count) {
  if (count == 0) return;
  const std::string prefix = std::string(config.family->architecture) + ".";
  const std::string recurrent = prefix + "attention.recurrent_layers";
  const auto set = [&](std::string_view fact, int64_t value) {
    config.metadata.set(prefix + std::string(fact), {static_cast<uint32_t>(value)});
  };
  set("block_count", std::min<int64_t>(config.layers + count, UINT32_MAX));
  set("nextn_predict_layers", count);
  if (auto of_layers = config.metadata.get_bools(recurrent)) {  // they attend
    of_layers->resize(of_layers->size() + static_cast<size_t>(count));
    config.metadata.set(recurrent, {GgufValue::Array(*of_layers)});
  }
}

void read_generation_config(const json& config, GgufMetadata& metadata) {
  const ConfigReader from(config);
  const auto set = [&](std::string_view fact, std::string_view key, double low, double high) {
    const auto value = from.number(key);
    if (!value) return;
    if (!(*value >= low && *value <= high))
      fail("key '{}': {} is not from {} to {}", key, *value, low, high);
    metadata.set("general.sampling." + std::string(fact), {static_cast<float>(*value)});
  };
  set("temp", "temperature", 0, 100);
  set("top_p", "top_p", 0, 1);
  const bool only_first = from.number("top_p") == 0.0;  // the smallest set of all
  if (only_first) metadata.set("general.sampling.top_p", {1.0f});
  set("min_p", "min_p", 0, 1);
  set("penalty_repeat", "repetition_penalty", 0.01, 100);
  if (const auto top_k = from.number("top_k")) {
    if (*top_k < -1 || std::trunc(*top_k) != *top_k)
      fail("key 'top_k': expected a whole number from -1 on, found {}", *top_k);
    // vLLM's word for off is -1.
    metadata.set("general.sampling.top_k",
                 {static_cast<int32_t>(std::clamp(*top_k, 0.0, 1073741824.0))});
  }
  if (only_first) metadata.set("general.sampling.top_k", {int32_t{1}});
}

}  // namespace tessera::huggingface
