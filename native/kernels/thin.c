/* C = α·op(A)·op(B) + β·D where one of the matrices is thin: what an adapter adds to a layer, a layer's product for few rows of a batch,
 * what a decomposition makes of its bases, and a merge.
 *
 * Packing the large matrix for product.c would cost as much as the arithmetic. Here it is read where it is, once, a tile of sums is kept
 * in registers, and it is divided among the threads. There are three forms; what is another's transpose is computed as that.
 *
 *     rows      C = L·S, L's rows being read along. S has few columns, or each sum has few products, and then C is what takes time. Where the
 *               columns leave vectors of a tile empty, lanes of their own make two or four products of a sum at once: one of L's elements
 *               at a time, a load for each multiplication or two would be what takes time.
 *     columns   C = S·L, L's rows being read across, in vectors. S has few rows. L is taken in strips of some rows, which stay in the
 *               second-level cache while each few rows of S meet them.
 *     inner     C = AᵀB of two thin ones. C has too few elements to be divided: the rows are, in chunks, each with sums of its own, which
 *               are added in order.
 */
#include "thin.h"

#include <stddef.h>

/* The most columns, or rows, of S; and of S in L's rows' form where its packed rows don't stay in the second-level cache. */
enum { THIN = 48, THIN_AND_LONG = 32 };

/* The same with tiles of six lines: of rows in the columns' form, of columns in the rows' form, and of rows, where L has at least MANY elements. */
enum { ROWS_OF_SIXES = 64, MANY_COLUMNS = 64, MANY_ROWS = 128, MANY = 1 << 18 };

/* Products of each sum so few that S may have any number of columns. */
enum { FEW = 16 };

/* With AMX, in the columns' form: the least and most rows of S, the least of L's sides, and L's elements from which it is worth it. In the rows' form AVX-512
   multiplies 48 columns as fast as memory gives L, and with more AMX gains nothing over packing L. */
enum { LEAST_ROWS_OF_TILES = 9, MOST_ROWS_OF_TILES = 128, LEAST_SIDE_OF_TILES = 128, MANY_FOR_TILES = 1 << 20 };

/* The most columns of the wider matrix of AᵀB for which its rows are divided. */
enum { WIDE = 256 };

/* The least rows of L, where few products or AᵀB make it one of these. */
enum { LEAST_ROWS = 64 };

/* The most rows of B that are summed at once: those of A and of two or three vectors of B stay in the first-level cache. A chunk has as many, unless there
   would be too many chunks. */
enum { MOST_ROWS = 96, MOST_CHUNKS = 64 };

/* Rows of a strip of the columns' form. With 96 Intel's processors take a tenth to twice as much time, above all where rows are a power of two apart and
   few places of the caches are to hold them all; on AMD's with AVX-512 fewer take longer, with AVX2, and tiles copied, 48 are best of 12 to 96. */
static int64_t strip_rows(int copies) {
    return !is_amd() ? 32 : copies ? 48 : MOST_ROWS;
}

/* Lines of a row that are asked for together where tiles are copied. */
enum { LINES_ASKED = 4 };

/* Lines of the matrix that is not in vectors that are worked on at once, where the variant has tiles of so many; in the columns' form where S has at least
   LEAST_OF_SIXES: with fewer, sixes take longer than fours. */
enum { SIX = 6, LEAST_OF_SIXES = 20 };

/* Products of two elements below which one thread does it all: about a microsecond. */
enum { ALONE = 1 << 16 };

/* Products of a sum from which L's rows that follow are asked for. */
enum { LONG = 256 };

/* Floats in a page of memory: the processor's own prefetching begins anew with each. */
enum { PAGE = 1024 };

/* Parts for each thread, where there are enough columns. */
enum { PARTS = 2 };

typedef struct thin_variant thin_variant;

