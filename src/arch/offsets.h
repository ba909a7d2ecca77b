/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the short ways in assembly know of the library's structures: byte offsets, and the bits
 * of unusual.hpp. thread_state.cpp checks each of them against C++.
 *
 * Next layer down: short_<cpu>.S, which uses them.
 */
#ifndef ASYNCJOB_ARCH_OFFSETS_H
#define ASYNCJOB_ARCH_OFFSETS_H

/* async_job_st */
#define ASYNCJOB_JOB_SUSPENDED 0
#define ASYNCJOB_JOB_ERRNO 8
#define ASYNCJOB_JOB_UNUSUAL 12
#define ASYNCJOB_JOB_TICKET 16
#define ASYNCJOB_JOB_HANDLE 32
#define ASYNCJOB_JOB_RESULT 40
#define ASYNCJOB_JOB_WAIT 48
#define ASYNCJOB_JOB_TOP 64
#define ASYNCJOB_JOB_NEXT 72
#define ASYNCJOB_JOB_SERIAL_BITS 63

/* ThreadState */
#define ASYNCJOB_THREAD_CURRENT 0
#define ASYNCJOB_THREAD_KEY 8
#define ASYNCJOB_THREAD_ERRNO 16
#define ASYNCJOB_THREAD_EXCEPTIONS 24
#define ASYNCJOB_THREAD_OUTSIDE 32
#define ASYNCJOB_THREAD_SPECIAL 40
#define ASYNCJOB_THREAD_ERRORS_PLACE 48
#define ASYNCJOB_THREAD_ERRORS_STATE 56
#define ASYNCJOB_THREAD_IDLE 64
#define ASYNCJOB_THREAD_IDLE_COUNT 72

/* ErrorState */
#define ASYNCJOB_ERRORS_TOP 896
#define ASYNCJOB_ERRORS_BOTTOM 900

/* async_wait_ctx_st */
#define ASYNCJOB_WAIT_CHANGED 0

/* unusual.hpp */
#define ASYNCJOB_COMPARES_FP_MODE 1
#define ASYNCJOB_SHARES_FP_MODE 2
#define ASYNCJOB_IS_BARE 4
#define ASYNCJOB_SHARES_ONLY 6
#define ASYNCJOB_FP_MODE 7
#define ASYNCJOB_YOUNG 0x3e0
#define ASYNCJOB_YOUNG_BY_ONE 0x20
#define ASYNCJOB_YOUNG_AT_FIRST 0x200
#define ASYNCJOB_FRESH_AND_LISTED 0xc000
#define ASYNCJOB_GOES_ON 0x3fff

#endif
