#include "serve/loop/job.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tessera::serve {

std::vector<Update> Job::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const auto any = [&] {
    for (const Unread& unread : waiting_) {
      if (unread.any) return true;
    }
    return false;
  };
  changed_.wait_for(lock, timeout, any);
  std::vector<Update> updates;
  for (int i = 0; i < choices_; ++i) {
    if (!waiting_[i].any) continue;
    if (waiting_[i].update.outcome) --open_;
    updates.push_back(std::move(waiting_[i].update));
    waiting_[i] = {};
    unread_tokens_[i] = 0;
  }
  return updates;
}

bool Job::is_done() const {
  const std::lock_guard lock(mutex_);
  return open_ == 0;
}

Update& Job::unread(int choice) {
  waiting_[choice].any = true;
  waiting_[choice].update.choice = choice;
  return waiting_[choice].update;
}

bool Job::push(int choice, int tokens, std::string text, std::vector<TokenLogprobs> logprobs) {
  const std::lock_guard lock(mutex_);
  Update& update = unread(choice);
  update.text += text;
  std::ranges::move(logprobs, std::back_inserter(update.logprobs));
  unread_tokens_[choice] += tokens;
  changed_.notify_one();
  return unread_tokens_[choice] <= kMaxUnread;
}

void Job::push_prompt(int choice, std::vector<TokenLogprobs> logprobs) {
  const std::lock_guard lock(mutex_);
  unread(choice).prompt_logprobs = std::move(logprobs);
  changed_.notify_one();
}

void Job::finish(int choice, std::string last_text, Outcome outcome) {
  const std::lock_guard lock(mutex_);
  Update& update = unread(choice);
  update.text += last_text;
  update.outcome = std::move(outcome);
  changed_.notify_one();
}

}  // namespace tessera::serve
