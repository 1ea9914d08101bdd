// Decoders by name, as people and requests ask for them: `NAME[,SETTING=NUMBER...]`, for example
// `plain` or `lookup,nodes=16`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decode/drafter.h"

namespace tessera {

inline constexpr std::string_view kPlainDecoder = "plain";  // one token a step, no drafter

// A number that a kind of drafter can be told.
struct DrafterSetting {
  std::string name, note;  // "nodes"; a few words for the help
  double value = 0;        // where nothing is said
  double least = 0, most = 0;
  bool whole = false;  // an integer
};

struct DrafterKind {
  std::string name, note;  // "lookup"; a few words for the help
  std::vector<DrafterSetting> settings;
  // For an engine. Throws Error if it cannot.
  std::function<std::unique_ptr<Drafter>(const DraftMeans&)> make;
  bool needs_draft_model = false;
  bool needs_heads = false;
  bool needs_next_tokens = false;
};

// Makes a kind known. Error if the name is taken. Not while requests are being checked.
void add_drafter(DrafterKind kind);
// For people: a line for each, `plain` first, with its settings and what they are where nothing is
// said.
std::string describe_decoders();

// What somebody asks for.
struct Decoder {
  const DrafterKind* kind = nullptr;  // nullptr: plain
  DrafterValues values;
};

// Throws Error for an unknown name or setting, listing the known ones, and for a value out of
// range.
Decoder parse_decoder(std::string_view text);

}  // namespace tessera
