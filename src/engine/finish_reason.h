// Why an answer ended.
#pragma once

namespace tessera {

// kNoAnswer: of a beam search that found fewer texts than it has beams.
enum class FinishReason { kNone, kStop, kLength, kCancelled, kFailed, kNoAnswer };

// OpenAI's words: "stop", "length", "cancelled", "error"; "none" while it goes on, and
// where there is no answer.
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
    case FinishReason::kNoAnswer:
    case FinishReason::kNone:
      break;
  }
  return "none";
}

}  // namespace tessera
