// SPDX-License-Identifier: Apache-2.0
// What is run and what came of it: the plan of each phase, its measurements, and both of them
// as JSON, which is also how a phase's process hands its measurements over.
//
// Times are milliseconds from the start of the measurement, on one monotonic clock.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace asyncjob::demo {

// One phase: a server in a process of its own, a certificate, and who signs with its key.
struct Plan {
    std::string name;         // for machines: "rsa-async"
    std::string title;        // for people: "RSA-4096, 2 workers"
    std::string group;        // phases that are compared with the first one of their group
    unsigned workers = 0;     // threads of the offload provider; 0: synchronous, no jobs
    double device_ms = 0;     // what a signature takes in the device; 0: computed on the CPU
    double seconds = 0;       // of measurement
    unsigned concurrent = 0;  // handshakes at a time
    double interval_ms = 0;   // between plain requests
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Plan, name, title, group, workers, device_ms, seconds,
                                   concurrent, interval_ms)

// What a connection was doing on the server.
enum class Activity { open, running, paused };

struct Span {
    unsigned lane = 0;  // the connection's row: the lowest that was free when it came
    Activity activity = Activity::open;
    double begin = 0;
    double end = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Span, lane, activity, begin, end)

struct PlainRequest {
    double scheduled = 0;
    double latency = 0;  // from the scheduled time, whenever it could be sent
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlainRequest, scheduled, latency)

// The part of a phase that the timeline shows.
struct Window {
    double begin = 0;
    double end = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Window, begin, end)

struct Outcome {
    std::string error;  // why the phase failed; empty if it did not
    double seconds = 0;
    std::size_t failed_handshakes = 0;
    std::string first_failure;
    std::vector<double> handshakes;  // how long each took, for the client
    std::vector<PlainRequest> plain;
    std::size_t unanswered = 0;   // plain requests
    std::size_t pauses = 0;       // of jobs
    std::size_t peak_paused = 0;  // jobs at one time
    double server_cpu = 0;        // of the server thread: the share of the time that it computed
    double server_ready = 0;      // and that it could have, but had no CPU
    Window window;
    std::vector<Span> spans;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Outcome, error, seconds, failed_handshakes, first_failure,
                                   handshakes, plain, unanswered, pauses, peak_paused, server_cpu,
                                   server_ready, window, spans)

struct Phase {
    Plan plan;
    Outcome outcome;
};

}  // namespace asyncjob::demo
