/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for AArch64, AAPCS64. Contract: context.hpp; frame layout: frame.h.
 *
 * Saved: x19 to x30, d8 to d15 and FPCR, which the ABI says a call keeps. Return addresses are
 * signed where they are in a frame. Control words are loaded only where they differ, as a write of
 * FPCR waits for all before it: there is no better way for FpMode::comparing.
 *
 * A way out by a jump, as on x86-64, would have to lead to a landing pad, and behind a call there is
 * none: each switch ends in a ret. Nor can the first pause lead the end of the fiber elsewhere, as
 * its function has signed its return address. It leaves a note at the top of the stack, from which
 * the end knows whether the control words are those of a call.
 *
 * Next layer down: the processor.
 */
#include "frame.h"

/* In the place of FPCR, whose upper half is 0: the side was left with its control words shared. */
#define NO_MODE -1
/* Of what the start puts at the top of the fiber's stack, the part that it uses. */
#define HAS_PAUSED 0
#define TOP_SIZE 16

#define ENTER(name)                                                           \
        .globl  name;                                                         \
        .hidden name;                                                         \
        .type   name, %function;                                              \
        .p2align 5;                                                           \
name:                                                                         \
        .cfi_startproc

#define SAVE_PAIR(first, second, place)                                       \
        stp     first, second, [sp, place];                                   \
        .cfi_rel_offset first, place;                                         \
        .cfi_rel_offset second, place + 8

#define LOAD_PAIR(first, second, place)                                       \
        ldp     first, second, [sp, place];                                   \
        .cfi_restore first;                                                   \
        .cfi_restore second

/* The frame of the running side. Its CFI holds for the frame of any side that sp points to.
   paciasp is a landing pad, too. */
#define SAVE                                                                  \
        paciasp;                                                              \
        .cfi_negate_ra_state;                                                 \
        sub     sp, sp, ASYNCJOB_FRAME_SIZE;                                  \
        .cfi_def_cfa_offset ASYNCJOB_FRAME_SIZE;                              \
        SAVE_PAIR(x29, x30, ASYNCJOB_FRAME_X29);                              \
        SAVE_PAIR(x19, x20, ASYNCJOB_FRAME_X19);                              \
        SAVE_PAIR(x21, x22, ASYNCJOB_FRAME_X19 + 16);                         \
        SAVE_PAIR(x23, x24, ASYNCJOB_FRAME_X19 + 32);                         \
        SAVE_PAIR(x25, x26, ASYNCJOB_FRAME_X19 + 48);                         \
        SAVE_PAIR(x27, x28, ASYNCJOB_FRAME_X19 + 64);                         \
        SAVE_PAIR(d8, d9, ASYNCJOB_FRAME_D8);                                 \
        SAVE_PAIR(d10, d11, ASYNCJOB_FRAME_D8 + 16);                          \
        SAVE_PAIR(d12, d13, ASYNCJOB_FRAME_D8 + 32);                          \
        SAVE_PAIR(d14, d15, ASYNCJOB_FRAME_D8 + 48)

/* Loads the registers of the frame at sp. */
#define RESTORE                                                               \
        LOAD_PAIR(d14, d15, ASYNCJOB_FRAME_D8 + 48);                          \
        LOAD_PAIR(d12, d13, ASYNCJOB_FRAME_D8 + 32);                          \
        LOAD_PAIR(d10, d11, ASYNCJOB_FRAME_D8 + 16);                          \
        LOAD_PAIR(d8, d9, ASYNCJOB_FRAME_D8);                                 \
        LOAD_PAIR(x27, x28, ASYNCJOB_FRAME_X19 + 64);                         \
        LOAD_PAIR(x25, x26, ASYNCJOB_FRAME_X19 + 48);                         \
        LOAD_PAIR(x23, x24, ASYNCJOB_FRAME_X19 + 32);                         \
        LOAD_PAIR(x21, x22, ASYNCJOB_FRAME_X19 + 16);                         \
        LOAD_PAIR(x19, x20, ASYNCJOB_FRAME_X19);                              \
        LOAD_PAIR(x29, x30, ASYNCJOB_FRAME_X29);                              \
        add     sp, sp, ASYNCJOB_FRAME_SIZE;                                  \
        .cfi_def_cfa_offset 0;                                                \
        autiasp;                                                              \
        .cfi_negate_ra_state

