// Pulling against a server on this machine that plays the hub, with its faults.
#include "files/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "files/model_reference.h"
#include "files/sha256.h"
#include "support/error_of.h"
#include "support/local_server.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::LocalServer;
using testing::HasSubstr;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

constexpr const char* kFile = "/acme/tiny/resolve/main/tiny.gguf";
constexpr const char* kTree = "/api/models/acme/tiny/tree/main";

class HubTest : public testing::Test {
 protected:
  HubTest() {
    std::string name = (fs::temp_directory_path() / "tessera-hub-XXXXXX").string();
    cache_ = ::mkdtemp(name.data());
    for (size_t i = 0; i < 300000; ++i) content_ += static_cast<char>(i * 2654435761u >> 13);
    write(cache_ / "content", content_);
    sha256_ = sha256_of_file(cache_ / "content");
    options_.cache = cache_;
    options_.endpoint = hub_.url();
    options_.http.attempts = 3;
    options_.http.retry_delay = std::chrono::milliseconds(1);
    options_.http.stall_timeout = std::chrono::seconds(5);
    ::unsetenv("HF_TOKEN");
    listing_ = json::array({entry("tiny.gguf")});
  }
  ~HubTest() override { fs::remove_all(cache_); }

  json entry(const std::string& name) const {
    return {
        {"type", "file"}, {"path", name}, {"size", content_.size()}, {"lfs", {{"oid", sha256_}}}};
  }

  // A faithful hub; a test registers its own faulty handlers before.
  void start() {
    hub_.get(kTree, [this](const auto&, auto& response) {
      response.set_content(listing_.dump(), "application/json");
    });
    hub_.get("/acme/tiny/resolve/main/.*",
             [this](const auto&, auto& response) { serve(response); });
    hub_.start();
  }
  void serve(httplib::Response& response) const {
    response.set_header("ETag", "\"v1\"");
    response.set_content(content_, "application/octet-stream");
  }
  // Sends `bytes` of the content and closes the connection.
  void serve_part(httplib::Response& response, size_t bytes) const {
    response.set_header("ETag", "\"v1\"");
    response.set_content_provider(content_.size(), "application/octet-stream",
                                  [this, bytes](size_t offset, size_t, httplib::DataSink& sink) {
                                    if (offset == 0) return sink.write(content_.data(), bytes);
                                    return false;
                                  });
  }
  fs::path target(const std::string& name = "tiny.gguf") const {
    return cache_ / "hub/acme/tiny" / name;
  }
  fs::path pull_tiny() { return pull("hf:acme/tiny", options_); }
  std::vector<httplib::Request> file_requests() const {
    auto all = hub_.requests();
    std::erase_if(all, [](const httplib::Request& r) {
      return r.path.find("/resolve/") == std::string::npos;
    });
    return all;
  }

  LocalServer hub_;
  fs::path cache_;
  std::string content_, sha256_;
  json listing_;
  PullOptions options_;
};

// A repository of safetensors: all that its folder needs, and nothing else of it.
TEST_F(HubTest, PullsAFolder) {
  const std::string index =
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})";
  hub_.get("/acme/tiny/resolve/main/model.safetensors.index.json",
           [&](const auto&, auto& response) { response.set_content(index, "application/json"); });
  listing_ = json::array({entry("model-1.safetensors"),
                          entry("model-2.safetensors"),
                          entry("consolidated.safetensors"),
                          entry("tokenizer.json"),
                          entry("vocab.json"),
                          entry("README.md"),
                          entry(".gitattributes"),
                          entry("original/a.safetensors"),
                          entry("additional_chat_templates/tool_use.jinja"),
                          entry("config.json"),
                          {{"type", "file"}, {"path", "model.safetensors.index.json"}}});
  start();
  EXPECT_EQ(pull_tiny(), target("config.json").parent_path());
  std::vector<std::string> found;
  for (const auto& file : fs::recursive_directory_iterator(target().parent_path())) {
    if (file.is_regular_file())
      found.push_back(file.path().lexically_relative(target().parent_path()).string());
  }
  EXPECT_THAT(found, testing::UnorderedElementsAre("model-1.safetensors", "model-2.safetensors",
                                                   "tokenizer.json",
                                                   "additional_chat_templates/tool_use.jinja",
                                                   "config.json", "model.safetensors.index.json"));
  EXPECT_EQ(read(target("model-2.safetensors")), content_);
  // What makes the folder whole comes last of all.
  EXPECT_EQ(file_requests().back().path, "/acme/tiny/resolve/main/config.json");
  const auto place = find_model("hf:acme/tiny", cache_);
  ASSERT_TRUE(place && place->is_here);
  EXPECT_EQ(place->path, target("config.json").parent_path());
  fs::remove(target("config.json"));
  EXPECT_FALSE(find_model("hf:acme/tiny", cache_)->is_here);
}

