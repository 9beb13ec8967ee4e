/* float32 as bfloat16 for AMX, whose tiles multiply bfloat16 and sum in float32.
 *
 * A float32 has 24 bits, a bfloat16 8: x = x₁ + x₂ + x₃ exactly, each of them a bfloat16, |x₂| ≤ 2⁻⁸·|x| and |x₃| ≤ 2⁻¹⁷·|x|. Of the nine
 * products of a·b six are made; a₂·b₃, a₃·b₂ and a₃·b₃ are left out, together less than 2⁻²⁴·|a·b|, by which one product
 * in float32 is rounded. (Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations, arXiv
 * 1904.06376.)
 *
 * Six of AMX's products take less than half the time of one of AVX-512's where no other thread uses the processor's core; where one does, about
 * the same.
 */
#ifndef LORA4J_AMX_H
#define LORA4J_AMX_H

#include "variants.h"

#include <immintrin.h>

#define AMX_TARGET __attribute__((target(AVX512_INSTRUCTIONS ",amx-tile,amx-bf16")))
#define AMX_INLINE static inline __attribute__((always_inline)) AMX_TARGET
#define AMX_UNROLL _Pragma("GCC unroll 16")

/* A tile has SIDE rows of CHUNK bfloat16 or SIDE float32, 64 bytes. */
enum { SIDE = 16, CHUNK = 32, TILE_BYTES = 1024, TERMS = 3 };

/* Packed, a chunk of CHUNK products of each sum, for at most two tiles side by side: their first terms, their second, their third. */
enum { PAIR = 2 * SIDE, TERM_BYTES = 2 * TILE_BYTES, CHUNK_BYTES = TERMS * TERM_BYTES };

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
    const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xffff0000);
    AMX_UNROLL for (int t = 0; t < TERMS - 1; t++) {
        term[t] = _mm512_and_si512(_mm512_add_epi32((__m512i)x, half), upper);
        x = _mm512_sub_ps(x, (__m512)term[t]);
    }
    term[TERMS - 1] = (__m512i)x;
}

/* A tile's row: the upper halves of the lanes of both, in turns. */
AMX_INLINE __m512i in_turns(__m512i even, __m512i odd) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(even, 16), odd);
}

/* Keeps in `largest` the magnitudes of largest bits, doubled. */
AMX_INLINE __m512i larger(__m512i largest, __m512 x) {
    return _mm512_max_epu32(largest, _mm512_slli_epi32((__m512i)x, 1));
}

/* Whether the tiles multiply numbers of these largest magnitudes, as `larger` keeps them. An ∞ has no second term, from 2¹²⁷ on the first may
   be one, and large products may become one in another order than AVX-512's. And what is below 2⁻¹²⁶, a term or a product, the tiles take for
   0: for terms (2⁻¹²⁶ and a little)·(|a| + |b|) of a product may be lost, and 2⁻¹²⁶ for each of six. The largest are 2⁻¹⁰⁰ at least. */
static inline int tiles_take(uint32_t a, uint32_t b) {
    const uint32_t most = 254u << 24, least = (127u - 100) << 24, product = (a >> 24) + (b >> 24);
    return a < most && b < most && (a == 0 || b == 0 || (a >= least && b >= least && product >= 2 * 127 - 100 && product <= 2 * 127 + 100));
}

