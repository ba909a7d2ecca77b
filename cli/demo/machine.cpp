// SPDX-License-Identifier: Apache-2.0
// Contract: machine.hpp.
#include "machine.hpp"

#include <openssl/crypto.h>
#include <sched.h>
#include <sys/utsname.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>

namespace asyncjob::demo {

namespace {

std::string now() {
    const std::time_t time = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 32> text;
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts);
    return text.data();
}

std::string for_shell(const std::string& word) {
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (!word.empty() && word.find_first_not_of(plain) == std::string::npos)
        return word;
    std::string result = "'";
    for (const char c : word)
        result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
}

std::string command_line() {
    std::ifstream file("/proc/self/cmdline");
    std::string result;
    for (std::string word; std::getline(file, word, '\0');)
        result += (result.empty() ? "" : " ") + for_shell(word);
    return result;
}

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) {
            const std::size_t colon = line.find(": ");
            return colon != std::string::npos ? line.substr(colon + 2) : line;
        }
    }
    return "unknown processor";
}

// Those that this process may use, not those that there are.
unsigned usable_cpus() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return static_cast<unsigned>(CPU_COUNT(&set));
}

}  // namespace

Machine describe_machine() {
    Machine machine;
    machine.date = now();
    machine.command = command_line();
    machine.processor = processor();
    machine.cpus = usable_cpus();
    utsname names{};
    if (uname(&names) == 0)
        machine.system = std::string(names.sysname) + " " + names.release + " " + names.machine;
    machine.openssl = OpenSSL_version(OPENSSL_VERSION);
    machine.asyncjob = ASYNCJOB_VERSION;
    double load = 0;
    if (getloadavg(&load, 1) == 1)
        machine.load = load;
    return machine;
}

}  // namespace asyncjob::demo
