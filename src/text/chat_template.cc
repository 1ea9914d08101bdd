#include "text/chat_template.h"

#include "base/error.h"
#include "jinja/template.h"

namespace tessera {
namespace {

// Adds to a message whose template it is about.
template <typename Action>
auto with_context(Action&& action) {
  try {
    return action();
  } catch (const Error& error) {
    fail("chat template, {}", error.what());
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source)
    : template_(with_context([&] { return std::make_unique<const jinja::Template>(source); })) {}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  return render(variables, {});
}

std::string ChatTemplate::render(const nlohmann::ordered_json& variables,
                                 const jinja::RenderOptions& options) const {
  return with_context([&] { return template_->render(variables, options); });
}

}  // namespace tessera
