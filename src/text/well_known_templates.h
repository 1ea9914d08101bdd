// Chat templates of well-known formats, for models that ship none or a wrong one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tessera {

struct WellKnownTemplate {
  std::string_view name;
  std::string_view source;  // Jinja
};

// A row for each. The words are ours; the formats are those that the families were trained on.
std::span<const WellKnownTemplate> well_known_templates();

// The template of that name, or what the file holds. Throws Error naming what is there.
std::string find_chat_template(const std::string& name_or_file);

}  // namespace tessera
