/* The arithmetic of a product for AMX; included by product.c, after AVX-512's, which multiplies what the tiles don't take. */
#include "amx.h"

/* Rows and columns of C that are summed at once: two tiles each. */
enum { PAIR = 2 * SIDE };

/* The most products of a sum that are made at once, columns of a block of B, and rows of A that are packed at once. */
enum { AMX_DEPTH = 320, AMX_COLUMNS = 512, AMX_BAND = 64 };

/* Packed, a pair of tiles is its chunks one after the other: of each the first terms of both tiles, the second, the third. */
enum { TERM_BYTES = 2 * TILE_BYTES, CHUNK_BYTES = TERMS * TERM_BYTES, PAIR_BYTES = AMX_DEPTH / CHUNK * CHUNK_BYTES };

/* What a member packs: pairs of A and of B with their largest numbers, and C's 32×32 as they were summed. */
typedef struct {
    _Alignas(64) char a[AMX_BAND / PAIR * PAIR_BYTES];
    char b[AMX_COLUMNS / PAIR * PAIR_BYTES];
    float sums[PAIR * PAIR];
    uint32_t largest_a[AMX_BAND / PAIR], largest_b[AMX_COLUMNS / PAIR];
} packed_amx;

static inline int64_t within(int64_t n, int64_t most) {
    return n < 0 ? 0 : least(n, most);
}

/* At most 16×16 elements of a row-major matrix, zeros beyond; or their transpose. */
AMX_INLINE void load_block(const float *x, int64_t ld, int transpose, int64_t rows, int64_t columns, vec_avx512 block[SIDE]) {
    const int64_t lines = transpose ? columns : rows;
    const __mmask16 mask = (__mmask16)((1u << (transpose ? rows : columns)) - 1);
    UNROLL for (int i = 0; i < SIDE; i++) {
        block[i] = (vec_avx512)_mm512_maskz_loadu_ps(i < lines ? mask : 0, x + i * ld);
    }
    if (transpose) {
        transpose_avx512(block);
    }
}

/* Packs two blocks as the tile of their rows' elements in turns; returns the largest of them and before. */
AMX_INLINE __m512i pack_tile(const vec_avx512 even[SIDE], const vec_avx512 odd[SIDE], char *to, __m512i largest) {
    UNROLL for (int i = 0; i < SIDE; i++) {
        __m512i of_even[TERMS], of_odd[TERMS];
        split((__m512)even[i], of_even);
        split((__m512)odd[i], of_odd);
        largest = larger(larger(largest, (__m512)even[i]), (__m512)odd[i]);
        UNROLL for (int t = 0; t < TERMS; t++) {
            _mm512_store_si512(to + t * TERM_BYTES + i * 64, in_turns(of_even[t], of_odd[t]));
        }
    }
    return largest;
}

/* Packs a chunk of at most two tiles' rows of A, from a on: a tile's row has the elements p and p + 16 of A's row in turns. */
static AMX_TARGET __m512i pack_rows(const float *a, int64_t lda, int transpose, int64_t rows, int64_t depth, char *to, __m512i largest) {
    for (int64_t r = 0; r < rows; r += SIDE, to += TILE_BYTES) {
        vec_avx512 even[SIDE], odd[SIDE];
        const float *from = a + r * (transpose ? 1 : lda);
        load_block(from, lda, transpose, within(rows - r, SIDE), within(depth, SIDE), even);
        load_block(from + SIDE * (transpose ? lda : 1), lda, transpose, within(rows - r, SIDE), within(depth - SIDE, SIDE), odd);
        largest = pack_tile(even, odd, to, largest);
    }
    return largest;
}

/* The same of B's columns: a tile's row has the elements of B's rows p and p + 16 in turns. */
static AMX_TARGET __m512i pack_columns(const float *b, int64_t ldb, int transpose, int64_t columns, int64_t depth, char *to, __m512i largest) {
    for (int64_t j = 0; j < columns; j += SIDE, to += TILE_BYTES) {
        vec_avx512 even[SIDE], odd[SIDE];
        const float *from = b + j * (transpose ? ldb : 1);
        load_block(from, ldb, transpose, within(depth, SIDE), within(columns - j, SIDE), even);
        load_block(from + SIDE * (transpose ? 1 : ldb), ldb, transpose, within(depth - SIDE, SIDE), within(columns - j, SIDE), odd);
        largest = pack_tile(even, odd, to, largest);
    }
    return largest;
}

