/* C = α·op(A)·op(B) + β·C, into which D was copied.
 *
 * C is divided into parts, a rectangle each, that need nothing of each other: with few threads this costs less than meeting at
 * every panel of a product that all work on (Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS
 * 34(3), 2008, have the latter). In a part, up to DEPTH products of each sum are made at a time:
 *
 *     a block of B (depth × columns) is packed in slivers of two vectors' width, and stays in the second-level cache, or the third
 *     a band of A's rows, some tiles, is packed, and stays there too
 *     a tile of C, its rows × two vectors, is summed in registers, a sliver of B after the other, while the tile of A stays in the
 *     first-level cache
 *
 * Packed, a sliver of B lies row after row and a tile of A column after column, whichever way they were. The order of a sum's products depends on k alone.
 */
#include "thin.h"
#include "variants.h"

#include <stddef.h>

/* The most products of a sum that are made at once: a sum is read from C and written back once for so many. */
#define DEPTH 640

/* Rows of A that are packed at once, a band, in tiles: few, or, across its rows, so many that these are read in whole cache lines. */
enum { TILES_ALONG = 2, TILES_ACROSS = 16 };

/* Products of each sum in a round of the innermost loop. */
#define AT_ONCE 4

/* The most elements of a packed block of B. */
enum { MOST_OF_BLOCK = 384 * DEPTH };

/* Floating-point operations that are worth a part: about 20 µs. */
static const double LEAST_OF_A_PART = 2e6;

/* Parts for each thread, where there is enough to do: whoever is late with the last one is not very late. */
enum { PARTS = 4 };

typedef struct product product;

/* What the arithmetic of a variant is like. */
typedef struct {
    int64_t tile, sliver;       /* rows and columns of C that are summed at once */
    int64_t chunk, depth;       /* the most products of a sum that are made at once, in chunks */
    int64_t block;              /* the most elements of a packed block of B */
    double cache;               /* the most that it takes, in second-level caches */
    int64_t packed_bytes;       /* of an element */
    double pack_a, pack_b;      /* the time that packing an element takes, in that of the products of one with a sliver's */
    void (*multiply_block)(const product *s, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *packed);
} product_variant;

struct product {
    const product_variant *variant;
    int transpose_a, transpose_b;
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    int64_t depth;              /* products at once */
    int64_t columns;            /* of a block of B, at most */
    int row_parts, column_parts;
    float *packed;              /* the members' */
};

/* The largest packed rows of A in floats, those of the largest tile, and what a last vector writes beyond. */
enum { PACKED_A = TILES_ACROSS * 14 * DEPTH + 16, PACKED = PACKED_A + MOST_OF_BLOCK };

#define UNROLL _Pragma("GCC unroll 16")

#if defined(__x86_64__)
/* Most products take a[…] from memory in the same instruction: fewer instructions count where a processor is shared with
   another's work, but all of them so would ask for more than two loads a cycle. */
