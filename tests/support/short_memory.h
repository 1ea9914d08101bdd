// A backend whose memory runs out.
#pragma once

#include <memory>
#include <new>
#include <span>

#include "backend/forwarding_backend.h"

namespace tessera::test {

// Has no memory for steps of more rows, nor for some steps and copies.
class ShortMemory final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  int most_rows = 1 << 20;
  int failing_steps = 0, failing_copies = 0;  // the next ones; copies of keys and values

  std::unique_ptr<PreparedRows> prepare(const RowMetadata& rows) override {
    if (std::ssize(rows.positions) > most_rows || runs_out(failing_steps)) throw std::bad_alloc();
    return ForwardingBackend::prepare(rows);
  }
  void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) override {
    if (runs_out(failing_copies)) throw std::bad_alloc();
    ForwardingBackend::copy_kv(kv, from, to);
  }

 private:
  static bool runs_out(int& left) { return left > 0 && left-- > 0; }
};

}  // namespace tessera::test
