#include "files/huggingface/write_config.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "files/huggingface/rope_scaling.h"

namespace tessera::huggingface {
namespace {

using nlohmann::ordered_json;

class Description {
 public:
  Description(const Checkpoint& model, const Family& family)
      : model_(model), facts_(model.facts()), family_(family) {}

  ordered_json json;

  void copy_shape() {
    const bool is_mixture = integer("expert_count").value_or(0) > 0;
    if (is_mixture) copy_experts();
    copy("vocab_size", model_.require({TensorRole::kTokenEmbedding}).rows());
    for (const auto& [key, fact] : kIntegers) copy(key, integer(fact));
    const auto width = integer("feed_forward_length");
    if (!is_mixture || (width && !family_.sparse_moe_block)) {
      copy("intermediate_size", width);
    } else {  // that of an expert, where nothing else is dense
      copy("intermediate_size", model_.require({TensorRole::kExpertsDown, 0}).columns());
    }
    const int64_t heads = *integer("attention.head_count");
    copy("num_key_value_heads", integer("attention.head_count_kv").value_or(heads));
    head_dim_ = integer("attention.key_length")
                    .value_or(*integer("embedding_length") / std::max<int64_t>(1, heads));
    copy("head_dim", head_dim_);
    copy("rms_norm_eps", number("attention.layer_norm_rms_epsilon").value_or(1e-5));
    if (family_.multipliers) {
      copy("attention_multiplier", attention_scale());
      copy("embedding_multiplier", number("embedding_scale").value_or(1));
      copy("residual_multiplier", number("residual_scale").value_or(1));
      copy("logits_scaling", number("logit_scale").value_or(1));
    } else if (const auto scale = number("attention.scale")) {
      copy("query_pre_attn_scalar", 1 / (*scale * *scale));
    } else if (family_.head_dim_scale_layers > 0) {
      const bool of_heads = *integer("block_count") <= family_.head_dim_scale_layers;
      copy("query_pre_attn_scalar",
           of_heads ? head_dim_ : *integer("embedding_length") / std::max<int64_t>(1, heads));
    }
    for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      if (const auto value = number(cap)) copy(cap, *value);
    }
    json["tie_word_embeddings"] = model_.find({TensorRole::kOutput}) == nullptr;
  }

  void copy_windows(int family_period) {
    const auto window = integer("attention.sliding_window");
    if (!window || *window == 0) return;
    const int64_t period = integer("attention.sliding_window_pattern").value_or(family_period);
    copy("sliding_window", *window);
    copy("sliding_window_pattern", period);
    ordered_json types = ordered_json::array();
    const auto layers = integer("block_count");
    if (!layers || *layers < 0 || static_cast<uint64_t>(*layers) > model_.tensors().size())
      fail("key '{}': no number of layers", facts_.key_of("block_count"));
    for (int64_t i = 1; i <= *layers; ++i)
      types.push_back(period > 1 && i % period == 0 ? "full_attention" : "sliding_attention");
    json["layer_types"] = types;
  }

  void copy_ropes() {
    base_ = number("rope.freq_base").value_or(10000);
    copy("rope_theta", base_);
    if (const auto local = number("rope.freq_base_swa")) copy("rope_local_base_freq", *local);
    const int64_t dimensions = integer("rope.dimension_count").value_or(head_dim_);
    if (dimensions != head_dim_)
      copy("partial_rotary_factor",
           static_cast<double>(dimensions) / static_cast<double>(head_dim_));
    dimensions_ = static_cast<uint32_t>(dimensions);
    ordered_json scaling = scaling_of_facts();
    if (const auto* factors = model_.find({TensorRole::kRopeFactors})) {
      if (!scaling.is_null()) fail("rotary embeddings of factors and a scaling, too");
      scaling = llama3_scaling(values(*factors));
    }
    json["rope_scaling"] = scaling;
  }

 private:
  void copy_experts() {
    const bool has_words =
        !family_.latent_attention && !family_.sigmoid_gating && !family_.fused_experts;
    if (!has_words)
      fail("mixtures of experts of '{}' cannot be written as a Hugging Face folder yet",
           family_.architecture);
    copy(family_.sparse_moe_block ? "num_local_experts" : "num_experts", integer("expert_count"));
    copy("num_experts_per_tok", integer("expert_used_count"));
    if (family_.sparse_moe_block) return;
    copy("moe_intermediate_size", model_.require({TensorRole::kExpertsDown, 0}).columns());
    if (const auto* shared = model_.find({TensorRole::kSharedExpertDown, 0}))
      copy("shared_expert_intermediate_size", shared->columns());
    // What GGUF's readers take where a file is silent.
    json["norm_topk_prob"] =
        facts_.get_bool("expert_weights_norm").value_or(family_.architecture == "qwen3moe");
    json["decoder_sparse_step"] = 1;
    json["mlp_only_layers"] = ordered_json::array();
  }

  static constexpr std::pair<const char*, const char*> kIntegers[] = {
      {"hidden_size", "embedding_length"},
      {"num_hidden_layers", "block_count"},
      {"num_attention_heads", "attention.head_count"},
      {"max_position_embeddings", "context_length"},
  };

