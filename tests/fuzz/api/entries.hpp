// SPDX-License-Identifier: Apache-2.0
// What the library calls: functions for the machine's jobs, hooks, destructors, cleanups and
// callbacks, which hand on to the machine of the calling thread.
#pragma once

#include <asyncjob/async.h>
#include <asyncjob/control.h>

#include <cstddef>
#include <cstdint>

namespace fuzz {

class Machine;

struct Entries {
    // The machine of the calling thread, from now on.
    static void enter(Machine& machine);

    // A job's function that gets so many bytes.
    static int (*function_for(std::size_t size))(void*);
    static void enter_hook(ASYNC_JOB* job, void* arg);
    static void leave_hook(ASYNC_JOB* job, void* arg);
    static void slot_free(void* arg);
    static void note_destroyed(void* value);
    static void store_again(void* value);
    static void clean_up(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd, void* data);
    // A wait context's callbacks, none of which is ever called.
    static ASYNC_callback_fn callback(int number);

  private:
    template <std::size_t size>
    static int function(void* args);
};

}  // namespace fuzz
