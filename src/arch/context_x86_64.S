/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for x86-64, System V ABI. Contract: context.hpp; what it is made of, and why:
 * switch_x86_64.inc.
 */
#include "switch_x86_64.inc"

        .text

/*
 * int asyncjob_context_pause(Slot* own [rdi], Slot outside [rsi], int value [edx])
 * int asyncjob_context_first_pause(Slot* own [rdi], Slot outside [rsi], int value [edx],
 *                                  void* top [rcx])
 */
#define FIRST_PAUSE(end, pause)                                               \
        leaq    end(%rip), %rax;                                              \
        movq    %rax, -8(%rcx);                                               \
        jmp     pause

ENTER(asyncjob_context_first_pause)
        FIRST_PAUSE(asyncjob_context_end_kept, asyncjob_context_pause)
LEAVE(asyncjob_context_first_pause)

ENTER(asyncjob_context_first_pause_comparing)
        FIRST_PAUSE(asyncjob_context_end_comparing, asyncjob_context_pause_comparing)
LEAVE(asyncjob_context_first_pause_comparing)

ENTER(asyncjob_context_first_pause_shared)
        FIRST_PAUSE(asyncjob_context_end_shared, asyncjob_context_pause_shared)
LEAVE(asyncjob_context_first_pause_shared)

ENTER(asyncjob_context_pause)
        SAVE
        LEAVE_FRAME
        SWITCH_KEEPING_MODE(SAVE_MODE, %rsi, pause)
        .cfi_remember_state
        RESTORE_AND_JUMP
        .cfi_restore_state
        LOAD_X87(pause)
LEAVE(asyncjob_context_pause)

ENTER(asyncjob_context_pause_comparing)
        SAVE
        LEAVE_FRAME
        SWITCH_COMPARING_MODE(%rsi)
        RESTORE_AND_JUMP
LEAVE(asyncjob_context_pause_comparing)

ENTER(asyncjob_context_pause_shared)
        SAVE
        SAVE_NO_MODE
        LEAVE_FRAME
        movq    %rsi, %rsp
        RESTORE_AND_JUMP
LEAVE(asyncjob_context_pause_shared)

/* int asyncjob_context_resume(Slot* outside [rdi], Slot fiber [rsi], int value [edx]) */
ENTER(asyncjob_context_resume)
        SAVE
        LEAVE_FRAME
        SWITCH_KEEPING_MODE(SAVE_MODE, %rsi, resume)
        GO_IN(kept)
        .cfi_restore_state
        LOAD_X87(resume)
LEAVE(asyncjob_context_resume)

ENTER(asyncjob_context_resume_comparing)
        SAVE
        LEAVE_FRAME
        SWITCH_COMPARING_MODE(%rsi)
        GO_IN(comparing)
LEAVE(asyncjob_context_resume_comparing)

ENTER(asyncjob_context_resume_shared)
        SAVE
        SAVE_NO_MODE
        LEAVE_FRAME
        movq    %rsi, %rsp
        GO_IN(shared)
LEAVE(asyncjob_context_resume_shared)

/*
 * int asyncjob_context_start(Slot* outside [rdi], void* top [rsi],
 *                            int (*function)(void*) [rdx], void* arg [rcx], void* fiber [r8])
 */
ENTER(asyncjob_context_start)
        SAVE
        SAVE_MODE
.Lstart:
        movq    %r8, %r12
        movq    %rdi, %r13
        movq    %rcx, %rdi
        CALL_FUNCTION
        movq    %r12, %rdi
        movl    %eax, %esi
        RESTORE_AFTER_CALL
        jmp     asyncjob_context_ended
LEAVE(asyncjob_context_start)

ENTER(asyncjob_context_start_shared)
        SAVE
        SAVE_NO_MODE
        jmp     .Lstart
LEAVE(asyncjob_context_start_shared)

END_OF_FILE
