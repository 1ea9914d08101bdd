// Matrices whose rows a source puts together: what the backend tells of having read them.
#include "formats/row_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "support/test_backend.h"

namespace tessera {
namespace {

class CopiedRows final : public RowSource {
 public:
  CopiedRows(std::span<const std::byte> bytes, size_t row_bytes)
      : bytes_(bytes), row_bytes_(row_bytes) {}
  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::memcpy(out, bytes_.data() + first * row_bytes_, count * row_bytes_);
  }
  std::vector<std::span<const std::byte>> stored() const override { return {bytes_}; }

 private:
  std::span<const std::byte> bytes_;
  size_t row_bytes_;
};

// So that the file's pages can go while a large matrix is repacked, not only behind it.
TEST(RowSource, IsToldOfEverySomeMegabytes) {
  constexpr int kRows = 3000, kColumns = 2048;  // 24 MB
  const std::vector<std::byte> bytes(size_t{kRows} * kColumns * sizeof(float));
  const CopiedRows source(bytes, kColumns * sizeof(float));
  const auto backend = make_test_backend(2);
  int told = 0;
  const auto on_read = [&](std::span<const std::byte> read) {
    EXPECT_TRUE(read.empty());
    ++told;
  };
  const Backend::WeightPart part = {
      .format = &kF32, .bytes = {}, .rows = kRows, .on_read = on_read, .source = &source};
  const auto matrix = backend->load_matrix(std::vector{part}, kColumns);
  EXPECT_EQ(matrix->rows, kRows);
  EXPECT_GE(told, 3);
}

}  // namespace
}  // namespace tessera
