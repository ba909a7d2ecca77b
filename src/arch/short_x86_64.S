/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ASYNC_start_job() and ASYNC_pause_job() on x86-64 the short way: what nearly every start
 * without arguments, resume, pause and end does, in one piece with the switch. Each jump that is
 * taken costs 3 to 4 cycles here, more than the instructions between, so that way has none.
 *
 * The rest is thread_state.cpp's: a call that has anything unusual about it (unusual.hpp) goes
 * there, having changed nothing. That file does all of this too, and is what it means: read
 * go_into_paused(), go_out(), go_into_new() and asyncjob_context_ended() there.
 *
 * A job that has been resumed a few times has nothing at all in its bits, nor its thread; that
 * way comes first. Then come the same with control words shared and compared, and .L<...>_rare is
 * all that is left.
 *
 * Registers: r10 the job, r11 the thread state's offset, r8d or r9d the bits of thread and job.
 * Structures: offsets.h.
 */
#include "offsets.h"
#include "switch_x86_64.inc"

#define JOB(field) ASYNCJOB_JOB_##field(%r10)
#define THREAD(field) %fs:ASYNCJOB_THREAD_##field(%r11)

#define ENTER_PUBLIC(name)                                                    \
        .globl  name;                                                         \
        .type   name, @function;                                              \
        .p2align 6;                                                           \
name:                                                                         \
        .cfi_startproc;                                                       \
        endbr64

/*
 * `found` becomes 0 if the thread has no exception caught or in flight (exception_globals.hpp).
 * What else has to be 0 is ORed to it, so that one jump stands for all.
 */
#define LOOK_FOR_EXCEPTIONS(scratch, found)                                   \
        movq    THREAD(EXCEPTIONS), scratch;                                  \
        movl    8(scratch), found##d;                                         \
        orq     (scratch), found

/*
 * The bits of thread and job, and exceptions: 0 usually. Below 64 Ki only if there are no exceptions:
 * their number comes into the upper half, beside the upper half of the address, which comes into
 * the lower one a second time.
 */
#define LOOK_FOR_UNUSUAL(scratch, found)                                      \
        movq    THREAD(EXCEPTIONS), scratch;                                  \
        movl    THREAD(SPECIAL), found##d;                                    \
        orl     JOB(UNUSUAL), found##d;                                       \
        orq     4(scratch), found;                                            \
        orq     (scratch), found

/*
 * Jumps if there may be entries in the thread's error queue (ThreadErrors::maybe_any()). The
 * thread has used jobs before.
 */
#define JUMP_IF_ERRORS(state, scratch, to)                                    \
        movq    THREAD(ERRORS_STATE), state;                                  \
        movq    THREAD(ERRORS_PLACE), scratch;                                \
        cmpq    (scratch), state;                                             \
        jne     to;                                                           \
        movl    ASYNCJOB_ERRORS_TOP(state), scratch##d;                       \
        cmpl    ASYNCJOB_ERRORS_BOTTOM(state), scratch##d;                    \
        jne     to

/*
 * What a resume is checked for before its bits are looked at. A job keeps its crossed ticket while
 * it is the current one.
 */
#define CHECK_RESUME                                                          \
        movq    THREAD(KEY), %r9;                                             \
        xorq    %rax, %r9;                                                    \
        cmpq    JOB(TICKET), %r9;                                             \
        jne     .Llong_start;                                                 \
        JUMP_IF_ERRORS(%rcx, %r9, .Llong_start);                              \
        movq    JOB(WAIT), %r9;                                               \
        testq   %r9, %r9;                                                     \
        jz      1f;                                                           \
        cmpb    $0, ASYNCJOB_WAIT_CHANGED(%r9);                               \
        jne     .Llong_start;                                                 \
1:

/*
 * All of a resume from there to the control words: the structures, errno and the frame.
 * Remembers the CFI without that frame.
 */
#define RESUME_TO_SWITCH(way)                                                 \
        PROBE("resume", "8@%rax");                                            \
        movq    %rdi, JOB(HANDLE);                                            \
        movq    %rdx, JOB(RESULT);                                            \
        movq    %rax, THREAD(CURRENT);                                        \
        movq    THREAD(ERRNO), %r9;                                           \
        movl    (%r9), %ecx;                                                  \
        cmpl    JOB(ERRNO), %ecx;                                             \
        jne     .Lresume_errno_##way;                                         \