TEST_F(HubTest, PullsAnAdapter) {
  listing_ = json::array({entry("adapter_config.json"), entry("adapter_model.safetensors"),
                          entry("tokenizer.json"), entry("training_args.bin")});
  start();
  EXPECT_EQ(pull_tiny(), target("adapter_config.json").parent_path());
  std::vector<std::string> found;
  for (const auto& file : fs::directory_iterator(target().parent_path()))
    found.push_back(file.path().filename().string());
  EXPECT_THAT(found,
              testing::UnorderedElementsAre("adapter_config.json", "adapter_model.safetensors"));
  EXPECT_EQ(file_requests().back().path, "/acme/tiny/resolve/main/adapter_config.json");
  const auto place = find_model("hf:acme/tiny", cache_);
  ASSERT_TRUE(place && place->is_here);
  fs::remove(target("adapter_config.json"));
  EXPECT_FALSE(find_model("hf:acme/tiny", cache_)->is_here);
}

TEST_F(HubTest, AFolderWhoseIndexReachesOutsideIsRefused) {
  const std::string index = R"({"weight_map": {"a": "../../../evil.safetensors"}})";
  hub_.get("/acme/tiny/resolve/main/model.safetensors.index.json",
           [&](const auto&, auto& response) { response.set_content(index, "application/json"); });
  listing_ = json::array({entry("model-1.safetensors"),
                          entry("config.json"),
                          {{"type", "file"}, {"path", "model.safetensors.index.json"}}});
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("evil.safetensors"));
}

TEST_F(HubTest, PullsAFileOnceAndLeavesNothingElse) {
  start();
  EXPECT_EQ(pull_tiny(), target());
  EXPECT_EQ(read(target()), content_);
  EXPECT_EQ(std::distance(fs::directory_iterator(target().parent_path()), fs::directory_iterator()),
            1);
  pull_tiny();
  EXPECT_EQ(file_requests().size(), 1u);
}

TEST_F(HubTest, ResumesWhatAnEarlierRunLeft) {
  write(target().string() + ".part", content_.substr(0, 100000));
  write(target().string() + ".part.etag", "\"v1\"\n");
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  ASSERT_EQ(file_requests().size(), 1u);
  EXPECT_EQ(file_requests()[0].get_header_value("Range"), "bytes=100000-");
  EXPECT_EQ(file_requests()[0].get_header_value("If-Range"), "\"v1\"");
}

TEST_F(HubTest, StartsAnewIfThePartHasNoETag) {
  write(target().string() + ".part", "other bytes");
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  EXPECT_FALSE(file_requests()[0].has_header("Range"));
}

TEST_F(HubTest, StartsAnewIfTheResumedBytesAreWrong) {
  write(target().string() + ".part", std::string(100000, 'x'));
  write(target().string() + ".part.etag", "\"v1\"\n");
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
}

TEST_F(HubTest, StartsAnewIfTheServerIgnoresTheRange) {
  write(target().string() + ".part", std::string(100000, 'x'));
  write(target().string() + ".part.etag", "\"v0\"\n");
  hub_.get(kFile, [this](const auto&, auto& response) {
    response.set_chunked_content_provider("application/octet-stream",
                                          [this](size_t, httplib::DataSink& sink) {
                                            sink.write(content_.data(), content_.size());
                                            sink.done();
                                            return true;
                                          });
    response.status = 200;
  });
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  EXPECT_EQ(file_requests().size(), 1u);
}

TEST_F(HubTest, ContinuesWhereTheConnectionBroke) {
  std::atomic<int> calls = 0;
  hub_.get(kFile, [&](const auto&, auto& response) {
    calls++ == 0 ? serve_part(response, 120000) : serve(response);
  });
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  ASSERT_EQ(file_requests().size(), 2u);
  EXPECT_EQ(file_requests()[1].get_header_value("Range"), "bytes=120000-");
}

TEST_F(HubTest, RetriesAServerThatIsBusyAndGivesUpInTheEnd) {
  std::atomic<int> calls = 0, busy = 2;
  hub_.get(kFile, [&](const auto&, auto& response) {
    if (calls++ < busy) {
      response.status = 503;
    } else {
      serve(response);
    }
  });
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);

  fs::remove(target());
  calls = 0;
  busy = 100;
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("HTTP 503"));
  EXPECT_EQ(calls, options_.http.attempts);
}