#define MULTIPLY_ADD(ROW, SUM, A, B) \
    if (ROW % 4) { \
        __asm__("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(SUM) : "m"(A), "v"(B)); \
    } else { \
        SUM += (A) * (B); \
    }
#define NAME(x) JOIN(x, avx512)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 16
#define TILE 14
#define AT_A_TIME DEPTH
#define OF_CACHE 0.55
#include "product_variant.h"

#if defined(LORA4J_AMX)
#include "product_amx.h"
#endif

#define MULTIPLY_ADD(ROW, SUM, A, B) SUM += (A) * (B)
#define NAME(x) JOIN(x, avx2)
#define TARGET __attribute__((target(AVX2_INSTRUCTIONS)))
#define VECTOR 8
#define TILE 6
/* Measured with Zen 3 and its 512 KB: a block that comes in part from the third level costs less than packing A again for each of more blocks. With a
   power of two, a layer's product that has the adapter's few beside a power of two of its own would go through C once more. */
#define AT_A_TIME 528
#define OF_CACHE 1.2
#include "product_variant.h"
#endif

#define MULTIPLY_ADD(ROW, SUM, A, B) SUM += (A) * (B)
#define NAME(x) JOIN(x, portable)
#define TARGET
#define VECTOR 4
#define TILE 4
#define AT_A_TIME DEPTH
#define OF_CACHE 0.55
#include "product_variant.h"

int64_t lora4j_product_floats(void) {
#if defined(LORA4J_AMX)
    return PACKED + sizeof(packed_amx) / sizeof(float);
#else
    return PACKED;
#endif
}

/* Divides C so that the estimated time is least: of the arithmetic, of packing what each part needs, and of waiting for the last
   part, a quarter of one. Per product of a sum, in the time of an element's products with a sliver's. */
static void divide(product *s, int threads) {
    const int64_t tile = s->variant->tile, sliver = s->variant->sliver;
    const double parts = 2.0 * s->m * s->n * s->k / LEAST_OF_A_PART;
    const int64_t most = parts < 2 ? 1 : parts < PARTS * threads ? (int64_t)parts : PARTS * threads;
    const int64_t tiles = (s->m + tile - 1) / tile, slivers = (s->n + sliver - 1) / sliver;
    double best = 0;
    for (int64_t r = 1; r <= least(most, tiles); r++) {
        for (int64_t c = 1; c <= least(most / r, slivers); c++) {
            const double rows = (double)((tiles + r - 1) / r * tile), columns = (double)((slivers + c - 1) / c * sliver);
            const double blocks = (double)(((int64_t)columns + s->columns - 1) / s->columns);
            const double part = rows * columns / sliver + s->variant->pack_a * rows * blocks + s->variant->pack_b * columns;
            const double time = part * (0.25 + (double)((r * c + threads - 1) / threads));
            if (best == 0 || time < best) {
                best = time;
                s->row_parts = (int)r;
                s->column_parts = (int)c;
            }
        }
    }
}

static void multiply_part(const void *job, int part, int member) {
    const product *s = job;
    const int64_t tile = s->variant->tile, sliver = s->variant->sliver;
    const int64_t tiles = (s->m + tile - 1) / tile, slivers = (s->n + sliver - 1) / sliver;
    const int64_t row = part / s->column_parts, column = part % s->column_parts;
    const int64_t i0 = tiles * row / s->row_parts * tile, i1 = least(tiles * (row + 1) / s->row_parts * tile, s->m);
    const int64_t from = slivers * column / s->column_parts, to = slivers * (column + 1) / s->column_parts;
    const int64_t blocks = ((to - from) * sliver + s->columns - 1) / s->columns;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t j0 = (from + (to - from) * block / blocks) * sliver, j1 = (from + (to - from) * (block + 1) / blocks) * sliver;
        s->variant->multiply_block(s, i0, i1, j0, least(j1, s->n), s->packed + member * lora4j_product_floats());
    }
}

static void multiply(lora4j_team *team, const product_variant *variant, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                     const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    const int64_t depths = (k + variant->depth - 1) / variant->depth;
    product s = {.variant = variant, .transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta,
                 .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc, .depth = round_up((k + depths - 1) / depths, variant->chunk), .packed = team->packed};
    const int64_t cached = (int64_t)(variant->cache * (double)lora4j_second_level_cache()) / variant->packed_bytes;
    s.columns = least(cached, variant->block) / s.depth / variant->sliver * variant->sliver;
    s.columns = s.columns < variant->sliver ? variant->sliver : s.columns;
    divide(&s, lora4j_team_threads(team));
    lora4j_members_run(team->members, multiply_part, &s, s.row_parts * s.column_parts);
}

void lora4j_sgemm(lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                  int64_t lda, const float *b, int64_t ldb, float beta, const float *d, int64_t ldd, float *c, int64_t ldc) {
    if (lora4j_is_thin(team, transpose_a, transpose_b, m, n, k)) {
        lora4j_thin_product(team, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, d, ldd, c, ldc);
        return;
    }
    if (beta != 0 && d != c) {
        lora4j_copy(team, m, n * sizeof(float), d, ldd * sizeof(float), c, ldc * sizeof(float));
    }
    const product_variant *variant = CHOSEN(team, &product);
#if defined(LORA4J_AMX)
    if (!strcmp(team->variant, "amx") && least(m, n) >= AMX_LEAST_SIDE && k >= AMX_LEAST_DEPTH) {
        variant = &product_amx;
    }
#endif
    multiply(team, variant, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
