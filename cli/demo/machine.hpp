// SPDX-License-Identifier: Apache-2.0
// Where and how the figures were made.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace asyncjob::demo {

struct Machine {
    std::string date;     // and time, UTC
    std::string command;  // as a shell would take it
    std::string processor;
    unsigned cpus = 1;
    std::string system;  // kernel
    std::string openssl;
    std::string asyncjob;
    double load = 0;  // what else ran: the load average when the demonstration began
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Machine, date, command, processor, cpus, system, openssl,
                                   asyncjob, load)

Machine describe_machine();

}  // namespace asyncjob::demo