/* Packs a band of A's rows, pair by pair. */
static AMX_TARGET void pack_band_amx(const float *a, int64_t lda, int transpose, int64_t rows, int64_t depth, packed_amx *packed) {
    for (int64_t r = 0; r < rows; r += PAIR) {
        char *to = packed->a + r / PAIR * PAIR_BYTES;
        __m512i largest = _mm512_setzero_si512();
        for (int64_t p = 0; p < depth; p += CHUNK, to += CHUNK_BYTES) {
            largest = pack_rows(transpose ? a + p * lda + r : a + r * lda + p, lda, transpose, least(PAIR, rows - r), depth - p, to, largest);
        }
        packed->largest_a[r / PAIR] = _mm512_reduce_max_epu32(largest);
    }
}

/* Packs a block of B, along its rows or, transposed, along its columns as they lie in memory. */
static AMX_TARGET void pack_block_amx(const float *b, int64_t ldb, int transpose, int64_t columns, int64_t depth, packed_amx *packed) {
    __m512i largest[AMX_COLUMNS / PAIR];
    const int64_t pairs = (columns + PAIR - 1) / PAIR, chunks = (depth + CHUNK - 1) / CHUNK;
    for (int64_t at = 0; at < pairs * chunks; at++) {
        const int64_t pair = transpose ? at / chunks : at % pairs, chunk = transpose ? at % chunks : at / pairs;
        const int64_t j = pair * PAIR, p = chunk * CHUNK;
        largest[pair] = pack_columns(transpose ? b + j * ldb + p : b + p * ldb + j, ldb, transpose, least(PAIR, columns - j), depth - p,
                                     packed->b + pair * PAIR_BYTES + chunk * CHUNK_BYTES, chunk == 0 ? _mm512_setzero_si512() : largest[pair]);
    }
    for (int64_t pair = 0; pair < pairs; pair++) {
        packed->largest_b[pair] = _mm512_reduce_max_epu32(largest[pair]);
    }
}

/* For each chunk the products a₁·b₃, a₁·b₂, a₁·b₁, a₃·b₁, a₂·b₁, a₂·b₂: each changes the tiles of A or of B alone. */
#define LOAD_A(TERM) \
    _tile_loadd(4, a + (TERM) * TERM_BYTES, 64); \
    if (ROWS > 1) { \
        _tile_loadd(5, a + (TERM) * TERM_BYTES + TILE_BYTES, 64); \
    }
#define LOAD_B(TERM) \
    _tile_loadd(6, b + (TERM) * TERM_BYTES, 64); \
    if (COLUMNS > 1) { \
        _tile_loadd(7, b + (TERM) * TERM_BYTES + TILE_BYTES, 64); \
    }
#define MULTIPLY() \
    _tile_dpbf16ps(0, 4, 6); \
    if (COLUMNS > 1) { \
        _tile_dpbf16ps(1, 4, 7); \
    } \
    if (ROWS > 1) { \
        _tile_dpbf16ps(2, 5, 6); \
    } \
    if (ROWS > 1 && COLUMNS > 1) { \
        _tile_dpbf16ps(3, 5, 7); \
    }
AMX_INLINE void sum_tiles(const int ROWS, const int COLUMNS, int64_t chunks, const char *a, const char *b, float *sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (; chunks > 0; chunks--, a += CHUNK_BYTES, b += CHUNK_BYTES) {
        LOAD_A(0)
        LOAD_B(2)
        MULTIPLY()
        LOAD_B(1)
        MULTIPLY()
        LOAD_B(0)
        MULTIPLY()
        LOAD_A(2)
        MULTIPLY()
        LOAD_A(1)
        MULTIPLY()
        LOAD_B(1)
        MULTIPLY()
    }
    _tile_stored(0, sums, PAIR * sizeof(float));
    if (COLUMNS > 1) {
        _tile_stored(1, sums + SIDE, PAIR * sizeof(float));
    }
    if (ROWS > 1) {
        _tile_stored(2, sums + SIDE * PAIR, PAIR * sizeof(float));
    }
    if (ROWS > 1 && COLUMNS > 1) {
        _tile_stored(3, sums + SIDE * PAIR + SIDE, PAIR * sizeof(float));
    }
}

