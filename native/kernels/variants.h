/* What the kernels share: the instruction sets that they are compiled for, and the team that computes. */
#ifndef LORA4J_VARIANTS_H
#define LORA4J_VARIANTS_H

#include "lora4j_kernels.h"
#include "team.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define AVX512_INSTRUCTIONS "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"
#define AVX2_INSTRUCTIONS "avx2,fma"

/* SUM += A·B. Written so, a vector is loaded once for its multiplications; the compilers' own choice is to load it for each. */
#define FUSED(SUM, A, B) __asm__("vfmadd231ps %1, %2, %0" : "+v"(SUM) : "v"(A), "v"(B));

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define LORA4J_AMX
#endif

/* A function's form in the team's variant; what AMX does nothing for has AVX-512's. */
#define CHOSEN(team, FUNCTION) \
    (!strcmp((team)->variant, "avx512") || !strcmp((team)->variant, "amx") ? FUNCTION##_avx512 : !strcmp((team)->variant, "avx2") ? FUNCTION##_avx2 : FUNCTION##_portable)
#else
#define CHOSEN(team, FUNCTION) FUNCTION##_portable
#endif

#define JOIN(a, b) a##_##b

/* Floats in a line of the cache. */
enum { LINE = 16 };

/* The elements of x and y that `from` numbers, y's after x's. */
#if defined(__clang__)
#define SHUFFLE(x, y, from) ({ \
        __typeof__(x) chosen; \
        for (unsigned e = 0; e < sizeof(x) / sizeof(float); e++) { \
            chosen[e] = from[e] < (int)(sizeof(x) / sizeof(float)) ? x[from[e]] : y[from[e] - sizeof(x) / sizeof(float)]; \
        } \
        chosen; })
#else
#define SHUFFLE(x, y, from) __builtin_shuffle(x, y, from)
#endif

struct lora4j_team {
    const char *variant;
    lora4j_members *members;
    float *packed;          /* for each member, what it packs of a product's operands; thin products have it in common, and an eigenproblem is there */
};

/* Floats that a member packs of a product's operands; they are whole cache lines. */
int64_t lora4j_product_floats(void);

/* Bytes of the processor's second-level cache; a small one's where the system does not say. */
int64_t lora4j_second_level_cache(void);

/* Σ a·b of n elements, each product exact and summed in float64; of the team's variant. */
typedef double lora4j_dot(const float *a, const float *b, int64_t n);
lora4j_dot *lora4j_team_dot(const lora4j_team *team);

/* Whether the processor is one of AMD's: what is best to ask memory for, and when, is not the same as on Intel's. */
static inline int is_amd(void) {
#if defined(__x86_64__)
    return __builtin_cpu_is("amd") != 0;
#else
    return 0;
#endif
}

static inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t round_up(int64_t a, int64_t to) {
    return (a + to - 1) / to * to;
}

#endif
