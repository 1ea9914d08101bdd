// A server on this machine that plays one elsewhere. For test programs that link cpp-httplib.
#pragma once

#include <httplib.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tessera::test {

// A server on a free port of 127.0.0.1 for as long as it lives.
class LocalServer {
 public:
  LocalServer() { port_ = server_.bind_to_any_port("127.0.0.1"); }
  ~LocalServer() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  void get(const std::string& pattern, httplib::Server::Handler handler) {
    server_.Get(pattern,
                [this, handler](const httplib::Request& request, httplib::Response& response) {
                  {
                    const std::lock_guard lock(mutex_);
                    requests_.push_back(request);
                  }
                  handler(request, response);
                });
  }
  void start() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    server_.wait_until_ready_compatible();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<httplib::Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  struct Server : httplib::Server {
    void wait_until_ready_compatible() const {
      while (!is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  Server server_;
  int port_ = 0;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<httplib::Request> requests_;
};

}  // namespace tessera::test
