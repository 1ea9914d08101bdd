#include "jinja/template.h"

#include <nlohmann/json.hpp>

#include "jinja/parser.h"

namespace tessera::jinja {
namespace {

// A template chooses the words of its errors; they still have to fit one line.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  constexpr size_t kMaxLength = 2000;
  if (text.size() > kMaxLength) {
    size_t end = kMaxLength;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return text;
}

}  // namespace

Template::Template(std::string_view source) : template_(parse(source)) {}

std::string Template::render(const nlohmann::ordered_json& variables,
                             const RenderOptions& options) const {
  Interpreter interpreter(options, variables);
  try {
    return interpreter.run(template_);
  } catch (const Error& error) {
    fail("line {}: {}", interpreter.line(), one_line(error.what()));
  }
}

}  // namespace tessera::jinja
