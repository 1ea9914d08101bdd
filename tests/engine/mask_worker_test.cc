// Masks that take long are found beside the steps.
#include "engine/mask_worker.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine.h"
#include "files/gguf/reader.h"
#include "support/model_runner.h"
#include "support/random_drafter.h"
#include "support/run_to_end.h"
#include "support/sampled_request.h"
#include "support/slow_constraint.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using test::Gate;
using test::SlowConstraint;

// Notes when it is prepared.
class Noting final : public Constraint {
 public:
  Noting(std::string name, std::vector<std::string>& order, std::shared_ptr<Gate> gate)
      : name_(std::move(name)), order_(order), gate_(std::move(gate)) {}
  bool prepare(Deadline) override {
    has_begun.open();
    gate_->pass();
    order_.push_back(name_);
    return true;
  }
  std::span<const uint64_t> allowed() override { return {}; }
  bool complete() override { return true; }
  void accept(Token) override {}

  Gate has_begun;

 private:
  std::string name_;
  std::vector<std::string>& order_;
  std::shared_ptr<Gate> gate_;
};

TEST(MaskWorker, ClientsTakeTurnsAndWhatNobodyWaitsForIsNotDone) {
  const auto gate = std::make_shared<Gate>();
  std::vector<std::string> order;
  MaskWorker worker;
  std::vector<std::shared_ptr<const MaskWork>> works;
  const auto add = [&](const std::string& client, const std::string& name) {
    works.push_back(worker.add(client, std::make_shared<Noting>(name, order, gate)));
  };
  const auto first = std::make_shared<Noting>("first", order, gate);
  works.push_back(worker.add("a", first));
  first->has_begun.pass();
  for (int i = 0; i < 4; ++i) add("a", "a" + std::to_string(i));
  add("b", "b0");
  add("c", "c0");
  add("b", "b1");
  works.erase(works.begin() + 4);  // a3
  gate->open();
  for (const auto& work : works) {
    while (!work->is_done()) worker.wait();
  }
  EXPECT_EQ(order, (std::vector<std::string>{"first", "a0", "b0", "c0", "a1", "b1", "a2"}));
}

TEST(MaskWorker, WaitingForNothingIsNoWaiting) {
  MaskWorker worker;
  worker.wait();
}

class SlowMasks : public testing::Test {
 protected:
  SlowMasks()
      : model_(open(), make_test_backend(2), {.context = 0, .rows = 48, .wanted_rows = 16}) {}

  static std::shared_ptr<const GgufFile> open() {
    static const test::TempFolder folder;
    return std::make_shared<const GgufFile>(GgufFile::open(write_tiny_model({}, folder.path())));
  }
  Engine engine(int blocks = 64) {
    return Engine(model_, {.kv_format = KvFormat::kF16, .kv_blocks = blocks},
                  [](Token) { return false; });
  }
  Request request(uint32_t seed, const std::string& client, int every = 0) const {
    Request r = sampled_request(random_tokens(20, 300, seed), 30, seed);
    r.client = client;
    if (every > 0) r.constraint = std::make_shared<SlowConstraint>(gate_, every);
    return r;
  }
  std::vector<Token> alone(const Request& r) {
    Engine e = engine();
    const auto sequence = e.add(r);
    run_to_end(e);
    return sequence->tokens;
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  Model model_;
};

TEST_F(SlowMasks, AStrangerDoesNotWaitForThem) {
  const Request slow = request(1, "slow", 1), other = request(2, "other");
  Engine e = engine();
  const auto waiting = e.add(slow);
  const auto answered = e.add(other);
  while (answered->finished == FinishReason::kNone) ASSERT_TRUE(e.step());
  EXPECT_EQ(waiting->generated(), 0);
  EXPECT_EQ(waiting->finished, FinishReason::kNone);
  EXPECT_EQ(answered->statistics.steps, 30) << "one for each token";
  EXPECT_TRUE(e.step()) << "it is not over";
  EXPECT_EQ(e.statistics().steps, 30u) << "no row waits";
  gate_->open();
  run_to_end(e);
  EXPECT_EQ(waiting->tokens, alone(slow));
  EXPECT_EQ(answered->tokens, alone(other));
}

TEST_F(SlowMasks, ACancelledSequenceMayStillBeAtIt) {
  Engine e = engine();
  const auto waiting = e.add(request(1, "slow", 1));
  const auto answered = e.add(request(2, "other"));
  e.step();
  e.cancel(*waiting);
  run_to_end(e);
  EXPECT_EQ(answered->generated(), 30);
  EXPECT_EQ(e.pool().available(), e.pool().capacity());
  gate_->open();
}

TEST_F(SlowMasks, ChangeNoAnswer) {
  gate_->open();
  std::vector<Request> requests;
  std::vector<std::vector<Token>> expected;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(request(static_cast<uint32_t>(i), i % 2 == 0 ? "a" : "b", 1 + i % 4));
    if (i == 1) requests.back().sampling.temperature = 0;
    requests.back().max_tokens = 70;
    expected.push_back(alone(requests.back()));
  }
  for (const int blocks : {64, 8}) {  // of the few, sequences are preempted that wait
    Engine e = engine(blocks);
    std::vector<std::shared_ptr<Sequence>> sequences;
    for (size_t i = 0; i < requests.size(); ++i) {
      sequences.push_back(e.add(requests[i]));
      if (i % 3 != 0) sequences[i]->drafter = std::make_shared<RandomDrafter>(expected[i]);
    }
    run_to_end(e);
    int accepted = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(sequences[i]->tokens, expected[i]) << i << " in " << blocks;
      accepted += sequences[i]->statistics.accepted;
    }
    EXPECT_GT(accepted, 0);
    EXPECT_EQ(e.statistics().preemptions > 0, blocks == 8);
  }
}

}  // namespace
}  // namespace tessera
