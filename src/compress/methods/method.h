// A method of compression: how the codes of a matrix are chosen. One file each in this folder; all
// of them encode to any format that says what its blocks are made of.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "checkpoint/tensor_names.h"
#include "compress/input_moments.h"
#include "compress/sparsity.h"
#include "formats/format.h"

namespace tessera {

// Encodes rows of one matrix. Threads may call it at once.
class RowEncoder {
 public:
  virtual ~RowEncoder() = default;
  // `rows` are `count` rows of finite values; `out` has room for as many in the format.
  virtual void encode(std::span<const float> rows, size_t count, std::byte* out) const = 0;
  // Are the rows to be something else than what is nearest to them?
  virtual bool changes_values() const { return false; }
  // Rows that are best encoded in one call.
  virtual size_t panel() const { return 1; }
};

// What a method has made of the inputs that several matrices share (queries, keys and values, say).
class PreparedInputs {
 public:
  virtual ~PreparedInputs() = default;
  // For matrices in that format. Must not outlive this. Error if the method does not know it.
  virtual std::unique_ptr<RowEncoder> encoder(const Format& format, ThreadPool& pool) = 0;
};

struct Method;

struct MethodOptions {
  Sparsity sparsity = {};  // of methods that prune
  float damping = 0;  // of a Hessian, as a share of its mean diagonal; 0: by the rows it is from
  // Columns of large inputs first, as far as a format's blocks allow: of gptq.
  bool group_aware_order = false;
  // Gives each block its scales and zeros, which stay ("hqq+gptq"); nullptr: the method itself
  // does.
  const Method* grid = nullptr;
};

struct Method {
  std::string_view name;
  bool needs_hessian = false;
  bool feeds_back = false;      // later columns make good for errors, as a damped Hessian has it
  bool takes_grid = false;      // MethodOptions::grid
  bool orders_columns = false;  // MethodOptions::group_aware_order
  bool by_magnitude = false;    // prunes by the weights alone, which may be compared anywhere
  bool prunes = false;          // leaves zeros behind: also where the format stays
  // The formats that it is for; nullptr: all. Others are rounded to nearest.
  bool (*takes)(const Format& format) = nullptr;
  // For matrices of whose inputs nothing is known but, perhaps, their importance. nullptr: the
  // method needs a text.
  std::unique_ptr<RowEncoder> (*without_text)(const Format& format,
                                              std::span<const float> importance,
                                              const MethodOptions& options) = nullptr;
  // May use up the Hessian. nullptr: the method looks at no text.
  std::unique_ptr<PreparedInputs> (*prepare)(InputMoments& inputs, const MethodOptions& options,
                                             ThreadPool& pool) = nullptr;
};

// Round to nearest; scales by the least squared error, weighed by the inputs' importance if any is
// given (of each column, as Format::encode has it).
std::unique_ptr<RowEncoder> round_to_nearest(const Format& format,
                                             std::span<const float> importance = {});

// What encodes a tensor without a look at its inputs: by the method, if it can do without, else
// rounding to nearest; so are tensors that are no matrix of a layer where a method prunes.
std::unique_ptr<RowEncoder> encoder_without_text(const Method& method, const TensorPlace& place,
                                                 const Format& format,
                                                 std::span<const float> importance,
                                                 const MethodOptions& options);

extern const Method kRtn, kAbsmax, kZeroPoint, kGptq, kHqq, kClip, kMagnitude, kWanda, kSparseGpt;
std::span<const Method* const> all_methods();
// Error that lists the known ones.
const Method& require_method(std::string_view name);

}  // namespace tessera
