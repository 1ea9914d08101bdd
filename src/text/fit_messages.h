// Makes a conversation one that a template can take.
#pragma once

#include <vector>

#include "text/chat.h"

namespace tessera {

// The messages, as far as the template takes them as they are; what it does not take is said in
// turns that it takes, so that no text is lost:
//   - system messages it has no place for go before the text of the user's next turn,
//   - turns of one role in a row, where it wants roles to alternate, become one turn,
//   - before an assistant that speaks first, where it wants a user to, the user says nothing,
//   - texts become parts.
// Texts are joined by an empty line.
std::vector<Message> fit_messages(std::vector<Message> messages,
                                  const TemplateCapabilities& capabilities);

}  // namespace tessera
