// SPDX-License-Identifier: Apache-2.0
// The public headers as the library includes them: what they declare is exported, all else is
// hidden by a compiler option.
//
// Next layer down: the public headers.
#pragma once

// Their own functions are not exported.
struct async_job_st;
struct async_wait_ctx_st;

#pragma GCC visibility push(default)
#include "asyncjob/async.h"
#include "asyncjob/control.h"
#pragma GCC visibility pop
