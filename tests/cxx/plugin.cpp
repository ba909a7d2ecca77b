// SPDX-License-Identifier: Apache-2.0
#include "plugin.hpp"

#include <asyncjob/job.hpp>

void plugin_pause() {
    asyncjob::pause();
}

int& plugin_local() {
    return asyncjob::this_job::local<int>();
}

const std::error_category& plugin_category() {
    return asyncjob::error_category();
}
