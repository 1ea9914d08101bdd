// What the parts of the oracle share: the file, products and norms in double precision.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf/reader.h"

namespace tessera::oracle {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;  // one a position

inline double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

inline double silu(double x) {
  return x / (1 + std::exp(-x));
}

inline double clamped_silu(double gate, double up) {  // of gpt-oss
  const double g = std::min(gate, 7.0);
  return g / (1 + std::exp(-1.702 * g)) * (std::clamp(up, -7.0, 7.0) + 1);
}

inline double gelu(double x) {  // the tanh approximation, which Gemma was trained with
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

inline double gelu_erf(double x) {  // Hendrycks & Gimpel 2016
  return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

inline double soft_cap(double x, double cap) {
  return cap > 0 ? cap * std::tanh(x / cap) : x;
}

inline void scale(Rows& rows, double factor) {
  for (Vector& row : rows)
    for (double& value : row) value *= factor;
}

inline void add(Rows& into, const Rows& rows) {
  for (size_t t = 0; t < into.size(); ++t) {
    std::transform(into[t].begin(), into[t].end(), rows[t].begin(), into[t].begin(), std::plus<>());
  }
}

class OracleFile {
 public:
  explicit OracleFile(const GgufFile& given)
      : file(given),
        architecture(given.metadata().require_string("general.architecture")),
        layers(integer("block_count")),
        embedding(integer("embedding_length")),
        layer_norms(
            is_any_of({"gpt2", "opt", "gptneox", "phi2", "stablelm", "cohere2", "bloom", "mpt"})),
        epsilon(
            real(layer_norms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
                 1e-5)) {}

  bool is_any_of(std::initializer_list<std::string_view> families) const {
    return std::find(families.begin(), families.end(), architecture) != families.end();
  }

  int integer(std::string_view name, int fallback) const {
    return static_cast<int>(file.metadata().get_int(key(name)).value_or(fallback));
  }
  int integer(std::string_view name) const {
    return static_cast<int>(file.metadata().require_int(key(name)));
  }
  // One number for all layers, or one for each.
  std::vector<int> integers(std::string_view name, std::optional<int> fallback = {}) const {
    const GgufMetadata& metadata = file.metadata();
    if (!metadata.is_array(key(name))) {
      const int all = fallback ? integer(name, *fallback) : integer(name);
      return std::vector<int>(static_cast<size_t>(layers), all);
    }
    const std::vector<int64_t> values = *metadata.get_ints(key(name));
    return {values.begin(), values.end()};
  }
  double real(std::string_view name, double fallback) const {
    return file.metadata().get_float(key(name)).value_or(fallback);
  }
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture, name); }

  static Vector decode_row(const StoredTensor& tensor, uint64_t row) {
    std::vector<float> values(tensor.columns());
    tensor.format->decode(tensor.bytes.data() + row * tensor.format->row_bytes(tensor.columns()),
                          values);
    return {values.begin(), values.end()};
  }
  Vector read_vector(const std::string& name) const {
    return decode_row(file.require_tensor(name), 0);
  }
  std::optional<Vector> find_vector(const std::string& name) const {
    if (file.find_tensor(name) == nullptr) return std::nullopt;
    return read_vector(name);
  }

  // y = W x + b, with the bias if the file has one: NAME.weight and NAME.bias.
  Rows linear(const Rows& x, const std::string& weight_name) const {
    const StoredTensor& weight = file.require_tensor(weight_name);
    const std::string stem = weight_name.substr(0, weight_name.rfind('.'));
    const std::optional<Vector> bias = find_vector(stem + ".bias");
    Rows y(x.size(), Vector(weight.rows()));
    for (uint64_t row = 0; row < weight.rows(); ++row) {
      const Vector w = decode_row(weight, row);
      for (size_t t = 0; t < x.size(); ++t) y[t][row] = dot(w, x[t]) + (bias ? (*bias)[row] : 0);
    }
    return y;
  }

  void normalize(std::span<double> x, const Vector& weight) const {
    const double scale = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + epsilon);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= scale * weight[i];
  }
  Rows normalize(Rows x, const std::string& weight_name) const {
    const Vector weight = read_vector(weight_name);
    for (Vector& row : x) {
      if (layer_norms) {  // Ba et al. 2016
        const double mean =
            std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
        for (double& value : row) value -= mean;
      }
      normalize(row, weight);
    }
    const auto bias = find_vector(weight_name.substr(0, weight_name.rfind('.')) + ".bias");
    for (Vector& row : x)
      for (size_t i = 0; bias && i < row.size(); ++i) row[i] += (*bias)[i];
    return x;
  }
  Rows normalize_if_there(const Rows& x, const std::string& weight_name) const {
    return file.find_tensor(weight_name) == nullptr ? x : normalize(x, weight_name);
  }
  // y = W_e x + b_e, of tensors [experts, rows, columns] and, if the file has it, [experts, rows].
  Rows expert(const Rows& x, const std::string& name, size_t e) const {
    const StoredTensor& weight = file.require_tensor(name);
    const uint64_t rows = weight.shape[1];
    const StoredTensor* biases = file.find_tensor(name.substr(0, name.rfind('.')) + ".bias");
    const Vector bias = biases == nullptr ? Vector(rows) : decode_row(*biases, e);
    Rows y(x.size(), Vector(rows));
    for (uint64_t row = 0; row < rows; ++row) {
      const Vector w = decode_row(weight, e * rows + row);
      for (size_t t = 0; t < x.size(); ++t) y[t][row] = dot(w, x[t]) + bias[row];
    }
    return y;
  }

  const GgufFile& file;
  const std::string architecture;
  const int layers, embedding;
  const bool layer_norms;
  const double epsilon;
};

}  // namespace tessera::oracle
