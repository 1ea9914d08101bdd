// The coarse operations that a forward pass is made of. A backend owns weights, KV and activations
// in its own memory and layouts; the model only ever names them.
//
// Exactness (docs/architecture.md): an output element depends on its own row (and, for attend, on
// the keys that its row sees), never on which other rows are in the call nor on the thread count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/host_tensor.h"
#include "formats/format.h"
#include "formats/row_source.h"

namespace tessera {

// Keys and values live in blocks of this many tokens; attention walks logical positions in tiles of
// the same size.
inline constexpr int kBlockTokens = 32;
// Blocks that hold so many tokens.
inline constexpr int blocks_for(int tokens) {
  return (tokens + kBlockTokens - 1) / kBlockTokens;
}
// The slot of a logical position.
inline int32_t slot_of(std::span<const int32_t> block_table, int position) {
  return block_table[position / kBlockTokens] * kBlockTokens + position % kBlockTokens;
}

// A weight matrix [rows, columns] in a compute layout. y = W x has `rows` outputs.
class Matrix {
 public:
  virtual ~Matrix() = default;
  int rows = 0, columns = 0;
  size_t bytes = 0;     // memory it takes
  int dot_rows = 0;     // rows that are multiplied as int8 dot products, the rest in f32
  std::string formats;  // of the weights as they came: "Q4_K", or "Q4_K+Q6_K" if parts differ
  std::string name;     // what reports call it: "down"; the owner's choice
  // LLM.int8() (Dettmers et al. 2022): activations of this magnitude and more meet their column of
  // weights in f32, instead of being quantized with others. 0: none does. The owner's choice.
  float outlier_threshold = 0;
};

// What a low-rank adapter adds to the product of one Matrix: B (A x) for the rows of each of its
// parts (LoRA, Hu et al. 2021).
class LowRank {
 public:
  virtual ~LowRank() = default;
  int rows = 0, columns = 0;  // of the matrix
  size_t values = 0;          // of all A and B
  size_t bytes = 0;           // memory it takes
};

// The rows of a product that one adapter is added to.
struct LowRankRows {
  const LowRank* weights;
  std::span<const int32_t> rows;  // ascending
  std::span<const float> scales;  // of each of them, beside the adapter's own
};

// A vector of weights: a norm's, a bias.
class Vector {
 public:
  virtual ~Vector() = default;
  int size = 0;
};

// Memory of a backend, which alone knows where that is: the host may not be able to read it.
class Memory {
 public:
  virtual ~Memory() = default;
};

// Activations: `rows` row vectors of `columns` floats, `stride` floats apart. A name for them: what
// they are, only the backend's operations see, and Backend::download shows.
struct Tensor {
  Memory* memory = nullptr;
  size_t offset = 0;  // of the first element, in floats
  int rows = 0, columns = 0, stride = 0;

  // Columns [first, first + count) of every row.
  Tensor slice(int first, int count) const {
    return {memory, offset + static_cast<size_t>(first), rows, count, stride};
  }
  Tensor top(int count) const { return middle(0, count); }
  // Rows [first, first + count).
  Tensor middle(int first, int count) const {
    return {memory, offset + static_cast<size_t>(first) * stride, count, columns, stride};
  }
};

// What a network makes of activations, of gate and up or of up alone.
enum class Activation {
  kSilu,     // x sigmoid(x)
  kGelu,     // the tanh approximation, as in Gemma
  kGeluErf,  // the Gaussian error function itself (Hendrycks & Gimpel 2016)
  kRelu,
  kSquaredRelu,  // max(x, 0)^2 (So et al. 2021)
  kSigmoid,      // of output gates
  kIdentity,     // of what is only multiplied
  kClampedSilu,  // gated only: g sigmoid(1.702 g) (u + 1), g = min(gate, 7), u = up in [-7, 7]
                 // (gpt-oss)
};

// Rotary position embedding (Su et al. 2021). Pairs are (2i, 2i+1) if interleaved, else
// (i, i + dimensions/2). angle_i = position * frequency[i]; both outputs are scaled by `magnitude`
// (YaRN's attention factor, Peng et al. 2023).
struct Rope {
  int dimensions = 0;  // of a head; the rest passes through
  bool interleaved = false;
  float magnitude = 1.0f;
  std::vector<float> frequency;  // [dimensions / 2]
};

// A Rope, loaded.
class RopeTable {
 public:
  virtual ~RopeTable() = default;
};

enum class KvFormat { kF16, kQ8_0 };

// What a recurrent layer keeps of a text, however long it is: the last inputs of a causal
// convolution, and a matrix for each head.
struct StateLayer {
  int channels = 0, taps = 0;                 // of the convolution, which keeps taps - 1 inputs
  int heads = 0, key_dim = 0, value_dim = 0;  // of the matrices, [key_dim, value_dim]
  int key_heads = 0;                          // that heads share: head h has the keys of
  bool grouped = false;                       // h * key_heads / heads, or else of h % key_heads

