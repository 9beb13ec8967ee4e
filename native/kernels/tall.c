/* What a decomposition makes of its bases: AᵀB of two matrices of many rows and few columns, and A·op(B) of one such and a small one;
 * and what a merge is: A·op(B) of few products to each sum, where C is what takes time.
 *
 * Packing their rows for product.c would cost as much as the arithmetic, and AᵀB has too few elements to be divided among threads.
 * Here rows are read where they are, a tile of sums is kept in registers, and the rows are divided: those of A·op(B) among the
 * threads; those of AᵀB in chunks, each with sums of its own, which are added in order.
 */
#include "tall.h"

#include <stddef.h>

/* The most columns of the narrower and of the wider matrix of AᵀB; the most columns of A·op(B) and products of each of its sums; products
   so few that there may be any number of columns. */
enum { NARROW = 32, WIDE = 256, MOST_COLUMNS = 32, MOST_DEPTH = 256, FEW = 16 };

/* The least rows: with fewer these matrices are not tall. */
enum { LEAST_ROWS = 64 };

/* Rows that are summed at once: those of A and of three vectors of B stay in the first-level cache. A chunk has as many, unless there
   would be too many chunks. */
enum { STRIP = 96, MOST_CHUNKS = 64 };

/* Products of two elements below which one thread does it all: about a microsecond. */
enum { ALONE = 1 << 16 };

typedef struct {
    int64_t m, n, k, lda, ldb;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int64_t down, across;   /* from an element of C to the next of its column and of its row */
    int64_t down_b, across_b; /* of op(B) */
    int64_t vector, np;     /* floats in a vector, and n in whole vectors */
    int parts;
    float *packed;          /* op(B), for each three vectors of its columns row after row; or the chunks' sums */
} tall;

typedef struct {
    int64_t vector;
    lora4j_work *sum_chunk, *multiply_rows;
} tall_variant;

#if defined(__x86_64__)
/* Vectors of 256 bits: columns come in eights. */
#define NAME(x) JOIN(x, avx512)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 8
#define GROUP 8
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#include "tall_variant.h"

#define NAME(x) JOIN(x, avx2)
#define TARGET __attribute__((target(AVX2_INSTRUCTIONS)))
#define VECTOR 8
#define GROUP 4
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#include "tall_variant.h"
#endif

#define NAME(x) JOIN(x, portable)
#define TARGET
#define VECTOR 4
#define GROUP 4
#define MULTIPLY_ADD(SUM, A, B) SUM += (A) * (B);
#include "tall_variant.h"

int lora4j_is_tall(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k) {
    if (transpose_a) {
        return !transpose_b && least(m, n) <= NARROW && m <= WIDE && n <= WIDE && k >= LEAST_ROWS;
    }
    return m >= LEAST_ROWS && ((n <= MOST_COLUMNS && k <= MOST_DEPTH) || (k <= FEW && k * round_up(n, 8) <= lora4j_product_floats()));
}

static void inner(lora4j_team *team, const tall_variant *variant, tall s) {
    s.np = round_up(s.n, variant->vector);
    const int64_t chunks = least((s.k + STRIP - 1) / STRIP, lora4j_product_floats() / (s.m * s.np));
    s.parts = (int)least(chunks, MOST_CHUNKS);
    if (s.m * s.n * s.k < ALONE) {
        for (int chunk = 0; chunk < s.parts; chunk++) {
            variant->sum_chunk(&s, chunk, 0);
        }
    } else {
        lora4j_members_run(team->members, variant->sum_chunk, &s, s.parts);
    }
    const int64_t all = s.m * s.np;
    for (int chunk = 1; chunk < s.parts; chunk++) {
        for (int64_t i = 0; i < all; i++) {
            s.packed[i] += s.packed[chunk * all + i];
        }
    }
    for (int64_t i = 0; i < s.m; i++) {
        for (int64_t j = 0; j < s.n; j++) {
            const float sum = s.packed[i * s.np + j];
            float *c = s.c + i * s.down + j * s.across;
            *c = s.beta == 0 ? s.alpha * sum : s.alpha * sum + s.beta * *c;
        }
    }
}

/* op(B)'s share of tiles. */
static void pack(const void *job, int part, int member) {
    (void)member;
    const tall *s = job;
    const int64_t width = 3 * s->vector, tiles = (s->n + width - 1) / width;
    const int64_t to = least(tiles * (part + 1) / s->parts * width, s->np);
    for (int64_t j = tiles * part / s->parts * width, columns; j < to; j += columns) {
        columns = least(width, s->np - j);
        float *packed = s->packed + j * s->k;
        for (int64_t l = 0; l < s->k; l++) {
            for (int64_t c = 0; c < columns; c++) {
                *packed++ = j + c < s->n ? s->b[l * s->down_b + (j + c) * s->across_b] : 0;
            }
        }
    }
}

static void rows(lora4j_team *team, const tall_variant *variant, tall s) {
    s.vector = variant->vector;
    s.np = round_up(s.n, s.vector);
    const int parts = s.m * s.n * s.k < ALONE ? 1 : (int)least(lora4j_team_threads(team), s.m);
    s.parts = s.n > MOST_COLUMNS ? parts : 1;
    lora4j_members_run(team->members, pack, &s, s.parts);
    s.parts = parts;
    lora4j_members_run(team->members, variant->multiply_rows, &s, s.parts);
}

void lora4j_tall_product(lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                         int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    const tall_variant *variant = CHOSEN(team, &tall);
    tall s = {.m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .alpha = alpha, .beta = beta, .a = a, .b = b, .c = c, .down = ldc, .across = 1, .packed = team->packed};
    if (!transpose_a) {
        s.down_b = transpose_b ? 1 : ldb;
        s.across_b = transpose_b ? ldb : 1;
        rows(team, variant, s);
    } else if (m <= n) {
        inner(team, variant, s);
    } else { /* Cᵀ = BᵀA: the wider one is read in vectors */
        tall t = s;
        t.m = n;
        t.n = m;
        t.a = b;
        t.lda = ldb;
        t.b = a;
        t.ldb = lda;
        t.down = 1;
        t.across = ldc;
        inner(team, variant, t);
    }
}
