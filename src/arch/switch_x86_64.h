/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the switch is made of on x86-64, System V ABI: macros for context_x86_64.S and
 * short_x86_64.S. Frame layout: frame.h.
 *
 * Saved: rbx, rbp, r12 to r15, MXCSR and the x87 control word, which the ABI says a call
 * keeps. What the processor's return predictor holds decides how a side is left:
 *
 *  - A fiber starts by an ordinary call. As long as it does not pause, calls and returns stay
 *    matched; its function has kept the registers and the control words by the ABI, so its end
 *    only puts the stack pointer back.
 *  - After a switch the predictor holds the other stack's addresses. So the way out of a switch
 *    is a pop and an indirect jump, which is predicted by its history; a ret would mispredict
 *    every time.
 *  - A resume goes in by a call; the first pause puts the return address of that call where
 *    the fiber's function returns to. If the function pauses and then returns, its ret is
 *    predicted, and so is that of asyncjob_context_ended().
 *
 * Next layer down: the processor.
 */
#ifndef ASYNCJOB_ARCH_SWITCH_X86_64_H
#define ASYNCJOB_ARCH_SWITCH_X86_64_H

#include "frame.h"

#define ENTER(name)                                                           \
        .globl  name;                                                         \
        .hidden name;                                                         \
        .type   name, @function;                                              \
        .p2align 6;                                                           \
name:                                                                         \
        .cfi_startproc

#define LEAVE(name)                                                           \
        .cfi_endproc;                                                         \
        .size   name, . - name

/* The frame of the running side. Its CFI holds for the frame of any side that rsp points to. */
#define SAVE                                                                  \
        movq    %rbp, ASYNCJOB_FRAME_RBP(%rsp);                               \
        .cfi_rel_offset rbp, ASYNCJOB_FRAME_RBP;                              \
        movq    %rbx, ASYNCJOB_FRAME_RBX(%rsp);                               \
        .cfi_rel_offset rbx, ASYNCJOB_FRAME_RBX;                              \
        movq    %r12, ASYNCJOB_FRAME_R12(%rsp);                               \
        .cfi_rel_offset r12, ASYNCJOB_FRAME_R12;                              \
        movq    %r13, ASYNCJOB_FRAME_R13(%rsp);                               \
        .cfi_rel_offset r13, ASYNCJOB_FRAME_R13;                              \
        movq    %r14, ASYNCJOB_FRAME_R14(%rsp);                               \
        .cfi_rel_offset r14, ASYNCJOB_FRAME_R14;                              \
        movq    %r15, ASYNCJOB_FRAME_R15(%rsp);                               \
        .cfi_rel_offset r15, ASYNCJOB_FRAME_R15

#define SAVE_MODE                                                             \
        stmxcsr ASYNCJOB_FRAME_MXCSR(%rsp);                                   \
        fnstcw  ASYNCJOB_FRAME_X87CW(%rsp)

/* A frame without control words; no x87 control word is 0, as its bit 6 is always set. */
#define SAVE_NO_MODE                                                          \
        movw    $0, ASYNCJOB_FRAME_X87CW(%rsp)

/*
 * Leaves the frame at rsp in the slot at rdi and goes to the frame rsi. eax is the result, rdi
 * the frame that was left.
 */
#define EXCHANGE                                                              \
        movl    %edx, %eax;                                                   \
        movq    %rsp, (%rdi);                                                 \
        movq    %rsp, %rdi;                                                   \
        movq    %rsi, %rsp

/*
 * Loads the control words of the frame at rsp. To look at what fnstcw has stored in the frame
 * at rdi costs less than fldcw; of stmxcsr and ldmxcsr the opposite holds.
 */
#define LOAD_MODE(here)                                                       \
        movzwl  ASYNCJOB_FRAME_X87CW(%rdi), %ecx;                             \
        cmpw    ASYNCJOB_FRAME_X87CW(%rsp), %cx;                              \
        jne     .Lother_x87_##here;                                           \
.Lsame_x87_##here:                                                            \
        ldmxcsr ASYNCJOB_FRAME_MXCSR(%rsp)

/* Out of line, behind the function. */
#define LOAD_X87(here)                                                        \
.Lother_x87_##here:                                                           \
        fldcw   ASYNCJOB_FRAME_X87CW(%rsp);                                   \
        jmp     .Lsame_x87_##here

/*
 * Loads the control words of the frame at rsp if it has any and they are not those that are
 * in force, saved in the frame at rdi. MXCSR's low six bits are status, which a call may
 * change.
 */
#define MXCSR_CONTROL 0xffc0
#define COMPARE_AND_LOAD_MODE                                                 \
        movl    ASYNCJOB_FRAME_MXCSR(%rdi), %ecx;                             \
        xorl    ASYNCJOB_FRAME_MXCSR(%rsp), %ecx;                             \
        testl   $MXCSR_CONTROL, %ecx;                                         \
        jnz     1f;                                                           \
        movzwl  ASYNCJOB_FRAME_X87CW(%rdi), %ecx;                             \
        cmpw    ASYNCJOB_FRAME_X87CW(%rsp), %cx;                              \
        je      2f;                                                           \
1:      cmpw    $0, ASYNCJOB_FRAME_X87CW(%rsp);                               \
        je      2f;                                                           \
        ldmxcsr ASYNCJOB_FRAME_MXCSR(%rsp);                                   \
        fldcw   ASYNCJOB_FRAME_X87CW(%rsp);                                   \
2:

