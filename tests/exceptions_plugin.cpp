// SPDX-License-Identifier: Apache-2.0
// A job's function that pauses in a catch clause, in a library that brings the C++ runtime.
#include <asyncjob/async.h>

extern "C" int catch_and_pause(void* arg) {
    try {
        throw *static_cast<int*>(arg);
    } catch (int) {
        ASYNC_pause_job();
        try {
            throw;
        } catch (int mine) {
            return mine;
        }
    }
}
