// SPDX-License-Identifier: Apache-2.0
// Contract: plan.hpp.
#include "plan.hpp"

namespace asyncjob::demo {

namespace {

constexpr unsigned concurrent_handshakes = 16;
constexpr double plain_interval_ms = 2;
constexpr double device_ms = 5;

std::string workers_text(unsigned workers) {
    if (workers == 0)
        return "synchronous";
    return std::to_string(workers) + (workers == 1 ? " worker" : " workers");
}

}  // namespace

std::vector<Plan> plan_phases(double seconds_each, unsigned cpus) {
    std::vector<Plan> plans;
    const auto add = [&](const char* group, const char* name, const char* title, unsigned workers,
                         double device) {
        Plan plan;
        plan.group = group;
        plan.name = name;
        plan.title = title + workers_text(workers);
        plan.workers = workers;
        plan.device_ms = device;
        plan.seconds = seconds_each;
        plan.concurrent = concurrent_handshakes;
        plan.interval_ms = plain_interval_ms;
        plans.push_back(plan);
    };
    add("rsa", "rsa-sync", "RSA-4096, ", 0, 0);
    add("rsa", "rsa-async", "RSA-4096, ", cpus, 0);
    add("device", "device-sync", "5 ms device, ", 0, device_ms);
    add("device", "device-async-1", "5 ms device, ", 1, device_ms);
    add("device", "device-async-4", "5 ms device, ", 4, device_ms);
    add("device", "device-async-16", "5 ms device, ", 16, device_ms);
    return plans;
}

}  // namespace asyncjob::demo