/* C = α·op(A)·op(B) + β·D, of any orientation: from an element to the next of its column is `down`, to the next of its row `across`. */
typedef struct {
    const thin_variant *variant;
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b, *d;
    float *c;
    int64_t down_a, across_a, down_b, across_b, down_d, across_d, down, across;
    int64_t strip;          /* rows of B that are summed at once, in the columns' form */
    int64_t tall, wide;     /* rows of L, and vectors of S's, that are worked on at once, in the rows' form */
    int64_t padded;         /* rows, or columns, of S with those of zeros that fill up a tile */
    int64_t spread;         /* products of each sum that are made at once, 1, 2 or 4; packed, they lie side by side */
    int parts;
    float *packed;          /* S, by its tiles */
    float *sums;            /* of each chunk, or member */
    int64_t room;           /* floats of one of these */
} thin;

struct thin_variant {
    int64_t vector, group;  /* floats in a vector, and lines of the matrix that is not in vectors that are worked on at once */
    int64_t across;         /* vectors of a tile in the columns' and the inner form */
    int fits;               /* whether there are tiles of six lines by two vectors, and in the rows' form of three by four */
    int64_t spread;         /* the most products of a sum that are made at once */
    int copies;             /* whether a tile of the columns' form is copied */
    lora4j_work *sum_chunk, *multiply_rows, *multiply_columns;
};

/* Lines of S packed that are worked on at once, where so many are left; four first, so that the others come in sixes. */
static inline int64_t lines_at_once(const thin *s, int64_t left) {
    if (!s->variant->fits) {
        return least(s->variant->group, left);
    }
    return s->padded >= LEAST_OF_SIXES && left % SIX == 0 ? SIX : s->variant->group;
}

static inline int64_t groups_of(const thin *s) {
    int64_t groups = 0;
    for (int64_t left = s->padded; left > 0; left -= lines_at_once(s, left)) {
        groups++;
    }
    return groups;
}

/* α·sum + β·d of elements that lie side by side in C and D. */
static inline __attribute__((always_inline)) void finish_line(int64_t count, float alpha, const float *restrict sum, int64_t along, float beta, const float *d, float *c) {
    if (beta == 0) {
        for (int64_t i = 0; i < count; i++) {
            c[i] = alpha * sum[i * along];
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            c[i] = alpha * sum[i * along] + beta * d[i];
        }
    }
}

/* C of some rows and columns of sums, of which the first is row i, column j. Either rows or columns lie side by side, in D as in C. */
static void finish(const thin *s, const float *sums, int64_t ld, int64_t i, int64_t rows, int64_t j, int64_t columns) {
    float *c = s->c + i * s->down + j * s->across;
    const float *d = s->d + i * s->down_d + j * s->across_d;
    if (s->across == 1 && s->across_d == 1) { /* a single column of C may be without gaps where D's is not */
        for (int64_t r = 0; r < rows; r++) {
            finish_line(columns, s->alpha, sums + r * ld, 1, s->beta, d, c);
            c += s->down;
            d += s->down_d;
        }
    } else {
        for (int64_t l = 0; l < columns; l++) {
            finish_line(rows, s->alpha, sums + l, ld, s->beta, d, c);
            c += s->across;
            d += s->across_d;
        }
    }
}

#if defined(__x86_64__)
#define NAME(x) JOIN(x, avx512)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 16
#define GROUP 8
#define ACROSS 3
#define FITS 0
#define COPIES 0
#define ASKS_FOR_D 0
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#define FOUR_TIMES(TO, FROM) __asm__("vbroadcastf32x4 %1, %0" : "=v"(TO) : "m"(*(const float (*)[4])(FROM)));
#include "thin_variant.h"

/* Half vectors: columns come in eights. */
#define NAME(x) JOIN(x, avx512_half)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 8
#define GROUP 8
#define ACROSS 3
#define FITS 0
#define COPIES 0
#define ASKS_FOR_D 0
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#include "thin_variant.h"

