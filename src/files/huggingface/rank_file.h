// tiktoken.model: byte-level BPE as a list of its entries' bytes, whose ids are their ranks. Of two
// neighbours those are joined first whose joint entry has the lowest rank.
// https://github.com/openai/tiktoken
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "files/huggingface/tokenizer_json.h"

namespace tessera::huggingface {

// Of a folder that has such a file. How texts are cut stands in Python code beside it, which is not
// run: Kimi's is known, by its name in tokenizer_config.json. Error for another.
std::optional<TokenizerFile> find_rank_file(const std::filesystem::path& folder);

// The content of such a file, for texts that are cut as Kimi K2's are. The merges that it implies
// are written out: an entry is made of the two that its bytes come down to when neighbours are
// joined by their ranks.
TokenizerFile read_rank_file(std::string_view text);

}  // namespace tessera::huggingface
