#include "files/huggingface/special_tokens.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kRoles = {
    "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"};
constexpr size_t kMostEnds = 64;

struct Named {
  std::string text;
  AddedToken flags;
};

// A token as a text, or as an object with its flags; nullopt for null.
std::optional<Named> read_named(const json& value, std::string_view key) {
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return Named{value.get<std::string>(), {}};
  if (!value.is_object()) fail("key '{}': expected a token", key);
  return Named{ConfigReader(value).text("content").value_or(""), read_added_token(value)};
}

// A key's ids: one number, or a list of them.
std::vector<int64_t> read_ids(const json* config, std::string_view key) {
  std::vector<int64_t> ids;
  const json* value = config == nullptr ? nullptr : ConfigReader(*config).find(key);
  if (value == nullptr) return ids;
  const auto add = [&](const json& id) {
    if (!id.is_number_integer() || id.get<int64_t>() > INT32_MAX)
      fail("key '{}': expected an id, found {}", key, printable(id.dump(), 40));
    if (id.get<int64_t>() >= 0) ids.push_back(id.get<int64_t>());  // some say -1 for none
  };
  if (value->is_array()) {
    if (value->size() > kMostEnds) fail("key '{}': more than {} ids", key, kMostEnds);
    for (const json& id : *value) add(id);
  } else {
    add(*value);
  }
  return ids;
}

class Reader {
 public:
  Reader(const std::filesystem::path& folder, TokenizerFile& file)
      : folder_(folder),
        file_(file),
        vocabulary_(file.vocabulary),
        tokenizer_config_(find_json(folder / "tokenizer_config.json")),
        map_(find_json(folder / "special_tokens_map.json")) {}

  void read() {
    in_file(folder_ / "tokenizer_config.json", [&] { read_tokenizer_config(); });
    in_file(folder_ / "special_tokens_map.json", [&] { read_map(); });
    for (const auto& [role, named] : roles_) vocabulary_.add_role(named.flags, named.text);
    for (const Named& named : more_) vocabulary_.add_role(named.flags, named.text);
    const auto config = find_json(folder_ / "config.json");
    const auto generation = find_json(folder_ / "generation_config.json");
    in_file(folder_ / "config.json", [&] { read_model_config(config ? &*config : nullptr); });
    in_file(folder_ / "generation_config.json",
            [&] { read_generation_config(generation ? &*generation : nullptr); });
    in_file(folder_ / "tokenizer.json", [&] { take_surroundings(file_.around); });
    set_roles();
  }

 private:
  void read_tokenizer_config() {
    if (!tokenizer_config_) return;
    const ConfigReader reader(*tokenizer_config_);
    if (reader.boolean("split_special_tokens").value_or(false))
      fail("split_special_tokens is not supported");
    add_bos_ = reader.boolean("add_bos_token");
    add_eos_ = reader.boolean("add_eos_token");
    if (const json* tokens = reader.object("added_tokens_decoder")) read_decoder(*tokens);
    read_roles(*tokenizer_config_);
  }