.Lresume_switch_##way:                                                        \
        .cfi_remember_state;                                                  \
        SAVE;                                                                 \
        movl    $1, %eax;       /* the result of the job's ASYNC_pause_job() */ \
        movq    %rsp, THREAD(OUTSIDE)

#define RESUME_ERRNO(way)                                                     \
.Lresume_errno_##way:                                                         \
        movl    JOB(ERRNO), %edx;                                             \
        movl    %edx, (%r9);                                                  \
        movl    %ecx, JOB(ERRNO);                                             \
        jmp     .Lresume_switch_##way

/* The same of a pause. */
#define PAUSE_TO_SWITCH(way)                                                  \
        PROBE("pause", "8@%rax");                                             \
        movq    $0, THREAD(CURRENT);                                          \
        movq    JOB(HANDLE), %rcx;                                            \
        movq    %rax, (%rcx);                                                 \
        movq    THREAD(ERRNO), %r9;                                           \
        movl    (%r9), %ecx;                                                  \
        cmpl    JOB(ERRNO), %ecx;                                             \
        jne     .Lpause_errno_##way;                                          \
.Lpause_switch_##way:                                                         \
        .cfi_remember_state;                                                  \
        SAVE;                                                                 \
        movl    $2, %eax;       /* ASYNC_PAUSE, what the resumer's ASYNC_start_job() returns */ \
        movq    %rsp, JOB(SUSPENDED)

#define PAUSE_ERRNO(way)                                                      \
.Lpause_errno_##way:                                                          \
        movl    JOB(ERRNO), %edx;                                             \
        movl    %edx, (%r9);                                                  \
        movl    %ecx, JOB(ERRNO);                                             \
        jmp     .Lpause_switch_##way

/* The way of a job that has something to do with control words, and is not usual any more. */
#define GO_BY_FP_MODE(side)                                                   \
        testl   $ASYNCJOB_FP_MODE, %r8d;                                      \
        jz      .L##side##_usual;                                             \
        orl     $ASYNCJOB_IS_BARE, JOB(UNUSUAL);                              \
        testl   $ASYNCJOB_SHARES_FP_MODE, %r8d;                               \
        jnz     .L##side##_shared;                                            \
        andl    $~ASYNCJOB_IS_BARE, JOB(UNUSUAL);                             \
        jmp     .L##side##_comparing

        .text

/* int ASYNC_start_job(ASYNC_JOB** handle [rdi], ASYNC_WAIT_CTX* wait [rsi], int* result [rdx],
                       int (*function)(void*) [rcx], void* args [r8], size_t size [r9]) */
ENTER_PUBLIC(ASYNC_start_job)
        testq   %rdi, %rdi
        jz      .Llong_start
        testq   %rdx, %rdx
        jz      .Llong_start
        movq    (%rdi), %rax
        movq    asyncjob_this_thread@gottpoff(%rip), %r11
        testq   %rax, %rax
        jz      .Lnew

        /* A resume of the job with the name rax. */
        movq    %rax, %r10
        andq    $~ASYNCJOB_JOB_SERIAL_BITS, %r10
        prefetcht0 -64(%r10)
        prefetcht0 -128(%r10)
        CHECK_RESUME
        LOOK_FOR_UNUSUAL(%rcx, %r9)
        orq     THREAD(CURRENT), %r9
        jnz     .Lresume_other
.Lresume_usual:
        RESUME_TO_SWITCH(usual)
        SWITCH_KEEPING_MODE(SAVE_MODE, JOB(SUSPENDED), resume)
        .cfi_remember_state
        RESTORE_AND_JUMP
        .cfi_restore_state
        LOAD_X87(resume)
        .cfi_restore_state      /* of RESUME_TO_SWITCH */
        RESUME_ERRNO(usual)

        .p2align 5
.Lresume_other:
        cmpq    $ASYNCJOB_SHARES_ONLY, %r9
        jne     .Lresume_not_shared
.Lresume_shared:
        RESUME_TO_SWITCH(shared)
        SAVE_NO_MODE
        movq    JOB(SUSPENDED), %rsp
        RESTORE_AND_JUMP
        .cfi_restore_state
        RESUME_ERRNO(shared)

        .p2align 5
.Lresume_not_shared:
        cmpq    $ASYNCJOB_COMPARES_FP_MODE, %r9
        jne     .Lresume_rare
.Lresume_comparing:
        RESUME_TO_SWITCH(comparing)
        SWITCH_COMPARING_MODE(JOB(SUSPENDED))
        RESTORE_AND_JUMP
        .cfi_restore_state
        RESUME_ERRNO(comparing)

        .p2align 5