/* Stores the control words in the frame at sp. x9 has them. */
#define SAVE_MODE                                                             \
        mrs     x9, fpcr;                                                     \
        str     x9, [sp, ASYNCJOB_FRAME_FPCR]

#define SAVE_NO_MODE                                                          \
        mov     x9, NO_MODE;                                                  \
        str     x9, [sp, ASYNCJOB_FRAME_FPCR]

/* Loads those of the frame at sp, if it has any and they are not those in x9. */
#define LOAD_MODE                                                             \
        ldr     x10, [sp, ASYNCJOB_FRAME_FPCR];                               \
        cmp     x9, x10;                                                      \
        b.eq    1f;                                                           \
        cmn     x10, -(NO_MODE);                                              \
        b.eq    1f;                                                           \
        msr     fpcr, x10;                                                    \
1:

/* From the frame at sp, which goes to the slot at x0, to the frame at x1. */
#define GO                                                                    \
        mov     x11, sp;                                                      \
        str     x11, [x0];                                                    \
        mov     sp, x1;                                                       \
        mov     w0, w2

        .text

/*
 * int asyncjob_context_pause(Slot* own [x0], Slot outside [x1], int value [w2])
 * int asyncjob_context_resume(Slot* outside [x0], Slot fiber [x1], int value [w2])
 * int asyncjob_context_first_pause(Slot* own [x0], Slot outside [x1], int value [w2],
 *                                 void* top [x3])
 * pauses_plain.inc has these.
 */
#define FIRST_PAUSE(name, pause)                                              \
ENTER(name);                                                                  \
        bti     c;                                                            \
        mov     x9, 1;                                                        \
        str     x9, [x3, HAS_PAUSED - TOP_SIZE];                              \
        b       pause;                                                        \
LEAVE(name)

#include "pauses_plain.inc"

/*
 * int asyncjob_context_start(Slot* outside [x0], void* top [x1],
 *                            int (*function)(void*) [x2], void* arg [x3], void* fiber [x4])
 *
 * Over the call x20 holds the fiber and x21 the outside's slot; x30 undefined there ends every
 * backtrace at the fiber's entry, and x29 the chain of frames. What was in the registers is in the
 * frame that the slot has when the call returns.
 */
ENTER(asyncjob_context_start)
        SAVE
        SAVE_MODE
.Lstart:
        mov     x11, sp
        str     x11, [x0]
        mov     x20, x4
        mov     x21, x0
        mov     x0, x3
        mov     x29, xzr
        mov     sp, x1
        .cfi_remember_state
        .cfi_def_cfa sp, 0
        .cfi_undefined x30
        .cfi_undefined x29
        str     xzr, [sp, HAS_PAUSED - TOP_SIZE]!
        .cfi_def_cfa_offset TOP_SIZE
        blr     x2
        mov     w1, w0
        mov     x0, x20
        ldr     x10, [sp, HAS_PAUSED]
        ldr     x11, [x21]
        mov     sp, x11
        .cfi_restore_state
        cbz     x10, .Lended
        mrs     x9, fpcr
        LOAD_MODE
.Lended:
        RESTORE
        b       asyncjob_context_ended
LEAVE(asyncjob_context_start)

ENTER(asyncjob_context_start_shared)
        SAVE
        SAVE_NO_MODE
        b       .Lstart
LEAVE(asyncjob_context_start_shared)

/* The code is fit for branch target identification, and signs its return addresses. */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4
        .long   16
        .long   5
        .asciz  "GNU"
        .long   0xc0000000
        .long   4
        .long   3
        .long   0
        .section .note.GNU-stack, "", %progbits