#define SUM(NAME, ROWS, COLUMNS) \
    static __attribute__((noinline)) AMX_TARGET void NAME(int64_t chunks, const char *a, const char *b, float *sums) { \
        sum_tiles(ROWS, COLUMNS, chunks, a, b, sums); \
    }
SUM(sum_one, 1, 1)
SUM(sum_beside, 1, 2)
SUM(sum_above, 2, 1)
SUM(sum_four, 2, 2)

/* C = α·S + β·C for what was summed. */
static AMX_TARGET void add_sums_amx(const product *s, const float *sums, int64_t rows, int64_t columns, float *c) {
    const float beta = s->beta;
    if (s->across != 1) {
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t j = 0; j < columns; j++) {
                float *to = c + r * s->down + j * s->across;
                *to = beta == 0 ? s->alpha * sums[r * PAIR + j] : s->alpha * sums[r * PAIR + j] + beta * *to;
            }
        }
        return;
    }
    const __m512 alpha = _mm512_set1_ps(s->alpha), of_c = _mm512_set1_ps(beta);
    for (int64_t j = 0; j < columns; j += SIDE) {
        const __mmask16 mask = (__mmask16)((1u << least(columns - j, SIDE)) - 1);
        for (int64_t r = 0; r < rows; r++) {
            float *to = c + r * s->down + j;
            const __m512 sum = _mm512_mul_ps(alpha, _mm512_load_ps(sums + r * PAIR + j));
            _mm512_mask_storeu_ps(to, mask, beta == 0 ? sum : _mm512_fmadd_ps(of_c, _mm512_maskz_loadu_ps(mask, to), sum));
        }
    }
}

/* C's rows from i0 to i1 and columns from j0 to j1, a block of B. */
static AMX_TARGET void multiply_block_amx(const product *s, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *memory) {
    packed_amx *packed = (packed_amx *)(memory + PACKED);
    configure_tiles();
    product now = *s;       /* the products from p on */
    for (int64_t p = 0; p < s->k; p += s->depth) {
        now.k = now.depth = least(s->depth, s->k - p);
        now.a = s->a + p * (s->transpose_a ? s->lda : 1);
        now.b = s->b + p * (s->transpose_b ? 1 : s->ldb);
        now.beta = p == 0 ? s->beta : 1;
        pack_block_amx(now.b + j0 * (s->transpose_b ? s->ldb : 1), s->ldb, s->transpose_b, j1 - j0, now.k, packed);
        for (int64_t band = i0; band < i1; band += AMX_BAND) {
            const int64_t end = least(band + AMX_BAND, i1);
            pack_band_amx(now.a + band * (s->transpose_a ? 1 : s->lda), s->lda, s->transpose_a, end - band, now.k, packed);
            for (int64_t i = band; i < end; i += PAIR) {
                for (int64_t j = j0; j < j1; j += PAIR) {
                    const int64_t a = (i - band) / PAIR, b = (j - j0) / PAIR, rows = least(PAIR, end - i), columns = least(PAIR, j1 - j);
                    if (tiles_take(packed->largest_a[a], packed->largest_b[b])) {
                        (rows > SIDE ? columns > SIDE ? sum_four : sum_above : columns > SIDE ? sum_beside : sum_one)
                            ((now.k + CHUNK - 1) / CHUNK, packed->a + a * PAIR_BYTES, packed->b + b * PAIR_BYTES, packed->sums);
                        add_sums_amx(&now, packed->sums, rows, columns, now.c + i * s->down + j * s->across);
                    } else {
                        multiply_block_avx512(&now, i, i + rows, j, j + columns, memory);
                    }
                }
            }
        }
    }
    _tile_release();
}

static const product_variant product_amx = {PAIR, PAIR, CHUNK, AMX_DEPTH, AMX_COLUMNS, multiply_block_amx};
