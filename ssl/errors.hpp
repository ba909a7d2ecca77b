// SPDX-License-Identifier: Apache-2.0
// errno and the calling thread's error queue, kept while a job is cancelled: what it runs into is
// no concern of the code that frees its connection. Parts of libssl clear the queue, and a mark on
// it would not last, so its entries are taken off.
//
// Owner: teardown.cpp. Threads: its own. Next layer down: libssl.hpp.
#pragma once

#include "libssl.hpp"

namespace asyncjob::ssl {

class ErrorsKept {
  public:
    explicit ErrorsKept(const Libssl& libssl) noexcept;
    ErrorsKept(const ErrorsKept&) = delete;
    ErrorsKept& operator=(const ErrorsKept&) = delete;
    ~ErrorsKept();

  private:
    // An entry's texts are behind it.
    struct Entry {
        Entry* next;
        unsigned long code;
        int line;
        const char* file;
        const char* function;
        const char* data;
    };

    // NULL: out of memory.
    static Entry* make(unsigned long code, const char* file, int line, const char* function,
                       const char* data) noexcept;

    const Libssl& libssl_;
    const int error_number_;
    Entry* first_ = nullptr;
    int marks_ = 0;
};

}  // namespace asyncjob::ssl
