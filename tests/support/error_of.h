// What an action's Error says.
#pragma once

#include <string>

#include "base/error.h"

namespace tessera {

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace tessera