AMX_INLINE void transpose_block(__m512 x[SIDE]) {
    __m512 y[SIDE];
    AMX_UNROLL for (int i = 0; i < SIDE; i += 2) {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    AMX_UNROLL for (int i = 0; i < SIDE; i += 4) {
        AMX_UNROLL for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = (__m512)_mm512_unpacklo_pd((__m512d)y[i + j], (__m512d)y[i + 2 + j]);
            x[i + 2 * j + 1] = (__m512)_mm512_unpackhi_pd((__m512d)y[i + j], (__m512d)y[i + 2 + j]);
        }
    }
    AMX_UNROLL for (int j = 0; j < 4; j++) { /* row j of four has the elements j, j + 4, … of its four columns */
        const __m512 even0 = _mm512_shuffle_f32x4(x[j], x[4 + j], 0x88), even1 = _mm512_shuffle_f32x4(x[8 + j], x[12 + j], 0x88);
        const __m512 odd0 = _mm512_shuffle_f32x4(x[j], x[4 + j], 0xdd), odd1 = _mm512_shuffle_f32x4(x[8 + j], x[12 + j], 0xdd);
        y[j] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        y[4 + j] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        y[8 + j] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        y[12 + j] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
    AMX_UNROLL for (int i = 0; i < SIDE; i++) {
        x[i] = y[i];
    }
}

/* The lanes of those elements that a row of 16 has. */
static inline __mmask16 lanes(int64_t elements) {
    return (__mmask16)(elements >= SIDE ? 0xffff : elements <= 0 ? 0 : (1 << elements) - 1);
}

/* At most 16×16 elements of a row-major matrix, zeros beyond; or their transpose. */
AMX_INLINE void load_block(const float *x, int64_t ld, int transpose, int64_t rows, int64_t columns, __m512 block[SIDE]) {
    const int64_t lines = transpose ? columns : rows;
    const __mmask16 mask = lanes(transpose ? rows : columns);
    AMX_UNROLL for (int i = 0; i < SIDE; i++) {
        block[i] = _mm512_maskz_loadu_ps(i < lines ? mask : 0, x + i * ld);
    }
    if (transpose) {
        transpose_block(block);
    }
}

/* Packs two blocks as the tile of their rows' elements in turns; returns the largest of them and before. */
AMX_INLINE __m512i pack_tile(const __m512 even[SIDE], const __m512 odd[SIDE], char *to, __m512i largest) {
    AMX_UNROLL for (int i = 0; i < SIDE; i++) {
        __m512i of_even[TERMS], of_odd[TERMS];
        split(even[i], of_even);
        split(odd[i], of_odd);
        largest = larger(larger(largest, even[i]), odd[i]);
        AMX_UNROLL for (int t = 0; t < TERMS; t++) {
            _mm512_store_si512(to + t * TERM_BYTES + i * 64, in_turns(of_even[t], of_odd[t]));
        }
    }
    return largest;
}

/* Packs a chunk of at most two tiles' rows of A, from a on: a tile's row has the elements p and p + 16 of A's row in turns. */
static __attribute__((unused)) AMX_TARGET __m512i pack_rows(const float *a, int64_t lda, int transpose, int64_t rows, int64_t depth, char *to, __m512i largest) {
    for (int64_t r = 0; r < rows; r += SIDE, to += TILE_BYTES) {
        __m512 even[SIDE], odd[SIDE];
        const float *from = a + r * (transpose ? 1 : lda);
        load_block(from, lda, transpose, rows - r, depth, even);
        load_block(from + SIDE * (transpose ? lda : 1), lda, transpose, rows - r, depth - SIDE, odd);
        largest = pack_tile(even, odd, to, largest);
    }
    return largest;
}

/* The same of B's columns: a tile's row has the elements of B's rows p and p + 16 in turns. */
static __attribute__((unused)) AMX_TARGET __m512i pack_columns(const float *b, int64_t ldb, int transpose, int64_t columns, int64_t depth, char *to, __m512i largest) {
    for (int64_t j = 0; j < columns; j += SIDE, to += TILE_BYTES) {
        __m512 even[SIDE], odd[SIDE];
        const float *from = b + j * (transpose ? ldb : 1);
        load_block(from, ldb, transpose, depth, columns - j, even);
        load_block(from + SIDE * (transpose ? 1 : ldb), ldb, transpose, depth - SIDE, columns - j, odd);
        largest = pack_tile(even, odd, to, largest);
    }
    return largest;
}

/* Adds the products of packed chunks to the tiles 0 … 3, a row of two for each of A's. The products a₂·b₂, a₂·b₁, a₃·b₁,
   a₁·b₁, a₁·b₂, a₁·b₃: from one to the next either A's tiles change or B's, and a product with 1 is exact. */
#define LOAD_A(TERM) \
    _tile_loadd(4, a + (TERM) * TERM_BYTES, 64); \
    if (rows > 1) { \
        _tile_loadd(5, a + (TERM) * TERM_BYTES + TILE_BYTES, 64); \
    }
#define LOAD_B(TERM) \
    _tile_loadd(6, b + (TERM) * TERM_BYTES, 64); \
    if (columns > 1) { \
        _tile_loadd(7, b + (TERM) * TERM_BYTES + TILE_BYTES, 64); \
    }
#define MULTIPLY() \
    _tile_dpbf16ps(0, 4, 6); \
    if (columns > 1) { \
        _tile_dpbf16ps(1, 4, 7); \
    } \
    if (rows > 1) { \
        _tile_dpbf16ps(2, 5, 6); \
    } \
    if (rows > 1 && columns > 1) { \
        _tile_dpbf16ps(3, 5, 7); \
    }
AMX_INLINE void multiply_chunks(const int rows, const int columns, int64_t chunks, const char *a, const char *b) {
    for (; chunks > 0; chunks--, a += CHUNK_BYTES, b += CHUNK_BYTES) {
        LOAD_A(1)
        LOAD_B(1)
        MULTIPLY()
        LOAD_B(0)
        MULTIPLY()
        LOAD_A(2)
        MULTIPLY()
        LOAD_A(0)
        MULTIPLY()
        LOAD_B(1)
        MULTIPLY()
        LOAD_B(2)
        MULTIPLY()
    }
}
#undef LOAD_A
#undef LOAD_B
#undef MULTIPLY

#endif
