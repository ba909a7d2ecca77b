// SPDX-License-Identifier: Apache-2.0
// libcrypto's error queue of one thread, taken off and put back on another or later: a
// worker's errors belong to the job that it worked for, and a job must pause with an empty
// queue, or its caller takes the pause for a failure.
//
// Threads: takes from and gives to the calling thread's queue. Next layer down: libcrypto.
#pragma once

#include <string>
#include <vector>

namespace offload {

class ErrorQueue {
  public:
    // Takes all entries off the calling thread's queue, and its marks.
    void take();

    // Puts them on the calling thread's queue, in their order. The marks come on top: what a
    // caller wants to keep is kept, some of what it wants to drop is kept too.
    void give() const;

  private:
    struct Entry {
        unsigned long code;
        int line;
        std::string file;
        std::string function;
        std::string data;
    };
    std::vector<Entry> entries_;
    int marks_ = 0;
};

}  // namespace offload