  // {"32000": {"content": "<|user|>", "special": true, ...}, ...}
  void read_decoder(const json& tokens) {
    std::map<int64_t, const json*> by_id;
    for (const auto& [key, token] : tokens.items()) {
      const bool is_number = !key.empty() && key.size() < 10 &&
                             std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; });
      if (!is_number) fail("added_tokens_decoder: '{}' is no id", printable(key));
      by_id.emplace(std::stoll(key), &token);
    }
    for (const auto& [id, json] : by_id) {
      AddedToken token = read_added_token(*json);
      token.id = id;
      vocabulary_.add_token(token, ConfigReader(*json).text("content").value_or(""));
    }
  }

  void read_map() {
    if (map_) read_roles(*map_);
  }

  // Who came first knows best. A role that is null is nobody's.
  void read_roles(const json& config) {
    for (const std::string_view role : kRoles) {
      const auto found = config.find(role);
      if (found == config.end() || !seen_.insert(std::string(role)).second) continue;
      if (auto named = read_named(*found, role)) roles_.emplace(role, *std::move(named));
    }
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      const auto found = config.find(key);
      if (found == config.end() || (!found->is_array() && !found->is_object())) continue;
      for (const json& value : *found) {
        if (auto named = read_named(value, key)) more_.push_back(*std::move(named));
      }
    }
  }

  void read_model_config(const json* config) {
    if (config == nullptr) return;
    if (const json* text = ConfigReader(*config).object("text_config")) read_model_config(text);
    // A role that the tokenizer says is nobody's stays so, but something has to end a text.
    if (!seen_.contains("bos_token") && !bos_) bos_ = first(read_ids(config, "bos_token_id"));
    if (!seen_.contains("pad_token") && !pad_) pad_ = first(read_ids(config, "pad_token_id"));
    for (const int64_t id : read_ids(config, "eos_token_id")) add_end(id);
  }

  // Its list replaces that of the model.
  void read_generation_config(const json* config) {
    if (config == nullptr) return;
    const auto ends = read_ids(config, "eos_token_id");
    if (!ends.empty()) ends_.clear();
    for (const int64_t id : ends) add_end(id);
  }

  static std::optional<int64_t> first(const std::vector<int64_t>& ids) {
    return ids.empty() ? std::nullopt : std::optional(ids.front());
  }

  // Models may have more rows than their tokenizers have tokens.
  void add_end(int64_t id) {
    if (vocabulary_.text_of(id) != nullptr && std::ranges::find(ends_, id) == ends_.end())
      ends_.push_back(id);
  }

  std::optional<int64_t> id_of(std::string_view role) const {
    const auto named = roles_.find(role);
    return named == roles_.end() ? std::nullopt : vocabulary_.find(named->second.text);
  }

  // tokenizer_config.json's add_bos_token and add_eos_token win over the post-processor, as in
  // transformers 4 and llama.cpp's converter; transformers 5 passes them over where there is a
  // tokenizer.json. The post-processor's tokens are the beginning and the end if nobody else says
  // so.
  void take_surroundings(const Surroundings& around) {
    if (const auto id = id_of("bos_token")) bos_ = id;
    eos_ = id_of("eos_token");
    take_side(around.before, around.yields, add_bos_, bos_, "before", "bos_token");
    take_side(around.after, around.yields, add_eos_, eos_, "behind", "eos_token");
  }

  void take_side(const std::vector<int64_t>& tokens, bool yields, std::optional<bool>& adds,
                 std::optional<int64_t>& role, std::string_view where, std::string_view name) {
    if (adds) {
      adds = *adds && role;
      return;
    }
    adds = !tokens.empty();
    if (tokens.empty() || (yields && role)) return;
    if (tokens.size() > 1)
      fail("the post-processor puts {} tokens {} a text, at most one is supported", tokens.size(),
           where);
    const std::string* text = vocabulary_.text_of(tokens[0]);
    if (text == nullptr) fail("the post-processor's token {} is none of the vocabulary", tokens[0]);
    if (role && *role != tokens[0])
      fail("the post-processor puts '{}' {} a text, which is not the {}", printable(*text), where,
           name);
    role = tokens[0];
  }

  void set_roles() {
    VocabularyData& to = file_.data.vocabulary;
    const auto& unknown = file_.data.pipeline->unknown_id;
    if (!eos_ && !ends_.empty()) eos_ = ends_.front();
    if (!eos_ && file_.default_eos >= 0) eos_ = file_.default_eos;
    if (!bos_ && !seen_.contains("bos_token") && file_.default_bos >= 0) bos_ = file_.default_bos;
    to.bos_token_id = bos_ && vocabulary_.text_of(*bos_) != nullptr ? *bos_ : -1;
    to.eos_token_id = eos_.value_or(-1);
    to.unknown_token_id = unknown ? unknown : id_of("unk_token");
    if (!to.unknown_token_id) to.unknown_token_id = -1;
    if (const auto id = id_of("pad_token")) pad_ = id;
    if (pad_ && vocabulary_.text_of(*pad_) != nullptr) to.padding_token_id = pad_;
    to.add_bos_token = add_bos_.value_or(false) && to.bos_token_id >= 0;
    to.add_eos_token = add_eos_.value_or(false) && to.eos_token_id >= 0;
    std::erase(ends_, to.eos_token_id.value());
    if (!ends_.empty()) to.eot_token_id = ends_[0];
    if (ends_.size() > 1) to.eom_token_id = ends_[1];
    if (ends_.size() > 2) to.end_token_ids.assign(ends_.begin() + 2, ends_.end());
  }

  const std::filesystem::path& folder_;
  TokenizerFile& file_;
  VocabularyBuilder& vocabulary_;
  std::optional<json> tokenizer_config_, map_;
  std::set<std::string, std::less<>> seen_;  // the roles that some file spoke of
  std::map<std::string, Named, std::less<>> roles_;
  std::vector<Named> more_;
  std::optional<bool> add_bos_, add_eos_;
  std::optional<int64_t> bos_, eos_, pad_;
  std::vector<int64_t> ends_;  // of a turn
};

}  // namespace

void read_special_tokens(const std::filesystem::path& folder, TokenizerFile& file) {
  Reader(folder, file).read();
}

}  // namespace tessera::huggingface
