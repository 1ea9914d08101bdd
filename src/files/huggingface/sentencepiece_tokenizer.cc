#include "files/huggingface/sentencepiece_tokenizer.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace tessera::huggingface {
namespace {

constexpr std::string_view kMarkedSpace = "\u2581";

using Normal = NormalizerStep::Kind;

void add(TextPipeline& pipeline, Normal kind, std::string content, TextPattern pattern = {}) {
  NormalizerStep& step = pipeline.normalizer.emplace_back();
  step.kind = kind;
  step.content = std::move(content);
  step.pattern = std::move(pattern);
}

// In the order of SentencePiece's normalizer.
void add_normalizer(const SentencePieceModel& model, bool is_legacy, TextPipeline& pipeline) {
  if (!model.charsmap.empty()) add(pipeline, Normal::kOwnCharsmap, model.charsmap);
  if (model.remove_extra_whitespaces) {
    add(pipeline, Normal::kReplace, "", {R"(\A +| +\z)", true});
    add(pipeline, Normal::kReplace, " ", {" {2,}", true});
  }
  const std::string space(model.escape_whitespaces ? kMarkedSpace : " ");
  if (model.add_dummy_prefix && (is_legacy || !model.escape_whitespaces))
    add(pipeline, Normal::kPrepend, space);
  if (model.escape_whitespaces)
    add(pipeline, Normal::kReplace, std::string(kMarkedSpace), {" ", false});
  if (model.add_dummy_prefix && !is_legacy && model.escape_whitespaces)
    pipeline.words.push_back({WordStep::Kind::kMarkVeryBeginning});
}

}  // namespace

TokenizerFile make_tokenizer(SentencePieceModel model, bool is_legacy) {
  using Kind = SentencePieceModel::Kind;
  if (model.kind != Kind::kUnigram && model.kind != Kind::kBytePair)
    fail("a model of words or characters is not supported, unigram and BPE are");
  if (model.treats_whitespace_as_suffix) fail("white space behind words is not supported");
  TokenizerFile file;
  TextPipeline& pipeline = file.data.pipeline.emplace();
  const bool is_unigram = model.kind == Kind::kUnigram;
  file.data.kind = is_unigram ? TokenizerKind::kUnigram : TokenizerKind::kSentencePiece;
  file.data.vocabulary.pre_tokenizer = "default";
  file.has_scores = true;
  pipeline.is_named = true;
  pipeline.byte_fallback = model.byte_fallback;
  pipeline.fuses_unknown = true;
  pipeline.as_sentencepiece = true;
  pipeline.strips_first_space = model.add_dummy_prefix;
  add_normalizer(model, is_legacy, pipeline);
  file.vocabulary.expect(model.pieces.size());
  int64_t id = 0;
  for (SentencePieceModel::Piece& piece : model.pieces) {
    const bool is_text = piece.type == TokenType::kUserDefined;
    if (piece.type == TokenType::kUnknown) pipeline.unknown_id = id;
    AddedToken token;
    token.id = id;
    token.special = piece.type == TokenType::kControl || piece.type == TokenType::kUnknown;
    token.normalized = token.as_it_is = is_text;
    // The type of those that are user-defined comes back with the added tokens.
    file.vocabulary.add(id, piece.text, is_text ? TokenType::kNormal : piece.type, piece.score);
    if (token.special || is_text) file.vocabulary.add_token(token, std::move(piece.text));
    ++id;
  }
  // What SentencePiece's users do: Llama's texts begin with a token, T5's end with one.
  if (!is_unigram && model.bos_id >= 0) file.around.before = {model.bos_id};
  if (is_unigram && model.eos_id >= 0) file.around.after = {model.eos_id};
  file.around.yields = true;
  file.default_bos = model.bos_id;
  file.default_eos = model.eos_id;
  return file;
}

}  // namespace tessera::huggingface
