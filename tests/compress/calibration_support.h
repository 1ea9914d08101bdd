// What tests of calibrated compression share: a text, and what a model makes of one.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "devices/device.h"
#include "files/open.h"
#include "model/model.h"
#include "model/reader.h"

namespace tessera::test {

inline std::string some_text(int words = 60) {
  std::string text;
  for (int i = 0; i < words; ++i) text += "word " + std::to_string(i * i % 97) + ", ";
  return text;
}

// Of all tokens, one after the other.
inline std::vector<float> logits_of(const std::filesystem::path& path,
                                    std::span<const Token> tokens) {
  Model model(open_checkpoint(path), open_cpu(2).backend, {.rows = 64});
  Reader reader(model, static_cast<int>(tokens.size()), KvFormat::kF16);
  std::vector<float> all;
  reader.read(tokens, Reader::Logits::kAll, [&](HostRows rows, int) {
    for (int r = 0; r < rows.rows; ++r)
      all.insert(all.end(), rows.row(r).begin(), rows.row(r).end());
  });
  return all;
}

}  // namespace tessera::test
