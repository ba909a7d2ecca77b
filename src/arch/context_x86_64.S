/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for x86-64, System V ABI. Contract: context.hpp; frame layout: frame.h.
 *
 * Saved: rbx, rbp, r12 to r15, MXCSR and the x87 control word, which the ABI says a call
 * keeps. The way out of a switch is a pop and an indirect jump, not a ret: the processor's
 * return predictor holds the other stack's addresses by then, and a ret would mispredict
 * every time, whereas the jump is predicted by its history.
 * notrack: a return address has no endbr64 in front.
 */
#include "frame.h"

#define ENTER(name)                                                           \
        .globl  name;                                                         \
        .hidden name;                                                         \
        .type   name, @function;                                              \
        .p2align 6;                                                           \
name:                                                                         \
        .cfi_startproc;                                                       \
        endbr64

#define LEAVE(name)                                                           \
        .cfi_endproc;                                                         \
        .size   name, . - name

/* Pushes the frame of the running side, the return address being on the stack already. */
#define SAVE                                                                  \
        leaq    -ASYNCJOB_FRAME_RETURN(%rsp), %rsp;                           \
        .cfi_adjust_cfa_offset ASYNCJOB_FRAME_RETURN;                         \
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
        .cfi_rel_offset r15, ASYNCJOB_FRAME_R15;                              \
        stmxcsr ASYNCJOB_FRAME_MXCSR(%rsp);                                   \
        fnstcw  ASYNCJOB_FRAME_X87CW(%rsp)

/*
 * Loads the registers of the frame at rsp and goes on where it was left; eax is the result.
 * The frame has the same layout and the same CFI as the one that SAVE described.
 */
#define RESTORE_AND_JUMP                                                      \
        movq    ASYNCJOB_FRAME_R15(%rsp), %r15;                               \
        movq    ASYNCJOB_FRAME_R14(%rsp), %r14;                               \
        movq    ASYNCJOB_FRAME_R13(%rsp), %r13;                               \
        movq    ASYNCJOB_FRAME_R12(%rsp), %r12;                               \
        movq    ASYNCJOB_FRAME_RBX(%rsp), %rbx;                               \
        movq    ASYNCJOB_FRAME_RBP(%rsp), %rbp;                               \
        movq    ASYNCJOB_FRAME_RETURN(%rsp), %rcx;                            \
        leaq    ASYNCJOB_FRAME_SIZE(%rsp), %rsp;                              \
        .cfi_adjust_cfa_offset -ASYNCJOB_FRAME_SIZE;                          \
        .cfi_register rip, rcx;                                               \
        .cfi_same_value rbp;                                                  \
        .cfi_same_value rbx;                                                  \
        .cfi_same_value r12;                                                  \
        .cfi_same_value r13;                                                  \
        .cfi_same_value r14;                                                  \
        .cfi_same_value r15;                                                  \
        notrack jmp *%rcx

        .text

/*
 * Jumps to `other` if the control words in ecx and r8w are not those of the frame at rsp.
 * MXCSR's low six bits are status, which a call may change; a load of the word because of
 * them alone would cost more than the whole switch.
 */
#define MXCSR_CONTROL 0xffc0
#define JUMP_IF_OTHER_MODE(other)                                             \
        xorl    ASYNCJOB_FRAME_MXCSR(%rsp), %ecx;                             \
        testl   $MXCSR_CONTROL, %ecx;                                         \
        jnz     other;                                                        \
        cmpw    ASYNCJOB_FRAME_X87CW(%rsp), %r8w;                             \
        jne     other

/* int asyncjob_context_switch(Slot* slot [rdi], int value [esi]) */
ENTER(asyncjob_context_switch)
        SAVE
        movq    (%rdi), %rdx
        movl    ASYNCJOB_FRAME_MXCSR(%rsp), %ecx
        movzwl  ASYNCJOB_FRAME_X87CW(%rsp), %r8d
        movq    %rsp, (%rdi)
        movl    %esi, %eax
        movq    %rdx, %rsp
        JUMP_IF_OTHER_MODE(.Lother_mode)
