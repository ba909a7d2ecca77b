// SPDX-License-Identifier: Apache-2.0
// The job interface as function pointers, twice: this library's and stock libcrypto's, so
// that one process measures both and calls both in the same way.
//
// Threads: filled before main(), then only read. Next layer down: the two libraries.
#pragma once

#include <asyncjob/async.h>

#include <string>

struct Api {
    decltype(&ASYNC_start_job) start_job;
    decltype(&ASYNC_pause_job) pause_job;
    decltype(&ASYNC_get_current_job) get_current_job;
    decltype(&ASYNC_WAIT_CTX_new) wait_ctx_new;
    decltype(&ASYNC_WAIT_CTX_free) wait_ctx_free;
    decltype(&ASYNC_WAIT_CTX_set_wait_fd) set_wait_fd;
    decltype(&ASYNC_WAIT_CTX_get_changed_fds) get_changed_fds;

    std::string library;  // the file that all of them are in; empty if it cannot be had
    std::string version;  // what it says of itself
};

// Ends the program if the linker bound a name to another library than this project's.
extern const Api ours;

// Without a libcrypto.so.3 `library` is empty and every pointer NULL.
extern const Api stock;
