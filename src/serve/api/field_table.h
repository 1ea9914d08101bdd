// Which members the objects of the API may have. A field that changes an answer is honoured or
// refused by name; fields that change none are a closed list; nothing else is taken.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/fields.h"

namespace tessera::serve {

enum class FieldUse {
  kHonoured,
  kIgnored,  // says nothing of the answer
  kNeutral,  // not supported, but may have a value that asks for nothing
  kRefused,
};

// Fields of one use.
struct FieldGroup {
  FieldUse use;
  std::string_view names;  // separated by blanks
  // kNeutral: a JSON list of the values that ask for nothing. kRefused: what to use instead, or
  // empty.
  std::string_view detail = {};
};

class FieldTable {
 public:
  struct Entry {
    std::string name;
    FieldUse use;
    std::string_view detail;
  };

  explicit FieldTable(std::initializer_list<std::span<const FieldGroup>> groups);
  // Throws ApiError for the first member that is not to be taken. Members that are null are not
  // there.
  void check(const Fields& fields) const;
  std::span<const Entry> entries() const { return entries_; }

 private:
  [[noreturn]] void refuse_unknown(const Fields& fields, std::string_view name) const;

  std::vector<Entry> entries_;
};

// Bodies of requests.
extern const FieldTable kChatFields;
extern const FieldTable kCompletionFields;
extern const FieldTable kEmbeddingFields;
extern const FieldTable kTokenizeFields;
extern const FieldTable kDetokenizeFields;
// Objects in them.
extern const FieldTable kMessageFields;
extern const FieldTable kTextPartFields;
extern const FieldTable kPredictionFields;
extern const FieldTable kLoraFields;
extern const FieldTable kStreamOptionsFields;
extern const FieldTable kResponseFormatFields;
extern const FieldTable kJsonSchemaFields;

}  // namespace tessera::serve