.Lsame_mode:
        .cfi_remember_state
        RESTORE_AND_JUMP
        .cfi_restore_state
.Lother_mode:
        ldmxcsr ASYNCJOB_FRAME_MXCSR(%rsp)
        fldcw   ASYNCJOB_FRAME_X87CW(%rsp)
        jmp     .Lsame_mode
LEAVE(asyncjob_context_switch)

/* int asyncjob_context_switch_shared(Slot* slot [rdi], int value [esi]) */
ENTER(asyncjob_context_switch_shared)
        SAVE
        movq    (%rdi), %rdx
        movq    %rsp, (%rdi)
        movl    %esi, %eax
        movq    %rdx, %rsp
        RESTORE_AND_JUMP
LEAVE(asyncjob_context_switch_shared)

/*
 * int asyncjob_context_start(Slot* slot [rdi], void* top [rsi], Entry entry [rdx],
 *                            void* arg [rcx])
 *
 * The entry is an ordinary call, so that a fiber that never pauses leaves the return
 * predictor in step. rbx holds the slot over the call; rip undefined there ends every
 * backtrace at the fiber's entry.
 */
ENTER(asyncjob_context_start)
        SAVE
        movq    %rsp, (%rdi)
        movq    %rdi, %rbx
        movq    %rcx, %rdi
        xorl    %ebp, %ebp
        movq    %rsi, %rsp
        .cfi_remember_state
        .cfi_def_cfa rsp, 0
        .cfi_undefined rip
        call    *%rdx
        movq    (%rbx), %rsp
        .cfi_restore_state
        testq   %rdx, %rdx
        jnz     .Lreclaim
        btq     $32, %rax
        jc      .Lleave
        /*
         * The frame is that of whoever resumed the fiber last, if it has paused, and the ret
         * below returns from that one's switch. The fiber may have changed the control words:
         * give the other side its own.
         */
.Lcompare:
        stmxcsr -8(%rsp)
        fnstcw  -4(%rsp)
        movl    -8(%rsp), %ecx
        movzwl  -4(%rsp), %r8d
        JUMP_IF_OTHER_MODE(.Lload)
.Lleave:
        movq    ASYNCJOB_FRAME_R15(%rsp), %r15
        movq    ASYNCJOB_FRAME_R14(%rsp), %r14
        movq    ASYNCJOB_FRAME_R13(%rsp), %r13
        movq    ASYNCJOB_FRAME_R12(%rsp), %r12
        movq    ASYNCJOB_FRAME_RBX(%rsp), %rbx
        movq    ASYNCJOB_FRAME_RBP(%rsp), %rbp
        leaq    ASYNCJOB_FRAME_RETURN(%rsp), %rsp
        .cfi_remember_state
        .cfi_adjust_cfa_offset -ASYNCJOB_FRAME_RETURN
        .cfi_same_value rbp
        .cfi_same_value rbx
        .cfi_same_value r12
        .cfi_same_value r13
        .cfi_same_value r14
        .cfi_same_value r15
        ret
        .cfi_restore_state
.Lload:
        ldmxcsr ASYNCJOB_FRAME_MXCSR(%rsp)
        fldcw   ASYNCJOB_FRAME_X87CW(%rsp)
        jmp     .Lleave
.Lreclaim:
        movq    %rax, %rbx
        movq    %rdx, %rdi
        call    asyncjob_reclaim
        movq    %rbx, %rax
        btq     $32, %rax
        jc      .Lleave
        jmp     .Lcompare
LEAVE(asyncjob_context_start)

/* The code is fit for indirect-branch tracking; it is not for shadow stacks, which a switch
   would have to exchange too. */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4
        .long   16
        .long   5
        .asciz  "GNU"
        .long   0xc0000002
        .long   4
        .long   1
        .long   0
        .section .note.GNU-stack, "", @progbits
