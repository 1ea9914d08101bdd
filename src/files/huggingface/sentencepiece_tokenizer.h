// A SentencePiece model as a TextPipeline.
#pragma once

#include "files/huggingface/sentencepiece_model.h"
#include "files/huggingface/tokenizer_json.h"

namespace tessera::huggingface {

// `is_legacy`: the space before the first word comes before every text between special tokens, and
// not only before the first one, which is what "legacy" says in a tokenizer_config.json.
TokenizerFile make_tokenizer(SentencePieceModel model, bool is_legacy);

}  // namespace tessera::huggingface