/* Loads the registers of the frame at rsp. */
#define RESTORE                                                               \
        movq    ASYNCJOB_FRAME_R15(%rsp), %r15;                               \
        movq    ASYNCJOB_FRAME_R14(%rsp), %r14;                               \
        movq    ASYNCJOB_FRAME_R13(%rsp), %r13;                               \
        movq    ASYNCJOB_FRAME_R12(%rsp), %r12;                               \
        movq    ASYNCJOB_FRAME_RBX(%rsp), %rbx;                               \
        movq    ASYNCJOB_FRAME_RBP(%rsp), %rbp

#define RESTORED                                                              \
        .cfi_same_value rbp;                                                  \
        .cfi_same_value rbx;                                                  \
        .cfi_same_value r12;                                                  \
        .cfi_same_value r13;                                                  \
        .cfi_same_value r14;                                                  \
        .cfi_same_value r15

/* The user's frames end here: above rsp is the top of the fiber's stack. */
#define OUTERMOST                                                             \
        .cfi_def_cfa rsp, 0;                                                  \
        .cfi_undefined rip

/* From here on rsp points to a frame. */
#define FRAME_HERE                                                            \
        .cfi_def_cfa rsp, 8;                                                  \
        .cfi_offset rip, -8;                                                  \
        .cfi_rel_offset rbp, ASYNCJOB_FRAME_RBP;                              \
        .cfi_rel_offset rbx, ASYNCJOB_FRAME_RBX;                              \
        .cfi_rel_offset r12, ASYNCJOB_FRAME_R12;                              \
        .cfi_rel_offset r13, ASYNCJOB_FRAME_R13;                              \
        .cfi_rel_offset r14, ASYNCJOB_FRAME_R14;                              \
        .cfi_rel_offset r15, ASYNCJOB_FRAME_R15

/* Goes on where the frame at rsp was left. */
#define RESTORE_AND_JUMP                                                      \
        RESTORE;                                                              \
        popq    %rcx;                                                         \
        .cfi_adjust_cfa_offset -8;                                            \
        .cfi_register rip, rcx;                                               \
        RESTORED;                                                             \
        notrack jmp *%rcx

/*
 * Goes on where the fiber with the frame at rsp was left. Its function returns to the call's
 * return address in the end, to which the first pause has led it. Behind it stands the frame's
 * CFI, remembered, for a .cfi_restore_state.
 */
#define GO_IN(kind)                                                           \
        .cfi_remember_state;                                                  \
        RESTORE;                                                              \
        RESTORED;                                                             \
        .cfi_remember_state;                                                  \
        OUTERMOST;                                                            \
        call    .Lgo_on_##kind;                                               \
asyncjob_context_end_##kind:                                                  \
        END;                                                                  \
.Lgo_on_##kind:                                                               \
        .cfi_restore_state;                                                   \
        .cfi_def_cfa rsp, 16;                                                 \
        movq    8(%rsp), %rcx;                                                \
        leaq    16(%rsp), %rsp;                                               \
        .cfi_def_cfa rsp, 0;                                                  \
        .cfi_register rip, rcx;                                               \
        notrack jmp *%rcx

/*
 * The end of a fiber that has paused: rsp is the top of its stack, eax its function's result,
 * r12 the fiber and r13 the outside's slot, as asyncjob_context_start left them.
 */
#define END                                                                   \
        movl    %eax, %esi;                                                   \
        SAVE_MODE;                                                            \
        movq    %rsp, %rdi;                                                   \
        movq    (%r13), %rsp;                                                 \
        FRAME_HERE;                                                           \
        COMPARE_AND_LOAD_MODE;                                                \
        movq    %r12, %rdi;                                                   \
        RESTORE;                                                              \
        RESTORED;                                                             \
        jmp     asyncjob_context_ended

/*
 * Calls the function rdx with rdi on the stack that ends at rsi, leaving the frame at rsp in the
 * slot r13. Over the call rbx holds that frame, r12 the fiber and r13 the outside's slot; rip
 * undefined there ends every backtrace at the fiber's entry. If the call returns the fiber has
 * not paused, else it would have returned elsewhere: the registers and the control words are
 * those of a call.
 */
#define CALL_FUNCTION                                                         \
        movq    %rsp, (%r13);                                                 \
        movq    %rsp, %rbx;                                                   \
        xorl    %ebp, %ebp;                                                   \
        movq    %rsi, %rsp;                                                   \
        .cfi_remember_state;                                                  \
        OUTERMOST;                                                            \
        call    *%rdx;                                                        \
        movq    %rbx, %rsp;                                                   \
        .cfi_restore_state

#define RESTORE_AFTER_CALL                                                    \
        movq    ASYNCJOB_FRAME_R13(%rsp), %r13;                               \
        movq    ASYNCJOB_FRAME_R12(%rsp), %r12;                               \
        movq    ASYNCJOB_FRAME_RBX(%rsp), %rbx;                               \
        movq    ASYNCJOB_FRAME_RBP(%rsp), %rbp;                               \
        RESTORED

/* The code is fit for indirect-branch tracking; it is not for shadow stacks, which a switch
   would have to exchange too. */
#define END_OF_FILE                                                           \
        .section .note.gnu.property, "a", @note;                              \
        .p2align 3;                                                           \
        .long   4;                                                            \
        .long   16;                                                           \
        .long   5;                                                            \
        .asciz  "GNU";                                                        \
        .long   0xc0000002;                                                   \
        .long   4;                                                            \
        .long   1;                                                            \
        .long   0;                                                            \
        .section .note.GNU-stack, "", @progbits

#endif
