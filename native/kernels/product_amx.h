/* The arithmetic of a product for AMX; included by product.c, after AVX-512's, which multiplies what the tiles don't take. Two tiles' rows and
   columns of C, a pair of each, are summed at once. */
#include "amx.h"

/* The least rows and columns of C, and products of each sum, that are worth packing. */
enum { AMX_LEAST_SIDE = 64, AMX_LEAST_DEPTH = 128 };

/* The most products of a sum that are made at once, and the most elements and pairs of tiles' columns of a block of B. */
enum { AMX_DEPTH = 640, AMX_BLOCK = 352 * AMX_DEPTH, AMX_PAIRS = AMX_BLOCK / AMX_LEAST_DEPTH / PAIR };

/* What a member packs: a pair of tiles' rows of A, a block of B with the largest numbers of its pairs, and C's 32×32 as they were summed. */
typedef struct {
    _Alignas(64) char a[AMX_DEPTH / CHUNK * CHUNK_BYTES];
    char b[AMX_BLOCK / PAIR / CHUNK * CHUNK_BYTES];
    float sums[PAIR * PAIR];
    uint32_t largest_b[AMX_PAIRS];
} packed_amx;

/* Packs a pair of tiles' rows of A; returns the largest number. */
static AMX_TARGET uint32_t pack_pair_amx(const float *a, int64_t lda, int transpose, int64_t rows, int64_t depth, packed_amx *packed) {
    __m512i largest = _mm512_setzero_si512();
    char *to = packed->a;
    for (int64_t p = 0; p < depth; p += CHUNK, to += CHUNK_BYTES) {
        largest = pack_rows(a + p * (transpose ? lda : 1), lda, transpose, rows, depth - p, to, largest);
    }
    return _mm512_reduce_max_epu32(largest);
}

/* Packs a block of B, along its rows or, transposed, along its columns as they lie in memory. */
static AMX_TARGET void pack_block_amx(const float *b, int64_t ldb, int transpose, int64_t columns, int64_t depth, packed_amx *packed) {
    __m512i largest[AMX_PAIRS];
    const int64_t pairs = (columns + PAIR - 1) / PAIR, chunks = (depth + CHUNK - 1) / CHUNK;
    for (int64_t at = 0; at < pairs * chunks; at++) {
        const int64_t pair = transpose ? at / chunks : at % pairs, chunk = transpose ? at % chunks : at / pairs;
        const int64_t j = pair * PAIR, p = chunk * CHUNK;
        largest[pair] = pack_columns(transpose ? b + j * ldb + p : b + p * ldb + j, ldb, transpose, least(PAIR, columns - j), depth - p,
                                     packed->b + (pair * chunks + chunk) * CHUNK_BYTES, chunk == 0 ? _mm512_setzero_si512() : largest[pair]);
    }
    for (int64_t pair = 0; pair < pairs; pair++) {
        packed->largest_b[pair] = _mm512_reduce_max_epu32(largest[pair]);
    }
}

/* Sums of a pair of tiles' rows and columns, or of one tile's. Functions of their own, since the compiler does not know that loading a tile reads
   memory: what was packed must be there before. */
#define SUM(NAME, ROWS, COLUMNS) \
    static __attribute__((noinline)) AMX_TARGET void NAME(int64_t chunks, const char *a, const char *b, float *sums) { \
        _tile_zero(0); \
        _tile_zero(1); \
        _tile_zero(2); \
        _tile_zero(3); \
        multiply_chunks(ROWS, COLUMNS, chunks, a, b); \
        _tile_stored(0, sums, PAIR * sizeof(float)); \
        if (COLUMNS > 1) { \
            _tile_stored(1, sums + SIDE, PAIR * sizeof(float)); \
        } \
        if (ROWS > 1) { \
            _tile_stored(2, sums + SIDE * PAIR, PAIR * sizeof(float)); \
        } \
        if (ROWS > 1 && COLUMNS > 1) { \
            _tile_stored(3, sums + SIDE * PAIR + SIDE, PAIR * sizeof(float)); \
        } \
    }
SUM(sum_one, 1, 1)
SUM(sum_beside, 1, 2)
SUM(sum_above, 2, 1)
SUM(sum_four, 2, 2)
#undef SUM

/* C = α·S + β·C for what was summed. */
static AMX_TARGET void add_sums_amx(const product *s, const float *sums, int64_t rows, int64_t columns, float *c) {
    const __m512 alpha = _mm512_set1_ps(s->alpha), beta = _mm512_set1_ps(s->beta);
    for (int64_t j = 0; j < columns; j += SIDE) {
        const __mmask16 mask = lanes(columns - j);
        for (int64_t r = 0; r < rows; r++) {
            float *to = c + r * s->ldc + j;
            const __m512 sum = _mm512_mul_ps(alpha, _mm512_load_ps(sums + r * PAIR + j));
            _mm512_mask_storeu_ps(to, mask, s->beta == 0 ? sum : _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(mask, to), sum));
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
        const int64_t chunks = (now.k + CHUNK - 1) / CHUNK;
        for (int64_t i = i0; i < i1; i += PAIR) {
            const int64_t rows = least(PAIR, i1 - i);
            const uint32_t largest_a = pack_pair_amx(now.a + i * (s->transpose_a ? 1 : s->lda), s->lda, s->transpose_a, rows, now.k, packed);
            for (int64_t j = j0; j < j1; j += PAIR) {
                const int64_t pair = (j - j0) / PAIR, columns = least(PAIR, j1 - j);
                if (tiles_take(largest_a, packed->largest_b[pair])) {
                    (rows > SIDE ? columns > SIDE ? sum_four : sum_above : columns > SIDE ? sum_beside : sum_one)
                        (chunks, packed->a, packed->b + pair * chunks * CHUNK_BYTES, packed->sums);
                    add_sums_amx(&now, packed->sums, rows, columns, now.c + i * s->ldc + j);
                } else {
                    multiply_block_avx512(&now, i, i + rows, j, j + columns, memory);
                }
            }
        }
    }
    _tile_release();
}

static const product_variant product_amx = {PAIR, PAIR, CHUNK, AMX_DEPTH, AMX_BLOCK, 0.65, TERMS * 2, 2, 2, multiply_block_amx};
