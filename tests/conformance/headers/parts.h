/* SPDX-License-Identifier: Apache-2.0 */
/* What a part of the mixed program offers; see part.h. Needs either header before it. */
#ifndef PARTS_H
#define PARTS_H

#ifdef __cplusplus
extern "C" {
#endif

struct Part {
    const char* name;
    int (*start)(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* result, int (*function)(void*));
    int (*function)(void* args);
    int (*has_stack_functions)(void);
};

#ifdef __cplusplus
}
#endif
#endif
