// Why an answer ended.
#pragma once

namespace tessera {

enum class FinishReason { kNone, kStop, kLength, kCancelled, kFailed };

// OpenAI's words: "stop", "length", "cancelled", "error"; "none" while it goes on.
constexpr const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kFailed:
      return "error";
    case FinishReason::kNone:
      break;
  }
  return "none";
}

}  // namespace tessera