  size_t inputs() const { return static_cast<size_t>(channels) * (taps > 0 ? taps - 1 : 0); }
  size_t values() const {
    return inputs() + static_cast<size_t>(heads) * static_cast<size_t>(key_dim) * value_dim;
  }
};

// What a layer keeps: of each token a key and a value for each head, or of the whole text a state.
struct KvLayer {
  int heads = 0, head_dim = 0;  // head_dim: of keys and of values
  StateLayer state = {};
};

struct KvShape {
  std::vector<KvLayer> layers;  // which may differ
  int blocks = 0;               // capacity, in blocks of kBlockTokens
  KvFormat format = KvFormat::kF16;
  int states = 0;  // capacity: the state of all recurrent layers behind one token of one text each
  int rows = 0;    // of a step, at most, where there are recurrent layers

  size_t state_values() const {
    size_t values = 0;
    for (const KvLayer& layer : layers) values += layer.state.values();
    return values;
  }
};

// Keys and values of all layers. A slot is block * kBlockTokens + offset, in each of them. Beside
// them, numbered by themselves, the states of recurrent layers.
class KvStore {
 public:
  virtual ~KvStore() = default;
  KvShape shape;
  size_t block_bytes = 0;  // what a block takes: the sum over its layers
};

// The state before the first token of a text: all zeros.
inline constexpr int32_t kNoState = -1;

// The state behind one of some rows is to be kept as this one.
struct StateSave {
  int32_t row = 0;  // counted from the first of the rows
  int32_t state = 0;

  bool operator==(const StateSave&) const = default;
};

// Rows of a step that go on from one state: a chain, or the nodes of a tree. What a chain keeps on
// its way are other states than those that anybody reads in the step.
struct StateRun {
  int32_t first_row = 0, rows = 0;
  int32_t from = kNoState;
  std::span<const int32_t> parents = {};  // of a tree's nodes, -1: none. Empty: a chain
  std::span<const StateSave> saves = {};  // of a chain: in ascending order, each row once
};

// A path down a tree of the step before: the states behind some of its nodes are wanted after all.
struct StatePath {
  int32_t first_row = 0;             // of the tree, in that step
  int32_t from = kNoState;           // as it was there
  std::span<const int32_t> nodes;    // from the root down
  std::span<const StateSave> saves;  // rows: places in the path
};

// What one row of a batch attends to: the logical sequence 0 .. position, and `ahead` positions
// behind its own where attention is bidirectional (their keys and values are written in the same
// step, before any row attends). Logical position j lies in slot block_table[j / kBlockTokens] *
// kBlockTokens + j % kBlockTokens while j < direct, and in tail[j - direct] from there on (a tree
// node's ancestors and itself; tail.size() == position + 1 - direct). direct > position + ahead
// if anything is ahead.
struct RowContext {
  std::span<const int32_t> block_table;
  int32_t position = 0;
  int32_t direct = 0;
  std::span<const int32_t> tail;
  int32_t ahead = 0;
};

// What the rows of a step are: the same in all of its layers. An entry a row.
struct RowMetadata {
  std::span<const int32_t> positions;    // logical, each in its sequence
  std::span<const int32_t> slots;        // where its keys and values go
  std::span<const RowContext> contexts;  // what it attends to
  // The same rows as recurrent layers see them: those of each text together, in order.
  std::span<const StateRun> runs = {};
};

// RowMetadata, made ready for the operations of a step (Backend::prepare). A backend derives from
// it to keep what it uploaded or planned.
class PreparedRows {
 public:
  explicit PreparedRows(const RowMetadata& rows) : host(rows) {}
  virtual ~PreparedRows() = default;
  PreparedRows(const PreparedRows&) = delete;
  PreparedRows& operator=(const PreparedRows&) = delete;

