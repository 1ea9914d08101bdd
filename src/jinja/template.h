// A Jinja template, complete enough for the chat templates that models ship.
//
// It follows Jinja 3.1 as Hugging Face's transformers sets it up: trim_blocks and lstrip_blocks,
// the loop controls break and continue, the {% generation %} tag, `tojson` without HTML escaping,
// no auto-escaping unless {% autoescape %} asks for it. Differences: integers have 64 bits,
// generators can be read more than once, lists and dictionaries may be changed
// (container_methods.cc), `random` always chooses the same item of a list, and `lipsum` does not
// exist. A template is alone: extends, include and import are unknown tags.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "jinja/ast.h"
#include "jinja/interpreter.h"

namespace tessera::jinja {

class Template {
 public:
  // Throws Error "line L, column C: ..." for a syntax error.
  explicit Template(std::string_view source);

  // Throws Error "line L: ..." for a mistake in the template, for what it raises itself, and when
  // a limit is passed. `variables` is an object. Several threads may render at once.
  std::string render(const nlohmann::ordered_json& variables,
                     const RenderOptions& options = {}) const;

 private:
  ast::Template template_;
};

}  // namespace tessera::jinja
