// The backend that keeps others honest does so.
#include "support/reference_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace tessera {
namespace {

TEST(ReferenceBackend, GivesBackWhatWasUploaded) {
  const auto backend = make_reference_backend();
  const Tensor x = backend->allocate(2, 3);
  backend->upload(std::vector<float>{1, 2, 3, 4, 5, 6}, x);
  const HostRows rows = backend->download(x.slice(1, 2).middle(1, 1));
  EXPECT_EQ(std::vector<float>(rows.row(0).begin(), rows.row(0).end()), (std::vector<float>{5, 6}));
}

// As a pointer into a device's memory would not outlive it either.
TEST(ReferenceBackend, WhatWasDownloadedIsGoneWithTheNextOperation) {
  const auto backend = make_reference_backend();
  const Tensor x = backend->allocate(1, 2);
  backend->upload(std::vector<float>{1, 2}, x);
  const HostRows rows = backend->download(x);
  EXPECT_EQ(rows.row(0)[1], 2);
  backend->add(x, x);
  EXPECT_TRUE(std::isnan(rows.row(0)[1]));
}

TEST(ReferenceBackendDeathTest, ItsMemoryCannotBeReadByTheHost) {
  const auto backend = make_reference_backend();
  const Tensor x = backend->allocate(1, 2);
  backend->upload(std::vector<float>{1, 2}, x);
  const float* stolen = reference_memory(x);
  EXPECT_DEATH(std::fprintf(stderr, "%f", static_cast<double>(*stolen)), "");
}

}  // namespace
}  // namespace tessera