#define NAME(x) JOIN(x, avx2)
#define TARGET __attribute__((target(AVX2_INSTRUCTIONS)))
#define VECTOR 8
#define GROUP 4
#define ACROSS 2
#define FITS 1
#define COPIES 1
#define ASKS_FOR_D 1
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#define FOUR_TIMES(TO, FROM) __asm__("vbroadcastf128 %1, %0" : "=v"(TO) : "m"(*(const float (*)[4])(FROM)));
#include "thin_variant.h"
#endif

#define NAME(x) JOIN(x, portable)
#define TARGET
#define VECTOR 4
#define GROUP 4
#define ACROSS 2
#define FITS 0
#define COPIES 1
#define ASKS_FOR_D 1
#define MULTIPLY_ADD(SUM, A, B) SUM += (A) * (B);
#include "thin_variant.h"

/* AᵀB of two thin matrices. */
static int is_inner(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k) {
    return transpose_a && !transpose_b && least(m, n) <= THIN && m <= WIDE && n <= WIDE && k >= LEAST_ROWS;
}

/* Whether S·L is AMX's. */
static int tiles_serve(const lora4j_team *team, int64_t m, int64_t n, int64_t k) {
#if defined(LORA4J_AMX)
    return !strcmp(team->variant, "amx") && m >= LEAST_ROWS_OF_TILES && m <= MOST_ROWS_OF_TILES && least(n, k) >= LEAST_SIDE_OF_TILES && n * k >= MANY_FOR_TILES;
#else
    (void)team, (void)m, (void)n, (void)k;
    return 0;
#endif
}

/* Whether L·S, of n columns, is better than packing L, of m rows. */
static int is_thin(const thin_variant *variant, int64_t m, int64_t n, int64_t k) {
    return n <= THIN_AND_LONG || (n <= THIN && k * THIN * (int64_t)sizeof(float) <= lora4j_second_level_cache() / 2) ||
           (variant->fits && n <= MANY_COLUMNS && m * k >= MANY);
}

/* Whether S·L, of m rows, is better than packing L, of n columns. */
static int is_thin_across(const lora4j_team *team, int64_t m, int64_t n, int64_t k) {
    return m <= (!CHOSEN(team, &thin)->fits ? THIN : n * k < MANY ? ROWS_OF_SIXES : MANY_ROWS) || tiles_serve(team, m, n, k);
}

/* A·op(B) of few products to a sum. */
static int is_merge(int transpose_a, int64_t m, int64_t n, int64_t k) {
    return !transpose_a && m >= LEAST_ROWS && k <= FEW && k * round_up(n, 16) <= lora4j_product_floats();
}

int lora4j_is_thin(const lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k) {
    const thin_variant *variant = CHOSEN(team, &thin);
    if (transpose_a && transpose_b) {
        return 0;
    }
    return is_merge(transpose_a, m, n, k) || (!transpose_a && is_thin(variant, m, n, k)) || (transpose_b ? is_thin(variant, n, m, k) : is_thin_across(team, m, n, k)) ||
           (transpose_a && is_thin_across(team, n, m, k));
}

/* Packs S's share of a part: its tiles, of so many places or of lines_at_once, and in each product after product, or as many side by side as are made at once. The element of product p in
   place i is at from[p·along + i·beside]; products and places beyond the last are zero. */
static inline __attribute__((always_inline)) void pack_spread(const int64_t spread, const thin *s, const float *from, int64_t along, int64_t beside,
                                                              int64_t count, int64_t width, int part) {
    const int64_t lines = (s->k + LINE - 1) / LINE, to = least(lines * (part + 1) / s->parts * LINE, round_up(s->k, spread));
    for (int64_t i = 0, places; i < s->padded; i += places) {
        places = width > 0 ? least(width, s->padded - i) : lines_at_once(s, s->padded - i);
        for (int64_t p = lines * part / s->parts * LINE, end; p < to; p = end) {
            end = least(p + LINE, to);
            for (int64_t c = 0; c < places; c++) {
                const int64_t known = i + c < count ? least(end, s->k) - p : 0;
                const float *of = from + p * along + (i + c) * beside;
                float *at = s->packed + i * s->k + p * places + c * spread;
                int64_t l = 0;
                for (; l < known; l++) {
                    at[l / spread * spread * places + l % spread] = of[l * along];
                }
                for (; l < end - p; l++) {
                    at[l / spread * spread * places + l % spread] = 0;
                }
            }
        }
    }
}

