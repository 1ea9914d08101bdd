#include "files/huggingface/sentencepiece_model.h"

#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

namespace tessera::huggingface {
namespace {

constexpr size_t kMostPieces = 4'000'000;

// One message: fields of a number, a wire type and a value.
// https://protobuf.dev/programming-guides/encoding/
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  // Reads the next field; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    if (key >> 3 == 0 || key >> 3 > (uint64_t{1} << 29) - 1)
      fail("the number of a field is out of range");
    number_ = static_cast<uint32_t>(key >> 3);
    wire_type_ = static_cast<int>(key & 7);
    switch (wire_type_) {
      case 0:
        value_ = varint();
        return true;
      case 1:
        value_ = little_endian(take(8));
        return true;
      case 2:
        bytes_ = take(varint());
        return true;
      case 5:
        value_ = little_endian(take(4));
        return true;
      default:
        fail("a field has the unknown wire type {}", wire_type_);
    }
  }

  uint32_t number() const { return number_; }
  int64_t integer() const {
    expect(0);
    return static_cast<int64_t>(value_);
  }
  bool flag() const { return integer() != 0; }
  float number_float() const {
    expect(5);
    return std::bit_cast<float>(static_cast<uint32_t>(value_));
  }
  std::string_view bytes() const {
    expect(2);
    return bytes_;
  }

 private:
  void expect(int wire_type) const {
    if (wire_type_ != wire_type)
      fail("field {} has the wire type {}, expected {}", number_, wire_type_, wire_type);
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number has more than ten bytes");
  }

  std::string_view take(uint64_t size) {
    if (size > rest_.size())
      fail("a field of {} bytes does not fit into the {} that follow", size, rest_.size());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  static uint64_t little_endian(std::string_view bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  }

  std::string_view rest_, bytes_;
  uint32_t number_ = 0;
  int wire_type_ = 0;
  uint64_t value_ = 0;
};

SentencePieceModel::Piece parse_piece(std::string_view bytes, size_t index) {
  SentencePieceModel::Piece piece;
  for (Message message(bytes); message.next();) {
    if (message.number() == 1) {
      piece.text = message.bytes();
    } else if (message.number() == 2) {
      piece.score = message.number_float();
    } else if (message.number() == 3) {
      const int64_t type = message.integer();
      if (type < 1 || type > 6) fail("piece {} has the unknown type {}", index, type);
      piece.type = static_cast<TokenType>(type);
    }
  }
  if (piece.text.empty() || !is_valid_utf8(piece.text))
    fail("piece {}, '{}', is empty or no UTF-8", index, printable(piece.text));
  if (!std::isfinite(piece.score)) fail("piece {} has a score that is not finite", index);
  return piece;
}

void parse_trainer(std::string_view bytes, SentencePieceModel& model) {
  for (Message message(bytes); message.next();) {
    switch (message.number()) {
      case 3: {
        const int64_t kind = message.integer();
        if (kind < 1 || kind > 4) fail("the model type {} is unknown", kind);
        model.kind = static_cast<SentencePieceModel::Kind>(kind);
        break;
      }
      case 24:
        model.treats_whitespace_as_suffix = message.flag();
        break;
      case 35:
        model.byte_fallback = message.flag();
        break;
      case 40:
        model.unknown_id = message.integer();
        break;
      case 41:
        model.bos_id = message.integer();
        break;
      case 42:
        model.eos_id = message.integer();
        break;
      case 43:
        model.padding_id = message.integer();
        break;
      default:
        break;
    }
  }
}

void parse_normalizer(std::string_view bytes, SentencePieceModel& model) {
  for (Message message(bytes); message.next();) {
    switch (message.number()) {
      case 2:
        model.charsmap = message.bytes();
        break;
      case 3:
        model.add_dummy_prefix = message.flag();
        break;
      case 4:
        model.remove_extra_whitespaces = message.flag();
        break;
      case 5:
        model.escape_whitespaces = message.flag();
        break;
      default:
        break;
    }
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(std::string_view bytes) {
  SentencePieceModel model;
  for (Message message(bytes); message.next();) {
    if (message.number() == 1) {
      if (model.pieces.size() == kMostPieces) fail("more than {} pieces", kMostPieces);
      model.pieces.push_back(parse_piece(message.bytes(), model.pieces.size()));
    } else if (message.number() == 2) {
      parse_trainer(message.bytes(), model);
    } else if (message.number() == 3) {
      parse_normalizer(message.bytes(), model);
    }
  }
  if (model.pieces.empty()) fail("it holds no pieces");
  const auto size = static_cast<int64_t>(model.pieces.size());
  for (int64_t* id : {&model.unknown_id, &model.bos_id, &model.eos_id, &model.padding_id}) {
    if (*id < 0 || *id >= size) *id = -1;
  }
  return model;
}

}  // namespace tessera::huggingface
