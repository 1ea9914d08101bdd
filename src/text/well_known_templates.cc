#include "text/well_known_templates.h"

#include <fmt/ranges.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/closest.h"
#include "base/error.h"
#include "text/chat.h"

namespace tessera {
namespace {

constexpr size_t kMostBytes = size_t{4} << 20;

// Qwen, SmolLM, Yi and many more.
constexpr std::string_view kChatMl = R"({% for message in messages %}
{{ '<|im_start|>' ~ message.role }}
{% if message.content is string %}
{{ message.content }}
{%- elif message.content %}
{{ message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}
{%- endif %}
{{ '<|im_end|>' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\n' }}
{%- endif %})";

// Llama 2. The system text is part of the first turn; each turn of the user begins the sequence
// anew.
constexpr std::string_view kLlama2 = R"({%- set ns = namespace(system='') %}
{%- for message in messages %}
    {%- if not loop.first and loop.previtem.role == message.role %}
        {{- raise_exception('roles must alternate') }}
    {%- elif message.role == 'system' and loop.first %}
        {%- set ns.system = '<<SYS>>\n' ~ message.content ~ '\n<</SYS>>\n\n' %}
    {%- elif message.role == 'user' %}
        {{- bos_token ~ '[INST] ' ~ ns.system ~ message.content | trim ~ ' [/INST]' }}
        {%- set ns.system = '' %}
    {%- elif message.role == 'assistant' %}
        {{- ' ' ~ message.content | trim ~ ' ' ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %})";

// Llama 3 to 3.3.
constexpr std::string_view kLlama3 = R"({{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' }}
    {{- message.content | trim ~ '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %})";

// Gemma 1 to 3.
constexpr std::string_view kGemma = R"({{- bos_token }}
{%- for message in messages %}
    {%- if not loop.first and loop.previtem.role == message.role %}
        {{- raise_exception('roles must alternate') }}
    {%- elif message.role not in ['user', 'assistant'] %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
    {{- '<start_of_turn>' ~ ('model' if message.role == 'assistant' else 'user') ~ '\n' }}
    {{- message.content | trim ~ '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %})";

// Mistral 7B to its second version, Mixtral.
constexpr std::string_view kMistral = R"({{- bos_token }}
{%- for message in messages %}
    {%- if not loop.first and loop.previtem.role == message.role %}
        {{- raise_exception('roles must alternate') }}
    {%- elif message.role == 'user' %}
        {{- '[INST] ' ~ message.content ~ ' [/INST]' }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' ~ message.content | trim ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %})";

// Mistral's models since Mistral Large 2411, with a place for the system text.
constexpr std::string_view kMistralV7 = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- '[SYSTEM_PROMPT]' ~ message.content ~ '[/SYSTEM_PROMPT]' }}
    {%- elif message.role == 'user' %}
        {{- '[INST]' ~ message.content ~ '[/INST]' }}
    {%- elif message.role == 'assistant' %}
        {{- message.content ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %})";

// Phi 3 and 3.5.
constexpr std::string_view kPhi3 = R"({%- for message in messages %}
    {{- '<|' ~ message.role ~ '|>\n' ~ message.content ~ '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})";

constexpr std::string_view kPhi4 = R"({%- for message in messages %}
    {{- '<|im_start|>' ~ message.role ~ '<|im_sep|>' ~ message.content ~ '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant<|im_sep|>' }}
{%- endif %})";

constexpr std::string_view kZephyr = R"({%- for message in messages %}
    {{- '<|' ~ message.role ~ '|>\n' ~ message.content ~ eos_token ~ '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})";

// Vicuna 1.1 and later, as FastChat writes it.
constexpr std::string_view kVicuna = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content ~ ' ' }}
    {%- elif message.role == 'user' %}
        {{- 'USER: ' ~ message.content ~ ' ' }}
    {%- elif message.role == 'assistant' %}
        {{- 'ASSISTANT: ' ~ message.content ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'ASSISTANT:' }}
{%- endif %})";

constexpr std::string_view kAlpaca = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content ~ '\n\n' }}
    {%- elif message.role == 'user' %}
        {{- '### Instruction:\n' ~ message.content ~ '\n\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '### Response:\n' ~ message.content ~ eos_token ~ '\n\n' }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '### Response:\n' }}
{%- endif %})";

// DeepSeek LLM, Coder V2, V2 and V2.5.
constexpr std::string_view kDeepSeek = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content ~ '\n\n' }}
    {%- elif message.role == 'user' %}
        {{- 'User: ' ~ message.content ~ '\n\n' }}
    {%- elif message.role == 'assistant' %}
        {{- 'Assistant: ' ~ message.content ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Assistant:' }}
{%- endif %})";

// DeepSeek V3 and R1.
constexpr std::string_view kDeepSeek3 = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content }}
    {%- elif message.role == 'user' %}
        {{- '<｜User｜>' ~ message.content }}
    {%- elif message.role == 'assistant' %}
        {{- '<｜Assistant｜>' ~ message.content ~ eos_token }}
    {%- else %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<｜Assistant｜>' }}
{%- endif %})";

constexpr std::string_view kCommandR = R"({{- bos_token }}
{%- set names = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} %}
{%- for message in messages %}
    {%- if message.role not in names %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
    {{- '<|START_OF_TURN_TOKEN|><|' ~ names[message.role] ~ '_TOKEN|>' }}
    {{- message.content | trim ~ '<|END_OF_TURN_TOKEN|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}
{%- endif %})";

// Granite 3.
constexpr std::string_view kGranite = R"({%- for message in messages %}
    {{- '<|start_of_role|>' ~ message.role ~ '<|end_of_role|>' ~ message.content }}
    {{- '<|end_of_text|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_of_role|>assistant<|end_of_role|>' }}
{%- endif %})";

// OpenChat 3.5 and Starling.
constexpr std::string_view kOpenChat = R"({{- bos_token }}
{%- for message in messages %}
    {%- if message.role in ['user', 'assistant'] %}
        {{- 'GPT4 Correct ' ~ message.role | capitalize ~ ': ' }}
    {%- elif message.role != 'system' %}
        {{- raise_exception('no place for the role ' ~ message.role) }}
    {%- endif %}
    {{- message.content ~ '<|end_of_turn|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'GPT4 Correct Assistant:' }}
{%- endif %})";

constexpr auto kTemplates = std::to_array<WellKnownTemplate>({
    {"alpaca", kAlpaca},
    {"chatml", kChatMl},
    {"command-r", kCommandR},
    {"deepseek", kDeepSeek},
    {"deepseek3", kDeepSeek3},
    {"gemma", kGemma},
    {"granite", kGranite},
    {"llama2", kLlama2},
    {"llama3", kLlama3},
    {"mistral", kMistral},
    {"mistral-v7", kMistralV7},
    {"openchat", kOpenChat},
    {"phi3", kPhi3},
    {"phi4", kPhi4},
    {"vicuna", kVicuna},
    {"zephyr", kZephyr},
});

std::string read_file(const std::string& path, std::FILE* file) {
  std::string text;
  char buffer[1 << 16];
  size_t count = 0;
  while (text.size() <= kMostBytes && (count = std::fread(buffer, 1, sizeof buffer, file)) > 0) {
    text.append(buffer, count);
  }
  const int error = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (error != 0) fail("cannot read the chat template '{}': {}", path, std::strerror(error));
  if (text.size() > kMostBytes) {
    fail("the chat template '{}' has more than {} bytes", path, kMostBytes);
  }
  return text;
}

}  // namespace

const std::string_view kChatMlTemplate = kChatMl;

std::span<const WellKnownTemplate> well_known_templates() {
  return kTemplates;
}

std::string find_chat_template(const std::string& name_or_file) {
  std::vector<std::string> names;
  for (const auto& [name, source] : kTemplates) {
    if (name == name_or_file) return std::string(source);
    names.emplace_back(name);
  }
  if (std::FILE* file = std::fopen(name_or_file.c_str(), "rb")) {
    return read_file(name_or_file, file);
  }
  const int error = errno;
  const std::string_view meant = closest(name_or_file, names);
  fail("there is no chat template '{}'{}: expected a Jinja file ({}) or one of {}", name_or_file,
       meant.empty() ? "" : fmt::format(" (did you mean '{}'?)", meant), std::strerror(error),
       fmt::join(names, ", "));
}

}  // namespace tessera