// Whoever is offline need not be told five times.
TEST_F(HubTest, DoesNotRetryAServerThatWasNeverReached) {
  options_.http.retry_delay = std::chrono::hours(1);
  options_.http.connect_timeout = std::chrono::seconds(1);
  for (const char* nowhere : {"http://127.0.0.1:1", "https://no-such-host.invalid"}) {
    options_.endpoint = nowhere;
    EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("cannot reach")) << nowhere;
    EXPECT_THAT(error_of([&] { pull(std::string(nowhere) + "/a.gguf", options_); }),
                HasSubstr("cannot reach"))
        << nowhere;
    options_.index = nowhere;
    EXPECT_THAT(error_of([&] { pull("smollm2:135m", options_); }), HasSubstr("cannot reach"));
  }
  EXPECT_FALSE(fs::exists(cache_ / "url/no-such-host.invalid/a.gguf.part"));
}

TEST_F(HubTest, ResumesWithoutAnETagWhereAChecksumWillTell) {
  std::atomic<int> calls = 0;
  hub_.get(kFile, [&](const auto&, auto& response) {
    if (calls++ == 0) {
      serve_part(response, 120000);
    } else {
      serve(response);
    }
    response.headers.erase("ETag");
  });
  start();
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  ASSERT_EQ(file_requests().size(), 2u);
  EXPECT_EQ(file_requests()[1].get_header_value("Range"), "bytes=120000-");
  EXPECT_FALSE(file_requests()[1].has_header("If-Range"));
}

TEST_F(HubTest, SaysWhichKnownNameMayHaveBeenMeant) {
  EXPECT_THAT(error_of([&] { pull("smolm2:135m", options_); }),
              HasSubstr("did you mean 'smollm2:135m'"));
  EXPECT_THAT(error_of([&] { pull("gemma:270m", options_); }),
              HasSubstr("did you mean 'gemma3:270m'"));
  EXPECT_THAT(error_of([&] { pull("llama", options_); }), HasSubstr("or one of smollm2:135m, "));
}

TEST_F(HubTest, RefusesAWrongChecksum) {
  listing_[0]["lfs"]["oid"] = std::string(64, '0');
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(target()));
}

TEST_F(HubTest, RefusesAWrongSize) {
  listing_[0]["size"] = content_.size() + 1;
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("expected 300001"));
  EXPECT_FALSE(fs::exists(target()));
}

TEST_F(HubTest, ChecksTheLinkedETagOfAUrl) {
  hub_.get("/file.gguf", [this](const auto&, auto& response) {
    response.set_header("X-Linked-Etag", "\"" + std::string(64, 'a') + "\"");
    serve(response);
  });
  start();
  EXPECT_THAT(error_of([&] { pull(hub_.url() + "/file.gguf", options_); }), HasSubstr("SHA-256"));
}

TEST_F(HubTest, SendsTheTokenAndSaysWhenItIsMissing) {
  hub_.get(kFile, [this](const auto& request, auto& response) {
    if (request.get_header_value("Authorization") == "Bearer secret") {
      serve(response);
    } else {
      response.status = 401;
    }
  });
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("set HF_TOKEN"));
  options_.token = "secret";
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
}

TEST_F(HubTest, KeepsTheTokenFromTheServerOfARedirect) {
  LocalServer other;  // another port is another origin
  other.get("/blob", [this](const auto&, auto& response) { serve(response); });
  other.start();
  hub_.get(kFile,
           [&](const auto&, auto& response) { response.set_redirect(other.url() + "/blob"); });
  start();
  options_.token = "secret";
  pull_tiny();
  EXPECT_EQ(read(target()), content_);
  EXPECT_EQ(file_requests()[0].get_header_value("Authorization"), "Bearer secret");
  ASSERT_EQ(other.requests().size(), 1u);
  EXPECT_FALSE(other.requests()[0].has_header("Authorization"));
}

TEST_F(HubTest, NamesWhatIsNotThere) {
  start();
  EXPECT_THAT(error_of([&] { pull("hf:acme/absent", options_); }), HasSubstr("HTTP 404"));
  EXPECT_THAT(error_of([&] { pull("hf:acme/tiny/other.gguf", options_); }),
              HasSubstr("it holds tiny.gguf"));
}

TEST_F(HubTest, EndsARedirectThatGoesInACircle) {
  hub_.get(kFile, [](const auto&, auto& response) { response.set_redirect(kFile); });
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("redirects"));
}