static void pack(const thin *s, const float *from, int64_t along, int64_t beside, int64_t count, int64_t width, int part) {
    switch (s->spread) {
        case 4: pack_spread(4, s, from, along, beside, count, width, part); break;
        case 2: pack_spread(2, s, from, along, beside, count, width, part); break;
        default: pack_spread(1, s, from, along, beside, count, width, part);
    }
}

static void pack_b(const void *job, int part, int member) {
    (void)member;
    const thin *s = job;
    pack(s, s->b, s->down_b, s->across_b, s->n, s->wide * s->variant->vector, part);
}

static void pack_a(const void *job, int part, int member) {
    (void)member;
    const thin *s = job;
    pack(s, s->a, s->across_a, s->down_a, s->m, 0, part);
}

/* How many products of each sum are packed at once, so that so many floats are enough for S packed. */
static int64_t depth(const thin *s, int64_t floats) {
    const int64_t most = floats / s->padded / s->spread * s->spread, chunks = (s->k + most - 1) / most;
    return round_up((s->k + chunks - 1) / chunks, s->spread);
}

/* The first products of each sum, the others being left for another time: these begin with what the sums are then. */
static thin next(thin *left, int64_t products) {
    thin s = *left;
    s.k = products;
    left->a += products * left->across_a;
    left->b += products * left->down_b;
    left->k -= products;
    left->beta = 1;
    left->d = left->c;
    left->down_d = left->down;
    left->across_d = left->across;
    return s;
}

static void rows(lora4j_team *team, thin all) {
    const int64_t vector = all.variant->vector;
    all.spread = all.variant->spread;
    while (all.spread > 1 && all.n * all.spread > 3 * vector) {
        all.spread /= 2;
    }
    all.padded = round_up(all.n, vector / all.spread);
    const int64_t vectors = (all.n * all.spread + vector - 1) / vector;
    const int fits = all.variant->fits && all.spread == 1;
    all.wide = fits && (vectors == 2 || vectors == 4) ? vectors : 3;
    all.tall = all.wide == 2 ? SIX : all.wide == 4 ? 3 : all.variant->group;
    all.packed = team->packed;
    const int64_t cached = lora4j_second_level_cache() / (int64_t)sizeof(float) * 5 / 8; /* with what comes of L */
    const int64_t products = all.k <= FEW ? all.k : depth(&all, least(cached, lora4j_product_floats()));
    while (all.k > 0) {
        thin s = next(&all, least(products, all.k));
        s.parts = s.m * s.n * s.k < ALONE ? 1 : lora4j_team_threads(team);
        lora4j_members_run(team->members, pack_b, &s, s.parts);
        s.parts *= s.parts == 1 ? 1 : PARTS;
        lora4j_members_run(team->members, s.variant->multiply_rows, &s, s.parts);
    }
}

static void columns(lora4j_team *team, thin all) {
    const int64_t width = all.variant->across * all.variant->vector, tiles = (all.n + width - 1) / width;
    all.padded = round_up(all.m, 4);
    all.packed = team->packed;
    const int64_t products = depth(&all, lora4j_product_floats() / 2), threads = lora4j_team_threads(team);
    all.sums = all.packed + round_up(products * all.padded, 16);
    /* a strip of a part stays in the second-level cache, with another that is being fetched */
    const int64_t cached = lora4j_second_level_cache() / 5 / (all.strip * (int64_t)sizeof(float)) / width;
    const int64_t room = (lora4j_product_floats() / 2 - 16) / (all.padded * width), most = cached < 1 ? 1 : least(cached, room);
    while (all.k > 0) {
        thin s = next(&all, least(products, all.k));
        s.parts = s.m * s.n * s.k < ALONE ? 1 : threads;
        lora4j_members_run(team->members, pack_a, &s, s.parts);
        const int64_t wanted = s.parts == 1 ? 1 : least(PARTS * threads, tiles), needed = (tiles + most - 1) / most;
        s.parts = (int)(needed > wanted ? round_up(needed, wanted) : wanted);
        s.room = (tiles + s.parts - 1) / s.parts * width * s.padded;
        lora4j_members_run(team->members, s.variant->multiply_columns, &s, s.parts);
    }
}