.Lresume_rare:
        movl    %r9d, %r8d
        testq   $~ASYNCJOB_GOES_ON, %r9
        jnz     .Llong_start
        testl   $ASYNCJOB_YOUNG, %r8d
        jnz     .Lresume_young
        GO_BY_FP_MODE(resume)

        .p2align 5
.Lresume_young:
        RESUME_TO_SWITCH(young)
        subl    $ASYNCJOB_YOUNG_BY_ONE, JOB(UNUSUAL)
        testl   $ASYNCJOB_FP_MODE, %r8d
        jnz     .Lresume_young_other
        SWITCH_KEEPING_MODE(SAVE_MODE, JOB(SUSPENDED), resume_young)
        GO_IN(kept)
        .cfi_restore_state
        LOAD_X87(resume_young)
.Lresume_young_other:
        testl   $ASYNCJOB_SHARES_FP_MODE, %r8d
        jz      .Lresume_young_comparing
        SAVE_NO_MODE
        orl     $ASYNCJOB_IS_BARE, JOB(UNUSUAL)
        movq    JOB(SUSPENDED), %rsp
        GO_IN(shared)
        .cfi_restore_state
.Lresume_young_comparing:
        andl    $~ASYNCJOB_IS_BARE, JOB(UNUSUAL)
        SWITCH_COMPARING_MODE(JOB(SUSPENDED))
        GO_IN(comparing)
        .cfi_restore_state      /* of GO_IN */
        .cfi_restore_state      /* of RESUME_TO_SWITCH */
        RESUME_ERRNO(young)

        /* A start. */
        .p2align 5
.Lnew:
        testq   %r8, %r8
        jnz     asyncjob_start_with_args
        movq    THREAD(IDLE), %r10
        testq   %r10, %r10
        jz      .Llong_start
        testq   %rcx, %rcx
        jz      .Llong_start
        movl    THREAD(SPECIAL), %r9d
        orl     JOB(UNUSUAL), %r9d
        testl   $~ASYNCJOB_FP_MODE, %r9d
        jnz     .Llong_start
        JUMP_IF_ERRORS(%rax, %r8, .Llong_new)
        LOOK_FOR_EXCEPTIONS(%rax, %r8)
        orq     THREAD(CURRENT), %r8
        jnz     .Llong_new
        movq    %rdi, JOB(HANDLE)
        movq    %rsi, JOB(WAIT)
        movq    %rdx, JOB(RESULT)
        movl    $ASYNCJOB_FRESH_AND_LISTED, JOB(UNUSUAL)
        movq    THREAD(ERRNO), %rax
        movl    (%rax), %eax
        movl    %eax, JOB(ERRNO)
        movq    JOB(TICKET), %rax
        movq    %rax, THREAD(CURRENT)
        movq    JOB(TOP), %rsi
        movq    %rcx, %rdx
        xorl    %edi, %edi
        .cfi_remember_state
        SAVE
        movq    %r10, %r12
        movq    %fs:0, %r13
        leaq    ASYNCJOB_THREAD_OUTSIDE(%r13, %r11), %r13
        testl   $ASYNCJOB_SHARES_FP_MODE, %r9d
        jnz     .Lnew_shared
        SAVE_MODE
.Lnew_call:
        CALL_FUNCTION
        /* The job has not paused: as good as nothing to undo. */
        movq    asyncjob_this_thread@gottpoff(%rip), %r11
        movq    %r12, %r10
        movl    THREAD(SPECIAL), %ecx
        orl     JOB(UNUSUAL), %ecx
        andl    $~ASYNCJOB_FP_MODE, %ecx
        cmpl    $ASYNCJOB_FRESH_AND_LISTED, %ecx
        jne     .Llong_end
        movq    JOB(TICKET), %rdx
        incq    %rdx
        testl   $ASYNCJOB_JOB_SERIAL_BITS, %edx
        jz      .Llong_end
        movq    %rdx, JOB(TICKET)
        movq    JOB(RESULT), %rdx
        movl    %eax, (%rdx)
        movq    JOB(HANDLE), %rdx
        movq    $0, (%rdx)
        movq    $0, THREAD(CURRENT)
        movl    $0, JOB(UNUSUAL)
        movl    $3, %eax        /* ASYNC_FINISH */
        .cfi_remember_state
        RESTORE_AFTER_CALL
        ret
        .cfi_restore_state