  const RowMetadata host;  // as they were given
};

struct AttentionParameters {
  int layer = 0;
  int heads = 0;  // of queries; a multiple of the layer's KV heads, each read by heads / KV heads
  float scale = 1.0f;
  float soft_cap = 0.0f;  // 0: none, else cap * tanh(score / cap)  (Gemma 2)
  int window = 0;         // 0: all, else positions p - window + 1 .. p + window - 1
  int chunk = 0;          // 0: all, else those of its own chunk of so many (Llama 4)
  // [heads]: a score in each head's softmax with no value behind it (Xiao et al. 2023; learned in
  // gpt-oss); nullptr: none.
  const Vector* sinks = nullptr;
  // ALiBi (Press et al. 2022): by how much a score falls with each position back, for each query
  // head. Empty: not at all. Inside the soft cap, if there are both.
  std::span<const float> slopes = {};
};

// What a recurrence is fed, for each row: of each head a query and a key [key_dim] (those of
// key_heads, in order), a value [value_dim], by how much the state decays, and at what rate the row
// is written into it.
struct RecurrenceInputs {
  Tensor queries, keys, values, decays, rates;
};
// For each head: S = decay S; S = S + k (rate d)^T; out = S^T q. The plain rule writes the value
// itself, d = v (Mamba-2, Dao & Gu 2024); the delta rule what the state does not say of it yet,
// d = v - S^T k (gated delta networks, Yang et al. 2024).
struct Recurrence {
  int layer = 0;
  bool delta_rule = false;
};

class Backend {
 public:
  virtual ~Backend();
  virtual std::string description() const = 0;  // "CPU, AVX3_DL, 2 threads"

  // --- memory
  // Repacks rows x columns weights, value-exactly, from a file's bytes.
  // Several parts are stacked by rows (Q, K and V as one matrix); each may have its own format.
  struct WeightPart {
    const Format* format;
    std::span<const std::byte> bytes;  // none with a source
    int rows;
    // Told of each stretch of `bytes` once it has been read, so that its pages can go: a large
    // matrix and its file need not be resident together. With a source, told of no bytes as often
    // as it has read some megabytes. May be empty.
    std::function<void(std::span<const std::byte>)> on_read = {};
    // Gives the rows from number `first_row` on instead, a panel at a time.
    const RowSource* source = nullptr;
    uint64_t first_row = 0;
    // Column c of the rows meets input order[c]; empty: c itself. Read before load_matrix returns.
    std::span<const uint32_t> order = {};
  };
  virtual std::unique_ptr<Matrix> load_matrix(std::span<const WeightPart> parts, int columns) = 0;
  // The matrix will be multiplied soon: what of it lies elsewhere may be on its way by then.
  virtual void prefetch(const Matrix& /*weights*/) {}
  virtual std::unique_ptr<Vector> load_vector(std::span<const float> values) = 0;
  // F32, F16 or BF16 weights, value-exactly. `downs`: matrices A, [rank, columns], whose products
  // are multiplied with `scale`. Of `ups` each is a matrix B [rows, rank] for one part of a matrix
  // of `rows` rows in all, which begins at row `first_row` and has as many; parts may share an A.
  struct LowRankDown {
    WeightPart weights;
    float scale;
  };
  struct LowRankUp {
    WeightPart weights;
    int first_row;
    int down;  // number of its A
  };
  virtual std::unique_ptr<LowRank> load_low_rank(std::span<const LowRankDown> downs,
                                                 std::span<const LowRankUp> ups, int rows,
                                                 int columns) = 0;
  virtual std::unique_ptr<RopeTable> load_rope(const Rope& rope) = 0;
  // Lives as long as the backend; rows that are never touched cost no memory.
  virtual Tensor allocate(int rows, int columns) = 0;
  virtual std::unique_ptr<KvStore> allocate_kv(const KvShape& shape) = 0;
  // What a block of such a store takes: the sum over its layers.
  virtual size_t kv_block_bytes(const KvShape& shape) const = 0;

  // --- between host and backend
  // Operations take effect in the order of their calls, but a backend may only queue them. What an
  // operation is given in host memory (values, row numbers) it has read when it returns.
  //
  // Copies into backend memory: host is [rows, columns] without gaps.
  virtual void upload(std::span<const float> host, Tensor into) = 0;
  // The values of x where the host can read them, once all that was queued is done; until the next
  // operation or download. The CPU copies nothing.
  virtual HostRows download(Tensor x) = 0;
  // Takes in, once a step, what rope, write_kv and attend ask of its rows in every layer: here a
  // device uploads it. By default only wraps it. The arrays of `rows` stay as they are for as long
  // as the result lives, which may be gone before what was queued with it is done.
  virtual std::unique_ptr<PreparedRows> prepare(const RowMetadata& rows);
  // What is queued may start, while the host goes on.
  virtual void submit() {}
  // Returns when all that was queued is done.
  virtual void wait() {}

