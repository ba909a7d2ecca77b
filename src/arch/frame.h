/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that a suspended side of a fiber leaves: byte offsets from its stack pointer, which
 * the slot holds. Shared by the assembly, by C++ and by debuggers' scripts.
 *
 * Next layer down: context_<cpu>.S, which writes these frames.
 */
#ifndef ASYNCJOB_ARCH_FRAME_H
#define ASYNCJOB_ARCH_FRAME_H

#if defined(__x86_64__)
/*
 * The stack pointer stays at the return address: all else is below, in the red zone that the
 * ABI keeps from signal handlers, so that no instruction moves the pointer there and back. At
 * -8 is where a resume's call puts its return address.
 */
#define ASYNCJOB_FRAME_RETURN 0 /* the return address */
#define ASYNCJOB_FRAME_RBP (-16)
#define ASYNCJOB_FRAME_RBX (-24)
#define ASYNCJOB_FRAME_R12 (-32)
#define ASYNCJOB_FRAME_R13 (-40)
#define ASYNCJOB_FRAME_R14 (-48)
#define ASYNCJOB_FRAME_R15 (-56)
#define ASYNCJOB_FRAME_X87CW (-60) /* 0: the side was left with its control words shared */
#define ASYNCJOB_FRAME_MXCSR (-64)

#elif defined(__aarch64__)
#define ASYNCJOB_FRAME_X29 0
#define ASYNCJOB_FRAME_RETURN 8 /* x30, signed */
#define ASYNCJOB_FRAME_X19 16   /* to x28 */
#define ASYNCJOB_FRAME_D8 96    /* to d15 */
#define ASYNCJOB_FRAME_FPCR 160 /* -1: the side was left with its control words shared */
#define ASYNCJOB_FRAME_SIZE 176

#elif defined(__riscv)
#define ASYNCJOB_FRAME_RETURN 0 /* ra */
#define ASYNCJOB_FRAME_S0 8     /* to s11 */
#define ASYNCJOB_FRAME_FS0 104  /* to fs11 */
#define ASYNCJOB_FRAME_FRM 200  /* -1: the side was left with its rounding mode shared */
#define ASYNCJOB_FRAME_SIZE 208
#endif

#endif