.Llong_end:
        movq    %r12, %rdi
        movl    %eax, %esi
        .cfi_remember_state
        RESTORE_AFTER_CALL
        jmp     asyncjob_context_ended
        .cfi_restore_state
.Lnew_shared:
        SAVE_NO_MODE
        orl     $ASYNCJOB_IS_BARE, JOB(UNUSUAL)
        jmp     .Lnew_call
        .cfi_restore_state

.Llong_new:
        xorl    %r8d, %r8d
.Llong_start:
        jmp     asyncjob_start_or_resume
LEAVE(ASYNC_start_job)

/* int ASYNC_pause_job(void) */
ENTER_PUBLIC(ASYNC_pause_job)
        movq    asyncjob_this_thread@gottpoff(%rip), %r11
        movq    THREAD(CURRENT), %rax
        testq   %rax, %rax
        jz      .Lno_job
        movq    %rax, %r10
        andq    $~ASYNCJOB_JOB_SERIAL_BITS, %r10
        JUMP_IF_ERRORS(%rcx, %r9, .Llong_pause)
        LOOK_FOR_UNUSUAL(%rcx, %r9)
        jnz     .Lpause_other
.Lpause_usual:
        PAUSE_TO_SWITCH(usual)
        SWITCH_KEEPING_MODE(SAVE_MODE_MXCSR_FIRST, THREAD(OUTSIDE), pause)
        .cfi_remember_state
        RESTORE_AND_JUMP
        .cfi_restore_state
        LOAD_X87(pause)
        .cfi_restore_state      /* of PAUSE_TO_SWITCH */
        PAUSE_ERRNO(usual)

        /* Here it takes a cycle less than at any other place that was tried. */
        .p2align 5
        .skip   24, 0xcc
.Lpause_other:
        cmpq    $ASYNCJOB_SHARES_ONLY, %r9
        jne     .Lpause_not_shared
.Lpause_shared:
        PAUSE_TO_SWITCH(shared)
        SAVE_NO_MODE
        movq    THREAD(OUTSIDE), %rsp
        RESTORE_AND_JUMP
        .cfi_restore_state
        PAUSE_ERRNO(shared)

        .p2align 5
.Lpause_not_shared:
        cmpq    $ASYNCJOB_COMPARES_FP_MODE, %r9
        jne     .Lpause_rare
.Lpause_comparing:
        PAUSE_TO_SWITCH(comparing)
        SWITCH_COMPARING_MODE(THREAD(OUTSIDE))
        RESTORE_AND_JUMP
        .cfi_restore_state
        PAUSE_ERRNO(comparing)

        .p2align 5
.Lpause_rare:
        movl    %r9d, %r8d
        andq    $~ASYNCJOB_FP_MODE, %r9
        cmpq    $ASYNCJOB_FRESH_AND_LISTED, %r9
        je      .Lfirst_pause
        testq   $~ASYNCJOB_GOES_ON, %r9
        jnz     .Llong_pause
        GO_BY_FP_MODE(pause)

        /* The first pause takes the job out of the idle ones, whose first it still is. */
.Lfirst_pause:
        movq    JOB(NEXT), %rcx
        movq    %rcx, THREAD(IDLE)
        decq    THREAD(IDLE_COUNT)
        movq    THREAD(KEY), %rcx
        xorq    %rax, %rcx
        movq    %rcx, JOB(TICKET)
        movl    $ASYNCJOB_YOUNG_AT_FIRST, JOB(UNUSUAL)
        movq    JOB(TOP), %rcx
        testl   $ASYNCJOB_FP_MODE, %r8d
        jnz     .Lfirst_pause_other
        leaq    asyncjob_context_end_kept(%rip), %rdx
        movq    %rdx, -8(%rcx)
        jmp     .Lpause_usual
.Lfirst_pause_other:
        testl   $ASYNCJOB_SHARES_FP_MODE, %r8d
        jnz     .Lfirst_pause_shared
        leaq    asyncjob_context_end_comparing(%rip), %rdx
        movq    %rdx, -8(%rcx)
        jmp     .Lpause_comparing
.Lfirst_pause_shared:
        orl     $ASYNCJOB_IS_BARE, JOB(UNUSUAL)
        leaq    asyncjob_context_end_shared(%rip), %rdx
        movq    %rdx, -8(%rcx)
        jmp     .Lpause_shared

.Lno_job:
        movl    $1, %eax
        ret
.Llong_pause:
        jmp     asyncjob_pause_long
LEAVE(ASYNC_pause_job)

END_OF_FILE
