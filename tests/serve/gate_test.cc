// Who is let in to have a request made ready.
#include "serve/http/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

bool is_here() {
  return false;
}

// Comes in on a thread of its own, notes it, and goes when told to.
class Guest {
 public:
  Guest(Gate& gate, std::string client, std::vector<std::string>& order, std::mutex& mutex)
      : thread_([this, &gate, client, &order, &mutex] {
          try {
            const Gate::Pass pass = gate.enter(client, [this] { return gone_.load(); });
            within_ = true;
            {
              const std::lock_guard lock(mutex);
              order.push_back(client);
            }
            while (!leaves_) std::this_thread::yield();
          } catch (const ApiError&) {
            was_sent_away_ = true;
          }
          over_ = true;
        }) {}
  ~Guest() { leave(); }
  void leave() {
    leaves_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void go_away() { gone_ = true; }
  bool is_within() const { return within_; }
  bool is_over() const { return over_; }
  bool was_sent_away() const { return was_sent_away_; }

 private:
  std::atomic<bool> gone_{false}, leaves_{false}, within_{false}, over_{false},
      was_sent_away_{false};
  std::thread thread_;
};

class GateTest : public testing::Test {
 protected:
  Guest& come(Gate& gate, const std::string& client) {
    return guests_.emplace_back(gate, client, order_, mutex_);
  }
  // So that who comes next comes later.
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
  size_t come_in() {
    const std::lock_guard lock(mutex_);
    return order_.size();
  }
  static void wait_until(const auto& done) {
    while (!done()) std::this_thread::yield();
  }

  std::mutex mutex_;
  std::vector<std::string> order_;
  std::list<Guest> guests_;
};

TEST_F(GateTest, ClientsComeInByTurnsHoweverManyRequestsOneHas) {
  Gate gate(1);
  auto holder = std::make_unique<Gate::Pass>(gate.enter("holder", is_here));
  for (int i = 0; i < 5; ++i) come(gate, "crowd"), settle();
  come(gate, "one");
  settle();
  come(gate, "other");
  settle();
  EXPECT_TRUE(order_.empty());
  holder.reset();
  for (size_t i = 1; i <= guests_.size(); ++i) {
    wait_until([&] { return come_in() >= i; });
    for (Guest& guest : guests_) {
      if (guest.is_within() && !guest.is_over()) guest.leave();
    }
  }
  EXPECT_EQ(order_, (std::vector<std::string>{"crowd", "one", "other", "crowd", "crowd", "crowd",
                                              "crowd"}));
}

TEST_F(GateTest, NoClientHasAllOfIt) {
  for (const int most : {2, 3, 4}) {
    Gate gate(most);
    std::list<Gate::Pass> crowd;
    for (int i = 1; i < most; ++i) crowd.push_back(gate.enter("crowd", is_here));
    int looks = 0;
    EXPECT_THROW(gate.enter("crowd", [&] { return ++looks > 1; }), ApiError);
    crowd.push_back(gate.enter("other", is_here));  // waits for nobody
  }
}

TEST_F(GateTest, WhoLeavesWhileWaitingHoldsNobodyUp) {
  Gate gate(1);
  auto holder = std::make_unique<Gate::Pass>(gate.enter("holder", is_here));
  Guest& leaving = come(gate, "leaving");
  settle();
  come(gate, "staying");
  leaving.go_away();
  wait_until([&] { return leaving.is_over(); });
  EXPECT_TRUE(leaving.was_sent_away());
  holder.reset();
  wait_until([&] { return come_in() == 1; });
  EXPECT_EQ(order_, std::vector<std::string>{"staying"});
  guests_.clear();  // before the gate
}

}  // namespace
}  // namespace tessera::serve
