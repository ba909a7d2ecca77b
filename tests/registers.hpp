// SPDX-License-Identifier: Apache-2.0
// Calls of a function with a pattern in every register that calls keep, to see which come back.
// On CPUs with an assembly switch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__) || \
    (defined(__riscv_float_abi_double) && __riscv_xlen == 64)
#define ASYNCJOB_TEST_HAS_REGISTERS 1

namespace test {

#if defined(__x86_64__)
inline constexpr std::size_t register_count = 6;  // rbx, rbp, r12 to r15
#elif defined(__aarch64__)
inline constexpr std::size_t register_count = 19;  // x19 to x29, d8 to d15
#else
inline constexpr std::size_t register_count = 24;  // s0 to s11, fs0 to fs11
#endif

// Sets the registers to `in`, calls function(args[0], ..., args[5]) and stores them to `out`.
// Returns what the function returns.
extern "C" int asyncjob_test_call_with_registers(void* function, const std::uint64_t* in,
                                                 std::uint64_t* out, const void* const* args);
asm(R"(
        .pushsection .text
        .p2align 4
        .type   asyncjob_test_call_with_registers, %function
asyncjob_test_call_with_registers:
        .cfi_startproc
)"
#if defined(__x86_64__)
    R"(
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rax
        movq    %rcx, %r10
        movq    0(%rsi), %rbx
        movq    8(%rsi), %rbp
        movq    16(%rsi), %r12
        movq    24(%rsi), %r13
        movq    32(%rsi), %r14
        movq    40(%rsi), %r15
        movq    0(%r10), %rdi
        movq    8(%r10), %rsi
        movq    16(%r10), %rdx
        movq    24(%r10), %rcx
        movq    32(%r10), %r8
        movq    40(%r10), %r9
        call    *%rax
        movq    (%rsp), %rdx
        movq    %rbx, 0(%rdx)
        movq    %rbp, 8(%rdx)
        movq    %r12, 16(%rdx)
        movq    %r13, 24(%rdx)
        movq    %r14, 32(%rdx)
        movq    %r15, 40(%rdx)
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        ret
)"
#elif defined(__aarch64__)
    R"(
        hint    #34
        sub     sp, sp, #176
        .cfi_adjust_cfa_offset 176
        str     x30, [sp, #152]
        .cfi_rel_offset x30, 152
        str     x2, [sp, #160]
        .macro  registers_at base, move, move_one
        \move   x19, x20, [\base, #0]
        \move   x21, x22, [\base, #16]
        \move   x23, x24, [\base, #32]
        \move   x25, x26, [\base, #48]
        \move   x27, x28, [\base, #64]
        \move_one x29, [\base, #80]
        \move   d8, d9, [\base, #88]
        \move   d10, d11, [\base, #104]
        \move   d12, d13, [\base, #120]
        \move   d14, d15, [\base, #136]
        .endm
        registers_at sp, stp, str
        mov     x16, x0
        mov     x17, x3
        registers_at x1, ldp, ldr
        ldp     x0, x1, [x17]
        ldp     x2, x3, [x17, #16]
        ldp     x4, x5, [x17, #32]
        blr     x16
        ldr     x17, [sp, #160]
        registers_at x17, stp, str
        registers_at sp, ldp, ldr
        ldr     x30, [sp, #152]
        add     sp, sp, #176
        .cfi_adjust_cfa_offset -176
        ret
)"
#else
    R"(
        addi    sp, sp, -208
        .cfi_adjust_cfa_offset 208
        sd      ra, 192(sp)
        .cfi_rel_offset ra, 192
        sd      a2, 200(sp)
        .macro  registers_at base, move, move_float
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        \move   s\n, (\n * 8)(\base)
        \move_float fs\n, (\n * 8 + 96)(\base)
        .endr
        .endm
        registers_at sp, sd, fsd
        mv      t1, a0
        mv      t2, a3
        registers_at a1, ld, fld
        ld      a0, 0(t2)
        ld      a1, 8(t2)
        ld      a2, 16(t2)
        ld      a3, 24(t2)
        ld      a4, 32(t2)
        ld      a5, 40(t2)
        jalr    t1
        ld      t2, 200(sp)
        registers_at t2, sd, fsd
        registers_at sp, ld, fld
        ld      ra, 192(sp)
        addi    sp, sp, 208
        .cfi_adjust_cfa_offset -208
        ret
)"
#endif
    R"(
        .cfi_endproc
        .size   asyncjob_test_call_with_registers, . - asyncjob_test_call_with_registers
        .popsection
)");

struct Registers {
    std::array<std::uint64_t, register_count> values;

    // Each register's is another one.
    explicit Registers(std::uint64_t pattern) {
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = pattern * 0x0101010101010101U + i;
    }
    bool operator==(const Registers&) const = default;
};

template <typename Function>
int call_with(Registers& registers, Function* function, std::vector<const void*> args) {
    args.resize(6);
    const Registers in = registers;
    return asyncjob_test_call_with_registers(reinterpret_cast<void*>(function), in.values.data(),
                                             registers.values.data(), args.data());
}

}  // namespace test

#endif
