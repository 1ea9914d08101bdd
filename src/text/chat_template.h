// A model's chat template: Jinja source that turns messages into a prompt.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tessera {

namespace jinja {
class Template;
struct RenderOptions;
}  // namespace jinja

class ChatTemplate {
 public:
  // Parses; throws Error with line and column for a syntax error.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // Renders with `variables` (an object: messages, tools, add_generation_prompt, bos_token,
  // eos_token, ...), as Hugging Face's apply_chat_template does: trim_blocks and lstrip_blocks on.
  // Throws Error for raise_exception(...), for an undefined operation, and when the work or the
  // output grows beyond a bound (templates are untrusted).
  std::string render(const nlohmann::ordered_json& variables) const;
  // With other bounds, or another clock for strftime_now().
  std::string render(const nlohmann::ordered_json& variables,
                     const jinja::RenderOptions& options) const;

 private:
  std::unique_ptr<const jinja::Template> template_;
};

}  // namespace tessera
