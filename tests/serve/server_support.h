// A server over sockets with a tiny model behind it, and clients.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <list>
#include <thread>

#include "files/open.h"
#include "serve/server.h"
#include "support/temp_folder.h"
#include "support/tiny_lora.h"
#include "support/tiny_model.h"

namespace tessera::serve {

struct ServerSpec {
  int max_sequences = 8, max_queue = 64, blocks = 300;
  ServerOptions server = {.port = 0};
  // Of the model, "": its own; and of the command line.
  bool has_template = true;
  std::string chat_template = {};
  bool parse_special = true;
  std::vector<TinyLora> lora = {};  // adapters "adapter0", ...
  std::vector<float> lora_scales = {};
  std::filesystem::path model = {};  // another than the tiny one that generates
};

// A server and the model it serves.
class Fixture {
 public:
  explicit Fixture(ServerSpec spec = {}) {
    const auto path = !spec.model.empty()
                          ? spec.model
                          : write_tiny_model({.context = 4096, .chat_template = spec.has_template},
                                             folder_.path());
    LoadOptions load{.threads = 2, .chat_template = spec.chat_template};
    for (size_t i = 0; i < spec.lora.size(); ++i) {
      const auto folder = folder_ / ("adapter" + std::to_string(i));
      write_tiny_peft(spec.lora[i], *open_checkpoint(path), folder);
      load.lora.push_back({folder.string(), spec.lora_scales[i]});
    }
    spec.server.adapter_names = adapter_names(load.lora);
    session_ = Session::load(path.string(), load, {.rows = 128, .wanted_rows = 32});
    engine_ = session_.make_engine(
        {.kv_blocks = spec.blocks, .sequences = spec.max_sequences, .prompt_rows = 64});
    service_ = std::make_unique<Service>(session_, *engine_,
                                         ServiceOptions{.model_name = "org/tiny.gguf",
                                                        .max_queue = spec.max_queue,
                                                        .max_sequences = spec.max_sequences,
                                                        .parse_special = spec.parse_special});
    spec.server.model_name = service_->model_name();
    server_ = std::make_unique<Server>(spec.server);
    server_->start();
    server_->open(*service_);
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(120);
    return client;
  }
  httplib::Result post(const std::string& path, const std::string& body,
                       const httplib::Headers& headers = {}) const {
    return client().Post(path, headers, body, "application/json");
  }
  Json json(const std::string& path, const std::string& body) const {
    const auto result = post(path, body);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    if (!result) return {};
    EXPECT_EQ(result->status, 200) << result->body;
    return Json::parse(result->body);
  }
  Json engine() const { return Json::parse(client().Get("/engine")->body); }
  // Waits, for as long as a test may take, until nothing runs.
  bool becomes_idle() const {
    for (int i = 0; i < 3000; ++i) {
      const Json view = engine();
      if (view["running"].empty() && view["waiting"].empty() && view["pool"]["used"] == 0) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  Server& server() { return *server_; }
  int port() const { return server_->port(); }

 private:
  test::TempFolder folder_;
  Session session_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
};

// A client that says what it wants, byte by byte.
class RawClient {
 public:
  // `from`: an address of this machine, which makes it another client than the others.
  explicit RawClient(int port, const char* from = "127.0.0.1")
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = ::inet_addr(from);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{.tv_sec = 120, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { ::close(socket_); }
  // False once the server has closed.
  bool send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  std::string receive() const {
    char buffer[4096];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    return {buffer, static_cast<size_t>(std::max<ssize_t>(count, 0))};
  }
  // Up to where it ends so: a response may come in pieces.
  std::string receive_until(std::string_view end) const {
    std::string all;
    for (std::string part = receive(); !part.empty(); part = receive()) {
      all += part;
      if (all.ends_with(end)) break;
    }
    return all;
  }
  // What has come by now.
  std::string peek() const {
    char buffer[4096];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT);
    return {buffer, static_cast<size_t>(std::max<ssize_t>(count, 0))};
  }
  std::string receive_all() const {
    std::string all;
    for (std::string part = receive(); !part.empty(); part = receive()) all += part;
    return all;
  }

 private:
  int socket_;
};

inline std::string http(const std::string& body, const std::string& headers = "") {
  return fmt::format(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
      body.size(), headers, body);
}

inline const std::string kLong =
    R"({"prompt":"abc","max_tokens":3900,"ignore_eos":true,"seed":1,"stream":true})";

inline std::vector<Json> events_of(const std::string& stream) {
  std::vector<Json> events;
  for (size_t at = 0; (at = stream.find("data: ", at)) != std::string::npos;) {
    at += 6;
    const std::string data = stream.substr(at, stream.find("\n\n", at) - at);
    if (data != "[DONE]") events.push_back(Json::parse(data));
  }
  return events;
}

}  // namespace tessera::serve
