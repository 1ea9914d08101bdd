#include "cli/conversation.h"

#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/terminal.h"

namespace tessera::cli {

Conversation::Conversation(LanguageModel model, GenerateOptions options, std::string system)
    : model_(std::move(model)), options_(std::move(options)), system_(std::move(system)) {
  reset();
}

void Conversation::reset() {
  messages_.clear();
  last_.reset();
  if (!system_.empty()) messages_.push_back({"system", system_});
}

void Conversation::answer(const std::string& text) {
  require_utf8("the message", text);
  messages_.push_back({"user", text});
  reset_interrupted();
  options_.is_cancelled = interrupted;
  try {
    WordWrapper out;
    last_ = model_.chat(messages_, options_, [&](std::string_view piece) {
      out.write(piece);
      return true;
    });
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  print(last_->finish_reason == "cancelled" ? dim(" [stopped]") + "\n" : "\n");
  warn_if_cut(model_, *last_, options_.max_tokens);
  messages_.push_back({"assistant", last_->text});
  reset_interrupted();
}

void Conversation::save(const std::filesystem::path& path) const {
  auto json = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages_)
    json.push_back({{"role", message.role}, {"content", message.content}});
  AtomicFile file(path);
  file.write(nlohmann::ordered_json{{"messages", json}}.dump(2) + "\n");
  file.commit();
}

void Conversation::load(const std::filesystem::path& path) {
  const auto json = nlohmann::json::parse(read_text(path.string()), nullptr, false);
  const auto messages = json.is_object() ? json.find("messages") : json.end();
  if (!json.is_object() || messages == json.end() || !messages->is_array())
    fail("'{}' holds no conversation: expected {{\"messages\": [...]}}", path.string());
  std::vector<ChatMessage> loaded;
  for (const auto& message : *messages) {
    const bool is_message = message.is_object() && message.contains("role") &&
                            message["role"].is_string() && message.contains("content") &&
                            message["content"].is_string();
    if (!is_message)
      fail("'{}': message {} lacks a role or a content", path.string(), loaded.size() + 1);
    loaded.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
  }
  messages_ = std::move(loaded);
  last_.reset();
}

std::string Conversation::describe_last() const {
  return last_ ? describe_run(*last_) : "no answer yet";
}

}  // namespace tessera::cli
