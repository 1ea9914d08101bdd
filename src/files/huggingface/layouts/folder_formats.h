// The quantized Hugging Face folders that are written, by the names that users of each tool have
// for them: "gptq-4bit-128g", "awq-4bit-128g", "bnb-nf4", "W4A16" (llm-compressor), "bitnet".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "files/huggingface/layouts/layout_writer.h"
#include "formats/format.h"

namespace tessera::huggingface {

// A layout, and what its matrices are encoded to.
struct FolderFormat {
  std::string name;
  LayoutWriterPtr writer;
  GroupedKind kind;
  bool is_mxfp4 = false;    // instead of `kind`
  bool f16_scales = false;  // then all that is not quantized is in F16, too

  // Of a matrix in the model's layers. Error if that many columns are no whole number of groups.
  const Format& format_of(uint64_t columns) const;
  // Of all else, in a folder of that model: loaders expect one type.
  const Format& plain_format(const Checkpoint& model) const;
};

// They live as long as the program.
std::span<const FolderFormat> all_folder_formats();
// By name, without regard to case; nullptr if there is none.
const FolderFormat* find_folder_format(std::string_view name);
// For people: "gptq-{2,3,4,8}bit-{32,64,128}g[-asym], ...".
std::string_view folder_format_names();

}  // namespace tessera::huggingface
