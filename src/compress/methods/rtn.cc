// Round to nearest: each format's own encoder, which searches the scales.
#include "compress/methods/method.h"

namespace tessera {
namespace {

class RtnRows final : public RowEncoder {
 public:
  RtnRows(const Format& format, std::vector<float> importance)
      : format_(format), importance_(std::move(importance)) {}

  void encode(std::span<const float> rows, size_t count, std::byte* out) const override {
    const size_t columns = rows.size() / count, row_bytes = format_.row_bytes(columns);
    for (size_t r = 0; r < count; ++r) {
      format_.encode(rows.subspan(r * columns, columns), out + r * row_bytes, importance_);
    }
  }

 private:
  const Format& format_;
  std::vector<float> importance_;
};

class RtnInputs final : public PreparedInputs {
 public:
  explicit RtnInputs(std::vector<float> importance) : importance_(std::move(importance)) {}
  std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool&) override {
    return round_to_nearest(format, importance_);
  }

 private:
  std::vector<float> importance_;
};

std::unique_ptr<PreparedInputs> prepare(InputMoments& inputs, const MethodOptions&, ThreadPool&) {
  return std::make_unique<RtnInputs>(inputs.importance());
}

}  // namespace

std::unique_ptr<RowEncoder> round_to_nearest(const Format& format,
                                             std::span<const float> importance) {
  return std::make_unique<RtnRows>(format,
                                   std::vector<float>(importance.begin(), importance.end()));
}

namespace {

std::unique_ptr<RowEncoder> without_text(const Format& format, std::span<const float> importance,
                                         const MethodOptions&) {
  return round_to_nearest(format, importance);
}

}  // namespace

constinit const Method kRtn = {.name = "rtn", .without_text = without_text, .prepare = prepare};

}  // namespace tessera