TEST_F(HubTest, ChoosesTheUsualFormatOrListsTheChoices) {
  listing_ =
      json::array({entry("tiny.Q8_0.gguf"), entry("tiny.Q4_K_M.gguf"), entry("mmproj.gguf")});
  start();
  EXPECT_EQ(pull_tiny(), target("tiny.Q4_K_M.gguf"));
  listing_ = json::array({entry("tiny.Q8_0.gguf"), entry("tiny.Q5_0.gguf")});
  EXPECT_THAT(error_of([&] { pull_tiny(); }),
              HasSubstr("name one of tiny.Q5_0.gguf, tiny.Q8_0.gguf"));
}

TEST_F(HubTest, PullsTheQuantizationThatIsNamedOrListsWhatThereIs) {
  listing_ = json::array({entry("tiny.Q8_0.gguf"), entry("tiny.Q4_K_M.gguf"),
                          entry("q5/Tiny-Q5_K_M-00001-of-00002.gguf"),
                          entry("q5/Tiny-Q5_K_M-00002-of-00002.gguf"), entry("a-F16.gguf"),
                          entry("b-F16.gguf"), entry("mmproj-Q6_K.gguf")});
  start();
  EXPECT_EQ(pull("hf:acme/tiny:Q8_0", options_), target("tiny.Q8_0.gguf"));
  EXPECT_EQ(pull("hf:acme/tiny:q4_k_m", options_), target("tiny.Q4_K_M.gguf"));
  EXPECT_EQ(pull("hf:acme/tiny:Q5_K_M", options_), target("q5/Tiny-Q5_K_M-00001-of-00002.gguf"));
  EXPECT_EQ(read(target("q5/Tiny-Q5_K_M-00002-of-00002.gguf")), content_);
  const std::string all =
      "holds a-F16.gguf, b-F16.gguf, q5/Tiny-Q5_K_M-00001-of-00002.gguf, tiny.Q4_K_M.gguf, "
      "tiny.Q8_0.gguf";
  for (const char* missing : {"Q4_K", "Q6_K", "IQ4_XS"}) {
    EXPECT_THAT(error_of([&] { pull(std::string("hf:acme/tiny:") + missing, options_); }),
                HasSubstr(all))
        << missing;
  }
  EXPECT_THAT(error_of([&] { pull("hf:acme/tiny:F16", options_); }),
              HasSubstr("several models; name one of a-F16.gguf, b-F16.gguf"));
}

TEST_F(HubTest, PullsAllMembersOfASplitModel) {
  listing_ =
      json::array({entry("q/tiny-00001-of-00002.gguf"), entry("q/tiny-00002-of-00002.gguf")});
  start();
  EXPECT_EQ(pull_tiny(), target("q/tiny-00001-of-00002.gguf"));
  EXPECT_EQ(read(target("q/tiny-00002-of-00002.gguf")), content_);

  listing_.erase(1);
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("no file 'q/tiny-00002-of-00002.gguf'"));
}

TEST_F(HubTest, RefusesNamesThatLeaveTheCacheFolder) {
  listing_ = json::array({entry("../../evil.gguf")});
  start();
  EXPECT_THAT(error_of([&] { pull_tiny(); }), HasSubstr("unsafe file name"));
  for (const char* reference :
       {"hf:acme/tiny/../../evil.gguf", "hf:acme/tiny//etc/evil.gguf", "hf:../tiny/a.gguf",
        "hf:acme/..", "hf:acme", "https://127.0.0.1/a/%2e%2e/%2e%2e/evil.gguf%00"}) {
    EXPECT_NE(error_of([&] { pull(reference, options_); }), "(no error)") << reference;
  }
}

TEST_F(HubTest, RefusesPlainHttpToOtherMachines) {
  EXPECT_THAT(error_of([&] { pull("http://192.0.2.1/file.gguf", options_); }),
              HasSubstr("expected https"));
}

TEST_F(HubTest, RefusesAListingThatIsNone) {
  hub_.get("/api/models/acme/odd/tree/main",
           [](const auto&, auto& r) { r.set_content("<html>", "text/html"); });
  start();
  EXPECT_THAT(error_of([&] { pull("hf:acme/odd", options_); }), HasSubstr("JSON list"));
}

TEST_F(HubTest, FollowsThePagesOfAListing) {
  hub_.get("/page2", [this](const auto&, auto& response) {
    response.set_content(json::array({entry("tiny.Q4_K_M.gguf")}).dump(), "application/json");
  });
  hub_.get(kTree, [this](const auto&, auto& response) {
    response.set_header("Link", "<" + hub_.url() + "/page2>; rel=\"next\"");
    response.set_content(json::array({entry("tiny.Q8_0.gguf")}).dump(), "application/json");
  });
  start();
  EXPECT_EQ(pull_tiny(), target("tiny.Q4_K_M.gguf"));
}

}  // namespace
}  // namespace tessera
