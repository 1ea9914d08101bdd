// Brings what the engine gives to the client, as it comes or when it is whole.
#include <optional>
#include <utility>

#include "serve/api/service.h"
#include "serve/http/api_error.h"
#include "serve/http/connection.h"
#include "serve/http/sse.h"

namespace tessera::serve {
namespace {

constexpr std::chrono::milliseconds kGlance{100};  // how often a silent client is looked at
constexpr std::chrono::seconds kSilence{15};       // after which a stream says that it is alive

ApiError out_of_time() {
  return {504, "server_error", "the answer took longer than the server allows", "", "timeout"};
}

// What became of a job that is done; nullopt if it has its answers.
std::optional<ApiError> error_of(const Answers& answers) {
  if (answers.error().empty()) return std::nullopt;
  return ApiError(500, "server_error", answers.error());
}

// A stream in the making. httplib asks for more as long as pump() is true.
struct Stream {
  std::shared_ptr<Job> job;
  std::unique_ptr<Answers> answers;
  Clock::time_point deadline;
  Clock::time_point written = Clock::now();
  bool begun = false;

  ~Stream() { job->cancel(); }

  bool pump(httplib::DataSink& sink) {
    std::string out;
    if (!std::exchange(begun, true)) out = events(answers->begin());
    if (out.empty()) {
      for (Update& update : job->wait(kGlance)) out += events(answers->add(std::move(update)));
    }
    bool done = job->is_done();
    std::optional<ApiError> error;
    if (done) error = error_of(*answers);
    if (!done && Clock::now() > deadline) done = true, error = out_of_time();
    if (done) {
      out += error ? event(error_body(*error)) : events(answers->end());
      out += last_event();
    } else if (out.empty() && Clock::now() - written > kSilence) {
      out = keep_alive();
    }
    if (Connection::current()->is_gone()) return false;
    if (!out.empty()) {
      if (!sink.write(out.data(), out.size())) return false;
      written = Clock::now();
    }
    if (done) sink.done();
    return true;
  }
};

Json collect(Job& job, Answers& answers, Clock::time_point deadline) {
  // Whatever ends this early, nobody is there to read the rest.
  struct CancelAtExit {
    Job& job;
    ~CancelAtExit() { job.cancel(); }
  } const cancel_at_exit{job};
  answers.begin();
  while (!job.is_done()) {
    for (Update& update : job.wait(kGlance)) answers.add(std::move(update));
    if (Connection::current()->is_gone()) throw client_is_gone();
    if (Clock::now() > deadline) throw out_of_time();
  }
  if (const auto error = error_of(answers)) throw *error;
  return answers.whole();
}

}  // namespace

void Service::respond(httplib::Response& response, std::shared_ptr<Job> job,
                      std::unique_ptr<Answers> answers, bool stream) {
  const auto deadline = Clock::now() + options_.request_time;
  if (!stream) {
    response.set_content(to_text(collect(*job, *answers, deadline)), "application/json");
    return;
  }
  auto state = std::make_shared<Stream>();
  state->job = std::move(job);
  state->answers = std::move(answers);
  state->deadline = deadline;
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");  // proxies shall not gather the stream
  response.set_chunked_content_provider(
      kEventStream, [state](size_t, httplib::DataSink& sink) { return state->pump(sink); });
}

}  // namespace tessera::serve