  // --- operations, over all rows of their arguments
  // out[i] = x[rows[i]]
  virtual void gather_rows(Tensor x, std::span<const int32_t> rows, Tensor out) = 0;
  // out = normalized x * weight, x / sqrt(mean(x^2) + epsilon) (RMSNorm, Zhang & Sennrich 2019).
  // Rows are cut into groups of weight.size columns, each normalized alone (QK norm: one a head).
  virtual void rms_norm(Tensor x, const Vector& weight, float epsilon, Tensor out) = 0;
  // out = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight (+ bias, unless that is nullptr)
  // (LayerNorm, Ba et al. 2016), over a whole row.
  virtual void layer_norm(Tensor x, const Vector& weight, const Vector* bias, float epsilon,
                          Tensor out) = 0;
  // out = W x (+ bias, unless that is nullptr). Quantized weights meet activations quantized to
  // int8 per row in blocks of 32; F32, F16 and BF16 weights meet f32 activations. `added`: to W x
  // of some rows scales * B (A x), one after the other, all in f32; rows that are in none have the
  // bits that they have without it.
  virtual void linear(const Matrix& weights, Tensor x, const Vector* bias, Tensor out,
                      std::span<const LowRankRows> added = {}) = 0;
  // out = activation(W_gate x) * (W_up x), for a matrix of two parts alike, gate and up (GLU
  // variants, Shazeer 2020). `bias`: of both parts, unless it is nullptr. `added`: likewise, to
  // W_gate x and to W_up x.
  virtual void linear_gated(const Matrix& weights, Tensor x, const Vector* bias,
                            Activation activation, Tensor out,
                            std::span<const LowRankRows> added = {}) = 0;
  // x = activation(x)
  virtual void activate(Activation activation, Tensor x) = 0;
  // Rotates each head of x (columns = heads * head_dim) in place by its row's position.
  virtual void rope(const RopeTable& rope, int head_dim, PreparedRows& rows, Tensor x) = 0;
  // Keeps k and v ([rows, KV heads * head_dim] of that layer) in the rows' slots.
  virtual void write_kv(KvStore& kv, int layer, PreparedRows& rows, Tensor k, Tensor v) = 0;
  // Copies slots from[i] to to[i] in all layers, in order.
  virtual void copy_kv(KvStore& kv, std::span<const int32_t> from, std::span<const int32_t> to) = 0;
  // out[r] = softmax(scale * q[r] . K - slope * distance) V over what row r's context sees.
  virtual void attend(const KvStore& kv, const AttentionParameters& parameters, Tensor q,
                      PreparedRows& rows, Tensor out) = 0;
  virtual void add(Tensor x, Tensor into) = 0;                          // into += x
  virtual void gate(Activation activation, Tensor gate, Tensor x) = 0;  // x *= activation(gate)
  // x = factor * x, then cap * tanh(x / cap) if cap > 0.
  virtual void scale_and_cap(float factor, float cap, Tensor x) = 0;

  // --- recurrent layers
  // A row's output depends on the state that its run goes on from and on its own ancestors in the
  // run, and is the same whether these came in one step or in several.
  //
  // out = x convolved with each channel's own `filter` [taps, channels] along the text, + bias.
  virtual void convolve(KvStore& kv, int layer, const Vector& filter, const Vector* bias,
                        PreparedRows& rows, Tensor x, Tensor out) = 0;
  // out: [rows, heads * value_dim].
  virtual void recur(KvStore& kv, const Recurrence& recurrence, PreparedRows& rows,
                     const RecurrenceInputs& inputs, Tensor out) = 0;
  // Keeps states of trees that the last step went through, of all layers.
  virtual void keep_states(KvStore& kv, std::span<const StatePath> paths) = 0;

  // --- an operation that is written for the host alone
  // Calls operation(inputs, out) with the values of `inputs`; what it writes to out, all of it,
  // becomes `into`. So a new operation begins as one function that every backend runs. Here by way
  // of copies; the CPU works on its own memory.
  using HostOperation = FunctionRef<void(std::span<const HostRows> inputs, HostTensor out)>;
  virtual void on_host(std::span<const Tensor> inputs, Tensor into, HostOperation operation);
};

}  // namespace tessera
