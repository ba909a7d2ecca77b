// SPDX-License-Identifier: Apache-2.0
// The deviations. Each test asks for all that is expected of both sides, so that another
// difference at the same place does not pass for it.
#include "deviations.hpp"

#include <openssl/async.h>

#include <fstream>

namespace differential {

namespace {

bool both(Op op, const Event& libcrypto, const Event& asyncjob) {
    return libcrypto.op == op && asyncjob.op == op && libcrypto.what == asyncjob.what;
}

// One side's state seen by the other in libcrypto, and each side's own in ours.
template <Op op>
bool own_state(const Event& libcrypto, const Event& asyncjob) {
    return both(op, libcrypto, asyncjob) && asyncjob.hints.own_state && !libcrypto.hints.own_state;
}

}  // namespace

const std::vector<Deviation>& deviations() {
    static const std::vector<Deviation> all = {
        {Provoke::empty_args, "S1-empty-args",
         [](const Event& libcrypto, const Event& asyncjob) {
             return both(Op::function_began, libcrypto, asyncjob) && asyncjob.hints.empty_args &&
                    libcrypto.value == 0 && asyncjob.value == 1;
         }},
        {Provoke::alignment, "S1-args-alignment", own_state<Op::alignment>},
        {Provoke::left_over_block, "S8-block-per-job",
         [](const Event& libcrypto, const Event& asyncjob) {
             return libcrypto.op == Op::pause_returned && libcrypto.value == 1 &&
                    libcrypto.hints.left_over_block && asyncjob.op == Op::start_returned &&
                    asyncjob.value == ASYNC_PAUSE && asyncjob.hints.left_over_block;
         }},
        {Provoke::unlimited_init, "S11-unlimited-init",
         [](const Event& libcrypto, const Event& asyncjob) {
             return both(Op::init_thread, libcrypto, asyncjob) && asyncjob.hints.unlimited_init &&
                    libcrypto.result == "0, errors 51:103" && asyncjob.result == "1";
         }},
        {Provoke::second_init, "S11-second-init",
         [](const Event& libcrypto, const Event& asyncjob) {
             if (!asyncjob.hints.second_init)
                 return false;
             if (libcrypto.op == Op::start_returned && libcrypto.value == ASYNC_NO_JOBS) {
                 return asyncjob.op == Op::function_began && !asyncjob.hints.libcrypto_has_job &&
                        asyncjob.hints.asyncjob_has_job;
             }
             return libcrypto.op == Op::function_began && asyncjob.op == Op::start_returned &&
                    asyncjob.value == ASYNC_NO_JOBS && asyncjob.hints.libcrypto_has_job &&
                    !asyncjob.hints.asyncjob_has_job;
         }},
        {Provoke::signal_mask, "S16-signal-mask", own_state<Op::signal_mask>},
        {Provoke::rounding_mode, "S16-fp-mode", own_state<Op::rounding_mode>},
        {Provoke::error_number, "S16-errno", own_state<Op::error_number>},
        {Provoke::exception, "S16-exceptions", own_state<Op::exception>},
        {Provoke::add_in_cleanup, "S24-cleanup-adds",
         [](const Event& libcrypto, const Event& asyncjob) {
             return (libcrypto.op == Op::cleanup || libcrypto.op == Op::free_returned) &&
                    asyncjob.op == Op::cleanup && asyncjob.hints.added_in_cleanup;
         }},
        {Provoke::null_ctx, "S25-null-context",
         [](const Event& libcrypto, const Event& asyncjob) {
             return both(Op::set_callback, libcrypto, asyncjob) && asyncjob.hints.null_ctx &&
                    libcrypto.result == "0" && asyncjob.result == "0, errors 51:200";
         }},
        {Provoke::invalid_status, "S26-status-range",
         [](const Event& libcrypto, const Event& asyncjob) {
             return both(Op::set_status, libcrypto, asyncjob) && asyncjob.hints.invalid_status &&
                    libcrypto.result == "1" && asyncjob.result == "0, errors 51:209";
         }},
    };
    return all;
}

const Deviation* find_deviation(const Event& libcrypto, const Event& asyncjob) {
    for (const Deviation& deviation : deviations()) {
        if (deviation.is(libcrypto, asyncjob))
            return &deviation;
    }
    return nullptr;
}

std::set<std::string> listed_deviations(const std::string& path) {
    std::set<std::string> names;
    std::ifstream document(path);
    const std::string row = "| `";
    std::string line;
    while (std::getline(document, line)) {
        if (line.compare(0, row.size(), row) != 0)
            continue;
        const std::size_t end = line.find('`', row.size());
        if (end != std::string::npos)
            names.insert(line.substr(row.size(), end - row.size()));
    }
    return names;
}

}  // namespace differential