static void inner(lora4j_team *team, thin s) {
    const int64_t np = round_up(s.n, s.variant->vector);
    s.room = s.m * np;
    s.sums = team->packed;
    const int64_t chunks = least((s.k + MOST_ROWS - 1) / MOST_ROWS, lora4j_product_floats() / s.room);
    s.parts = (int)least(chunks, MOST_CHUNKS);
    if (s.m * s.n * s.k < ALONE) {
        for (int chunk = 0; chunk < s.parts; chunk++) {
            s.variant->sum_chunk(&s, chunk, 0);
        }
    } else {
        lora4j_members_run(team->members, s.variant->sum_chunk, &s, s.parts);
    }
    for (int chunk = 1; chunk < s.parts; chunk++) {
        for (int64_t i = 0; i < s.room; i++) {
            s.sums[i] += s.sums[chunk * s.room + i];
        }
    }
    finish(&s, s.sums, np, 0, s.m, 0, s.n);
}

static void swap(int64_t *a, int64_t *b) {
    const int64_t old = *a;
    *a = *b;
    *b = old;
}

/* Cᵀ = op(B)ᵀ·op(A)ᵀ. */
static thin transposed(thin s) {
    const float *a = s.a;
    s.a = s.b;
    s.b = a;
    swap(&s.m, &s.n);
    swap(&s.down_a, &s.across_b);
    swap(&s.across_a, &s.down_b);
    swap(&s.down, &s.across);
    swap(&s.down_d, &s.across_d);
    return s;
}

#if defined(LORA4J_AMX)
#include "thin_amx.h"
#endif

void lora4j_thin_product(lora4j_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                         int64_t lda, const float *b, int64_t ldb, float beta, const float *d, int64_t ldd, float *c, int64_t ldc) {
    thin s = {.variant = CHOSEN(team, &thin), .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta, .a = a, .b = b, .d = beta == 0 ? c : d, .c = c, /* without β, D need not be there */
              .spread = 1,
              .down_a = transpose_a ? 1 : lda, .across_a = transpose_a ? lda : 1, .down_b = transpose_b ? 1 : ldb, .across_b = transpose_b ? ldb : 1,
              .down_d = beta == 0 ? ldc : ldd, .across_d = 1, .down = ldc, .across = 1};
    s.strip = strip_rows(s.variant->copies);
    if (is_inner(transpose_a, transpose_b, m, n, k)) {
        s = m <= n ? s : transposed(s); /* the wider one is read in vectors */
#if defined(__x86_64__)
        if (s.variant == &thin_avx512 && s.n < THIN && s.n % 16 > 0 && s.n % 16 <= 8) {
            s.variant = &thin_avx512_half; /* whole vectors would have no element in their other half */
        }
#endif
        inner(team, s);
    } else if (!transpose_a && (is_merge(transpose_a, m, n, k) || (is_thin(s.variant, m, n, k) && !(transpose_b && m < n)))) {
        rows(team, s);
    } else if (transpose_b) {
        rows(team, transposed(s));
    } else {
        s = is_thin_across(team, m, n, k) ? s : transposed(s);
#if defined(LORA4J_AMX)
        if (tiles_serve(team, s.m, s.n, s.k)) {
            columns_by_tiles(team, s);
            return;
        }
#endif
        columns(team, s);
    }
}
