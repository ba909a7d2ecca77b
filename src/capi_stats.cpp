// SPDX-License-Identifier: Apache-2.0
// The functions of asyncjob/control.h that tell about jobs, which only check. Contracts: there.
//
// Threads: as that header says. Next layer down: stats.hpp, thread_state.hpp.
#include "api.hpp"
#include "dump.hpp"
#include "options.hpp"
#include "reason.hpp"
#include "stats.hpp"
#include "thread_state.hpp"

using asyncjob::AllThreads;
using asyncjob::fail;
using asyncjob::LookAtStacks;
using asyncjob::Reason;
using asyncjob::succeed;
using asyncjob::this_thread;

int asyncjob_stats(asyncjob_stats_t* of, size_t size, int which) {
    const int whose = which & ~ASYNCJOB_STATS_STACKS;
    if (whose != ASYNCJOB_STATS_THREAD && whose != ASYNCJOB_STATS_PROCESS)
        return fail(Reason::invalid_option, __func__);
    const auto stacks = (which & ASYNCJOB_STATS_STACKS) != 0 ? LookAtStacks::yes : LookAtStacks::no;
    asyncjob_stats_t stats{};
    if (whose == ASYNCJOB_STATS_THREAD)
        stats = asyncjob::thread_stats(this_thread.entry, stacks);
    else
        (void)asyncjob::process_stats(stats, AllThreads(AllThreads::When::waits), stacks);
    return succeed(asyncjob::give_struct(of, size, &stats, sizeof stats, sizeof(asyncjob_stats_t)),
                   __func__);
}

int asyncjob_dump(int fd) {
    return asyncjob::dump(fd) ? 1 : 0;
}

int asyncjob_install_overflow_handler(void) {
    return succeed(asyncjob::report_overflows(), __func__);
}