  std::optional<int64_t> integer(std::string_view fact) const {
    if (facts_.is_list(fact))
      fail("key '{}' differs by layer, which config.json has no words for", facts_.key_of(fact));
    return facts_.get_int(fact);
  }
  double attention_scale() const {
    return number("attention.scale").value_or(1 / std::sqrt(static_cast<double>(head_dim_)));
  }
  std::optional<double> number(std::string_view fact) const { return facts_.get_float(fact); }
  void copy(const char* key, const std::optional<int64_t>& value) {
    if (!value) fail("the model does not say what '{}' is", key);
    json[key] = *value;
  }
  // As short as the f32 it was: 1e-06, not 9.999999974752427e-07.
  void copy(const char* key, double value) {
    json[key] = nlohmann::ordered_json::parse(fmt::format("{}", static_cast<float>(value)));
  }
  void copy(const char* key, uint64_t value) { json[key] = value; }
  void copy(const char* key, int64_t value) { json[key] = value; }

  static std::vector<float> values(const StoredTensor& tensor) {
    std::vector<float> result(tensor.elements());
    tensor.decode(0, tensor.rows(), result);
    return result;
  }

  ordered_json scaling_of_facts() {
    const bool has_factors = model_.find({TensorRole::kRopeFactorsLong}) != nullptr;
    const std::string type =
        facts_.get_string("rope.scaling.type").value_or(has_factors ? "longrope" : "none");
    const double factor = number("rope.scaling.factor").value_or(1);
    const auto original = integer("rope.scaling.original_context_length");
    if (type == "none" || (type == "linear" && factor == 1)) return nullptr;
    ordered_json scaling = {{"rope_type", type}, {"type", type}};
    if (type == "linear") {
      scaling["factor"] = factor;
    } else if (type == "yarn") {
      scaling["factor"] = factor;
      scaling["original_max_position_embeddings"] =
          original ? ordered_json(*original) : json["max_position_embeddings"];
      scaling["beta_fast"] = number("rope.scaling.yarn_beta_fast").value_or(32);
      scaling["beta_slow"] = number("rope.scaling.yarn_beta_slow").value_or(1);
      scaling["attention_factor"] = number("rope.scaling.yarn_attn_factor").value_or(1) *
                                    number("rope.scaling.attn_factor").value_or(1) *
                                    (1 + 0.1 * std::log(factor));
    } else if (type == "longrope" && original) {
      scaling["long_factor"] = values(model_.require({TensorRole::kRopeFactorsLong}));
      scaling["short_factor"] = values(model_.require({TensorRole::kRopeFactorsShort}));
      scaling["attention_factor"] = number("rope.scaling.attn_factor").value_or(1);
      json["original_max_position_embeddings"] = *original;
    } else {
      fail("RoPE scaling '{}' has no words in config.json", type);
    }
    return scaling;
  }

  // Llama 3's parameters, which its factors follow from: the largest factor, and two wavelengths
  // that lie on the line between both ends. Error if no parameters give these factors.
  ordered_json llama3_scaling(const std::vector<float>& factors) {
    const auto wavelength = [&](size_t i) {
      return 2 * std::numbers::pi * std::pow(base_, 2.0 * static_cast<double>(i) / dimensions_);
    };
    const double factor = factors.empty() ? 1 : factors.back();
    // 1 / f = (1 - s) / factor + s with s = (original / wavelength - low) / (high - low): two
    // points.
    std::vector<std::pair<double, double>> line;  // 1 / wavelength, s
    for (size_t i = 0; i < factors.size(); ++i) {
      const double s = (1 / static_cast<double>(factors[i]) - 1 / factor) / (1 - 1 / factor);
      if (s > 0.02 && s < 0.98) line.emplace_back(1 / wavelength(i), s);
    }
    if (!line.empty()) {
      const auto [x0, s0] = line.front();
      const auto [x1, s1] = line.back();
      // With one point alone, the usual low_freq_factor 1 and high_freq_factor 4.
      const double slope = line.size() == 1 ? (s0 + 1.0 / 3) / x0 : (s1 - s0) / (x1 - x0);
      const double ratio = slope * x0 - s0;  // low / (high - low)
      const double low = 1, high = low + low / ratio;
      const double original = std::round(slope * (high - low));
      const ordered_json scaling = {{"rope_type", "llama3"},
                                    {"factor", factor},
                                    {"low_freq_factor", low},
                                    {"high_freq_factor", std::round(high * 1000) / 1000},
                                    {"original_max_position_embeddings", original}};
      const nlohmann::json plain = scaling;
      const auto again = read_rope_scaling(ConfigReader(plain), {.dimensions = dimensions_,
                                                                 .base = base_,
                                                                 .context = 0,
                                                                 .original_context = std::nullopt});
      bool same = again.factors.size() == factors.size();
      for (size_t i = 0; same && i < factors.size(); ++i)
        same = std::abs(again.factors[i] - factors[i]) <= 1e-4f * factors[i];
      if (same) return scaling;
    }
    fail("the factors of the rotary embedding are none that config.json can describe");
  }

  const Checkpoint& model_;
  const Facts& facts_;
  const Family& family_;
  int64_t head_dim_ = 0;
  double base_ = 10000;
  uint32_t dimensions_ = 0;
};

}  // namespace

ordered_json write_config(const Checkpoint& model, const Family& family) {
  Description description(model, family);
  description.json = {{"architectures", {family.class_name}},
                      {"model_type", family.model_type},
                      {family.post_norms ? "hidden_activation" : "hidden_act", family.activation}};
  description.copy_shape();
  description.copy_windows(
      nlohmann::json::parse(family.defaults).value("sliding_window_pattern", 1));
  description.copy_ropes();
  const bool has_biases = model.find({TensorRole::kQueryBias, 0}) != nullptr;
  if (family.model_type == "llama" || (has_biases && family.architecture != "qwen2"))
    description.json["attention_bias"] = has_biases;
  return description.json;
}

}  // namespace tessera::huggingface
