// What a chat template can take, found out by rendering small conversations with it.
#pragma once

#include <string>

#include "text/chat_template.h"

namespace tessera {

// By default everything: what cannot be told of a template is left to the template.
struct TemplateCapabilities {
  bool system_role = true;   // a first message of the role "system" reaches the prompt
  bool lone_system = true;   // also if the user says nothing
  bool late_system = true;   // so does one after other turns
  bool more_systems = true;  // so do several
  // Two turns of one role in a row are taken, and both are shown.
  bool repeated_user = true, repeated_assistant = true;
  bool leading_assistant = true;  // the first turn may be the assistant's
  // Contents may be texts; else they are lists of parts, {"type", "text"}.
  bool text_content = true;
  bool tools = false;  // function declarations reach the prompt
  // Results do as turns of the role "tool", or else beside the calls (tool_responses.h).
  bool tool_role = true, tool_responses = false;
};

// A template lacks what makes it raise an exception, and also what it silently leaves out: each
// text of a probe must be found in the prompt. Never throws; takes a few renderings with small
// bounds.
TemplateCapabilities probe_template(const ChatTemplate& source, const std::string& bos_token,
                                    const std::string& eos_token);

}  // namespace tessera
