// What a checkpoint ships for chatting: Jinja sources that turn messages into a prompt.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace tessera {

struct ChatTemplates {
  std::optional<std::string> standard;
  std::map<std::string, std::string> named;  // for some purpose: "tool_use", "rag"
};

}  // namespace tessera
