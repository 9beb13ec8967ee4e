/* float32 as bfloat16 for AMX, whose tiles multiply bfloat16 and sum in float32.
 *
 * A float32 has 24 bits, a bfloat16 8: x = x₁ + x₂ + x₃ exactly, each of them a bfloat16, |x₂| < 2⁻⁷·|x| and |x₃| ≤ 2⁻¹⁶·|x|. Of the nine
 * products of a·b six are made; a₂·b₃, a₃·b₂ and a₃·b₃ are left out, together at most 2⁻²²·|a·b|, and as a rule less than the rounding of
 * one product in float32 is. (Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 * Computations, arXiv 1904.06376.) Six of AMX's products take less than half the time of one of AVX-512's, where no other
 * thread uses the processor's core; where one does, about the same.
 */
#ifndef LORA4J_AMX_H
#define LORA4J_AMX_H

#include "variants.h"

#include <immintrin.h>

#define AMX_TARGET __attribute__((target(AVX512_INSTRUCTIONS ",amx-tile,amx-bf16")))
#define AMX_INLINE static inline __attribute__((always_inline)) AMX_TARGET

/* A tile has SIDE rows of CHUNK bfloat16 or SIDE float32, 64 bytes. */
enum { SIDE = 16, CHUNK = 32, TILE_BYTES = 1024, TERMS = 3 };

/* All eight tiles of that size, until a release. */
AMX_INLINE void configure_tiles(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } tiles = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE}};
    _tile_loadconfig(&tiles);
}

/* The bfloat16 terms of 16 numbers, each in the upper half of its lane. */
AMX_INLINE void split(__m512 x, __m512i term[TERMS]) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    term[0] = _mm512_and_si512((__m512i)x, upper);
    const __m512 rest = _mm512_sub_ps(x, (__m512)term[0]);
    term[1] = _mm512_and_si512(_mm512_add_epi32((__m512i)rest, _mm512_set1_epi32(0x8000)), upper); /* rounded: less is left out */
    term[2] = (__m512i)_mm512_sub_ps(rest, (__m512)term[1]);
}

/* A tile's row: the upper halves of the lanes of both, in turns. */
AMX_INLINE __m512i in_turns(__m512i even, __m512i odd) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(even, 16), odd);
}

/* Keeps in `largest` the magnitudes of largest bits, doubled. */
AMX_INLINE __m512i larger(__m512i largest, __m512 x) {
    return _mm512_max_epu32(largest, _mm512_slli_epi32((__m512i)x, 1));
}

/* Whether the tiles multiply numbers of these largest magnitudes, as `larger` keeps them. An ∞ has no second term. And what is below 2⁻¹²⁶,
   a term or a product, the tiles take for 0: to a sum it is nothing beside a product of 2⁻¹⁰⁰. */
static inline int tiles_take(uint32_t a, uint32_t b) {
    const uint32_t infinite = 0xffu << 24, least = (127u - 100) << 24;
    return a < infinite && b < infinite && (a == 0 || b == 0 || (a >= least && b >= least && (a >> 24) + (b >> 24) >= 2 * 127 - 100));
}

#endif
