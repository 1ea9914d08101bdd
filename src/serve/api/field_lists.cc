// The fields of OpenAI's API, and those that users of vLLM, llama.cpp and Ollama know beside them.
#include "serve/api/field_table.h"

namespace tessera::serve {
namespace {

using enum FieldUse;

constexpr FieldGroup kEveryRequest[] = {
    {kHonoured, "model"},
    {kIgnored,
     "user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention "
     "request_id keep_alive id_slot cache_prompt"},
};

// What makes a text, or a conversation, the tokens that the model reads.
constexpr FieldGroup kTemplate[] = {
    {kHonoured,
     "messages tools chat_template chat_template_kwargs add_generation_prompt "
     "continue_final_message"},
    {kNeutral, "documents", "[[]]"},
    {kNeutral, "chat_template_content_format", R"(["auto", "string"])"},
    {kRefused, "reasoning_effort think enable_thinking",
     "give what the chat template knows in 'chat_template_kwargs'"},
    {kRefused, "functions", "use 'tools'"},
};

constexpr FieldGroup kTokens[] = {
    {kHonoured, "add_special_tokens parse_special truncate_prompt_tokens"},
};

constexpr FieldGroup kGeneration[] = {
    {kHonoured,
     "max_tokens max_completion_tokens n_predict min_tokens n stop stop_token_ids bad_words "
     "ignore_eos seed stream stream_options temperature top_p top_k min_p presence_penalty "
     "frequency_penalty repetition_penalty repeat_penalty repeat_last_n logit_bias logprobs "
     "response_format json_schema grammar priority cache_salt decoder prediction use_beam_search "
     "num_beams beam_width length_penalty early_stopping lora"},
    // They say how something is done that is not done at all, or that changes no text.
    {kIgnored,
     "mirostat_tau mirostat_eta xtc_threshold dry_base dry_allowed_length dry_penalty_last_n "
     "dry_sequence_breakers dynatemp_exponent n_keep n_discard speculative.n_max speculative.n_min "
     "speculative.p_min speculative.type"},
    {kNeutral, "typical_p typ_p tfs_z", "[1]"},
    {kNeutral, "mirostat xtc_probability dry_multiplier dynatemp_range min_keep n_probs n_indent",
     "[0]"},
    {kNeutral, "top_n_sigma", "[-1, 0]"},
    {kNeutral, "t_max_predict_ms", "[-1, 0]"},
    {kNeutral,
     "include_stop_str_in_output return_token_ids return_tokens_as_token_ids "
     "return_tokens post_sampling_probs timings_per_token return_progress penalize_nl",
     "[false]"},
    {kNeutral, "skip_special_tokens spaces_between_special_tokens detokenize", "[true]"},
    {kNeutral, "allowed_token_ids logits_processors", "[[]]"},
    {kRefused,
     "guided_json guided_regex guided_grammar guided_choice guided_decoding_backend "
     "guided_whitespace_pattern structured_outputs",
     "use 'response_format' or 'grammar'"},
    {kRefused, "format", "use 'response_format'"},
    {kRefused, "options", "give its members as fields of the request"},
    {kRefused,
     "samplers prompt_logprobs kv_transfer_params vllm_xargs audio raw system template "
     "context images"},
};

constexpr FieldGroup kChat[] = {
    {kHonoured, "tool_choice parallel_tool_calls top_logprobs reasoning_format"},
    {kNeutral, "echo thinking_forced_open", "[false]"},
    {kNeutral, "parse_tool_calls include_reasoning", "[true]"},
    {kNeutral, "modalities", R"([["text"]])"},
    {kNeutral, "verbosity", R"(["medium"])"},
    {kNeutral, "reasoning_budget thinking_budget_tokens", "[-1]"},
    {kRefused, "function_call", "use 'tool_choice'"},
    {kRefused, "web_search_options"},
};

constexpr FieldGroup kCompletion[] = {
    {kHonoured, "prompt echo best_of"},
    {kNeutral, "suffix", R"([""])"},
    {kRefused, "messages tools", "use /v1/chat/completions"},
};

constexpr FieldGroup kEmbedding[] = {
    {kHonoured, "input encoding_format pooling cache_salt lora"},
    {kNeutral, "normalize", "[true]"},
    {kNeutral, "embd_normalize", "[2]"},
    {kNeutral, "priority", "[0]"},
    {kRefused, "dimensions", "the model has one size"},
};

constexpr FieldGroup kTokenize[] = {
    {kHonoured, "prompt content add_special add_special_tokens parse_special"},
    {kNeutral, "with_pieces return_token_strs", "[false]"},
};

constexpr FieldGroup kDetokenize[] = {{kHonoured, "tokens"}};

constexpr FieldGroup kMessage[] = {
    {kHonoured, "role content tool_calls tool_call_id name reasoning_content reasoning"},
    {kIgnored,
     "refusal annotations id status timestamp created_at provider_specific_fields cache_control "
     "weight"},
    {kRefused, "function_call", "use 'tool_calls'"},
    {kRefused, "audio images"},
};

constexpr FieldGroup kTextPart[] = {
    {kHonoured, "type text refusal"},
    {kIgnored, "annotations logprobs id index cache_control"},
};

constexpr FieldGroup kPrediction[] = {
    {kHonoured, "type content"},
};

constexpr FieldGroup kLora[] = {{kHonoured, "id name scale"}};

constexpr FieldGroup kStreamOptions[] = {
    {kHonoured, "include_usage"},
    {kIgnored, "include_obfuscation"},
    {kNeutral, "continuous_usage_stats", "[false]"},
};

constexpr FieldGroup kResponseFormat[] = {{kHonoured, "type json_schema schema"}};
constexpr FieldGroup kJsonSchema[] = {
    {kHonoured, "schema"},
    {kIgnored, "name description strict"},  // the schema is always kept strictly
};

}  // namespace

const FieldTable kChatFields{kEveryRequest, kChat, kTemplate, kTokens, kGeneration};
const FieldTable kCompletionFields{kEveryRequest, kCompletion, kTokens, kGeneration};
const FieldTable kEmbeddingFields{kEveryRequest, kEmbedding, kTokens};
const FieldTable kTokenizeFields{kEveryRequest, kTokenize, kTemplate};
const FieldTable kDetokenizeFields{kEveryRequest, kDetokenize};
const FieldTable kMessageFields{kMessage};
const FieldTable kTextPartFields{kTextPart};
const FieldTable kPredictionFields{kPrediction};
const FieldTable kLoraFields{kLora};
const FieldTable kStreamOptionsFields{kStreamOptions};
const FieldTable kResponseFormatFields{kResponseFormat};
const FieldTable kJsonSchemaFields{kJsonSchema};

}  // namespace tessera::serve
