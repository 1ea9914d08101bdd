#include "files/kept_layers.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/facts.h"
#include "files/gguf/kept_layers.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf_metadata.h"

namespace tessera {
namespace {

class KeptLayers final : public Checkpoint {
 public:
  KeptLayers(std::shared_ptr<const Checkpoint> model, std::span<const int> layers)
      : model_(std::move(model)), facts_(kept_metadata(*model_, layers)) {
    // Mapped once more, so that what is read here can be released here.
    for (const auto& path : model_->paths()) add_file(path);
    for (const StoredTensor& tensor : model_->tensors()) {
      TensorPlace place = tensor.place;
      if (place.layer != kNoLayer) {
        const auto found = std::ranges::find(layers, place.layer);
        if (found == layers.end()) continue;
        place.layer = static_cast<int>(found - layers.begin());
      }
      add(tensor, place);
    }
  }

  const Facts& facts() const override { return facts_; }
  TokenizerData read_tokenizer() const override { return model_->read_tokenizer(); }
  ChatTemplates read_chat_templates() const override { return model_->read_chat_templates(); }

 private:
  static GgufMetadata kept_metadata(const Checkpoint& model, std::span<const int> layers) {
    GgufMetadata metadata = gguf_metadata(model);
    gguf::keep_layers(metadata, layers);
    return metadata;
  }

  void add(StoredTensor tensor, TensorPlace place) {
    const std::string name = tensor_name(place);
    if (place.role == TensorRole::kUnknown || place.role == TensorRole::kDelicate || name.empty()) {
      fail("tensor '{}': it is not known what it is for, and so whether it is to stay",
           printable(tensor.name));
    }
    if (tensor.source == nullptr) {
      const MappedFile& file = file_of(tensor);
      tensor.bytes = file.bytes().subspan(model_->offset_of(tensor), tensor.bytes.size());
    }
    tensor.name = name;
    add_tensor(std::move(tensor));
    TESSERA_ASSERT(tensors().back().place == place);
  }

  std::string tensor_name(TensorPlace place) const override {
    return gguf::tensor_name(place, facts_.require_string("general.architecture"));
  }
  TensorPlace tensor_place(std::string_view name) const override {
    return gguf::tensor_place(name);
  }

  std::shared_ptr<const Checkpoint> model_;
  GgufFacts facts_;
};

}  // namespace

std::shared_ptr<const Checkpoint> keep_layers(std::shared_ptr<const Checkpoint> model,
                                              std::span<const int> layers) {
  const int64_t count = model->facts().require_int("block_count");
  for (const int layer : layers) {
    if (layer < 0 || layer >= count)
      fail("layer {} is not there: the model has layers 0 to {}", layer, count - 1);
  }
  return std::make_shared<KeptLayers>(std::move(model), layers);
}

}  // namespace tessera
