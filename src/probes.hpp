// SPDX-License-Identifier: Apache-2.0
// Static probes (USDT) for whoever watches from outside: perf, bpftrace, SystemTap, gdb. They are
// notes in the file, which say where an instruction is and what is in which register there;
// asyncjob(1) has their names and arguments.
//
// In C++ the instruction is a nop, by SystemTap's header; where that is absent there are no probes.
// The short way in assembly has none: its notes are of instructions that are there anyway, see
// arch/probes_x86_64.inc. That also has all starts and ends, so that those which go through C++ do
// without a nop too.
//
// Owner: thread_state.cpp, capi_wake.cpp. Threads: any. Next layer down: <sys/sdt.h>.
#pragma once

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define ASYNCJOB_PROBE1(name, a) STAP_PROBE1(asyncjob, name, a)
#define ASYNCJOB_PROBE2(name, a, b) STAP_PROBE2(asyncjob, name, a, b)
#else
#define ASYNCJOB_PROBE1(name, a) static_cast<void>(a)
#define ASYNCJOB_PROBE2(name, a, b) (static_cast<void>(a), static_cast<void>(b))
#endif

// Of starts and ends of jobs.
#ifdef ASYNCJOB_HAVE_SWITCH_PROBES
#define ASYNCJOB_END_PROBE2(name, a, b) (static_cast<void>(a), static_cast<void>(b))
#else
#define ASYNCJOB_END_PROBE2(name, a, b) ASYNCJOB_PROBE2(name, a, b)
#endif
