#include "serve/http/http_server.h"

#include <sys/socket.h>

#include <exception>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr int kBacklog = 1024;
constexpr int kSpareThreads = 8;  // that turn away what is too much
constexpr size_t kMostIdle = 16;  // threads

// Threads made as connections come, and ended as they go: each keeps memory, its stack and its part
// of the heap. (httplib's own pool would make all of them at the start.)
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(size_t most) : most_(most) {}

  // Memory is taken and given back outside the lock: all connections wait for it, and threads that
  // compile grammars may keep the heap busy.
  void enqueue(std::function<void()> task) override {
    Tasks added;
    added.push_back(std::move(task));
    const std::lock_guard lock(mutex_);
    tasks_.splice(tasks_.end(), added);
    join(ended_);
    if (tasks_.size() > idle_ && threads_.size() < most_) {
      const auto self = threads_.emplace(threads_.end());
      *self = std::thread([this, self] { work(self); });
    }
    changed_.notify_one();
  }
  void shutdown() override {
    Threads all;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
      all.swap(threads_);
    }
    join(all);
    join(ended_);
  }

 private:
  using Threads = std::list<std::thread>;
  using Tasks = std::list<std::function<void()>>;

  static void join(Threads& threads) {
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }

  void work(Threads::iterator self) {
    std::unique_lock lock(mutex_);
    while (idle_ < kMostIdle || !tasks_.empty()) {
      ++idle_;
      changed_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
      --idle_;
      if (tasks_.empty()) return;
      Tasks task;
      task.splice(task.end(), tasks_, tasks_.begin());
      lock.unlock();
      task.front()();
      task.clear();
      lock.lock();
    }
    if (!stopping_) ended_.splice(ended_.end(), threads_, self);
  }

  const size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Tasks tasks_;
  Threads threads_, ended_;
  size_t idle_ = 0;
  bool stopping_ = false;
};

// Bodies are JSON, whatever a client says of them: httplib would keep a form, which curl calls what
// it sends, to 8 KiB, and take others apart. Answers are whole: it would cut them to a range.
void take_as_it_is(httplib::Request& request) {
  request.headers.erase("Content-Type");
  request.ranges.clear();
}

// What httplib does not say itself, as it sends it.
std::string whole_response(const ApiError& error) {
  const std::string body = error_body(error);
  const std::string retry =
      error.retry_after > 0 ? fmt::format("Retry-After: {}\r\n", error.retry_after) : "";
  return fmt::format(
      "HTTP/1.1 {} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}"
      "Connection: close\r\n\r\n{}",
      error.status, body.size(), retry, body);
}

// Of a request line that could not be read httplib says nothing.
void answer_unread(Connection& connection) {
  if (connection.fault() == 0 || connection.has_answered()) return;
  const int status = connection.fault() == 413 ? 414 : connection.fault();
  const std::string response = whole_response(error_of_status(status));
  connection.write(response.data(), response.size());
}

}  // namespace

HttpServer::HttpServer(const HttpLimits& limits) : limits_(limits) {
  new_task_queue = [most = limits.connections + kSpareThreads] {
    return new ConnectionThreads(static_cast<size_t>(most));
  };
  set_payload_max_length(limits.body_bytes);
  set_keep_alive_timeout(limits.idle_time.count());
  set_keep_alive_max_count(std::numeric_limits<int>::max());
  set_tcp_nodelay(true);
}

int HttpServer::bind(const std::string& host, int port) {
  const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
  if (bound < 0) fail("cannot listen on {}:{}: the address is taken or not ours", host, port);
  ::listen(svr_sock_, kBacklog);  // httplib's backlog is 5
  return bound;
}

void HttpServer::end() {
  end_.stopping = end_.broken_off = true;
  stop();
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  Connection connection(socket, limits_, end_);
  if (connections_.fetch_add(1) >= limits_.connections || end_.stopping) {
    connection.close_after_response(std::chrono::milliseconds(100));  // others wait for the same
    ApiError error{503, "server_error", "the server has too many connections"};
    error.retry_after = 1;
    const std::string response = whole_response(error);
    ::send(socket, response.data(), response.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    serve(connection);
  }
  connections_.fetch_sub(1);
  return true;
}

void HttpServer::serve(Connection& connection) {
  try {
    while (connection.wait_for_request()) {
      bool closed = false;
      const bool served =
          process_request(connection, end_.stopping, closed, [&](httplib::Request& request) {
            connection.begin_body();
            take_as_it_is(request);
          });
      if (!served) answer_unread(connection);
      if (!served || closed || connection.must_close()) return;
    }
  } catch (const std::exception& error) {  // from a stream, where no response can say it any more
    spdlog::error("a connection failed: {}", error.what());
  }
}

}  // namespace tessera::serve
