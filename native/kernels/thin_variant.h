/* The arithmetic of thin products for one instruction set; included by thin.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     GROUP      columns, or rows, of A for which sums are made at once, 4 or 8: the registers hold 3·GROUP
     MULTIPLY_ADD(SUM, A, B)  SUM += A·B with all three in registers */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Σ over COUNT·WIDTH sums: element p of a line of A, `down` from one to the next and `along` within, by the p-th vectors of B. Meanwhile is
   asked for, with LINES_OF_A, the COUNT lines of A that follow; with each product, FETCHED lines of the cache that lie `ahead` bytes
   beyond a row of B. */
INLINE void NAME(sums)(const int COUNT, const int WIDTH, const int LINES_OF_A, const int FETCHED, int64_t products, const float *restrict a, int64_t down, int64_t along,
                       const float *restrict b, int64_t ldb, int64_t ahead, NAME(vec) sum[GROUP][3]) {
    enum { LINE = 16 };
    UNROLL for (int c = 0; c < COUNT; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[c][w] = (NAME(vec)){0};
        }
    }
    for (int64_t from = 0, to; from < products; from = to) {
        to = LINES_OF_A ? least(from + LINE, products) : products;
        UNROLL for (int c = 0; c < COUNT && LINES_OF_A; c++) {
            __builtin_prefetch((const void *)((uintptr_t)a + sizeof(float) * ((COUNT + c) * down + from)), 0, 2);
        }
        for (int64_t p = from; p < to; p++) {
            NAME(vec) of_b[3];
            UNROLL for (int w = 0; w < WIDTH; w++) {
                of_b[w] = *(const NAME(vec) *)(b + p * ldb + w * VECTOR);
                if (w < FETCHED) {
                    __builtin_prefetch((const void *)((uintptr_t)b + sizeof(float) * (p * ldb + w * VECTOR) + ahead), 0, 2);
                }
            }
            UNROLL for (int c = 0; c < COUNT; c++) {
                const NAME(vec) of_a = a[c * down + p * along] - (NAME(vec)){0};
                UNROLL for (int w = 0; w < WIDTH; w++) {
                    MULTIPLY_ADD(sum[c][w], of_a, of_b[w])
                }
            }
        }
    }
}

/* What a function is called with: COUNT lines of A and WIDTH vectors of B. */
#if GROUP > 4
#define WHOLE_GROUP(FUNCTION) \
    case GROUP * 4 + 3: FUNCTION(GROUP, 3) break; \
    case GROUP * 4 + 2: FUNCTION(GROUP, 2) break; \
    case GROUP * 4 + 1: FUNCTION(GROUP, 1) break;
#else
#define WHOLE_GROUP(FUNCTION)
#endif
#define CALL(FUNCTION, count, width) \
    switch ((count) * 4 + (width)) { \
        WHOLE_GROUP(FUNCTION) \
        case 4 * 4 + 3: FUNCTION(4, 3) break; \
        case 4 * 4 + 2: FUNCTION(4, 2) break; \
        case 4 * 4 + 1: FUNCTION(4, 1) break; \
        case 4 + 3: FUNCTION(1, 3) break; \
        case 4 + 2: FUNCTION(1, 2) break; \
        default: FUNCTION(1, 1) \
    }

/* As many lines as there is a form for. */
static inline int64_t NAME(lines)(int64_t left) {
    return left >= GROUP ? GROUP : left >= 4 ? 4 : 1;
}

/* Sums of some rows for COUNT columns of A and WIDTH vectors of B. */
#define ADD_STRIP(COUNT, WIDTH) { \
        NAME(vec) sum[GROUP][3]; \
        switch (fetched) { \
            case 0: NAME(sums)(COUNT, WIDTH, 0, 0, rows, a, 1, along, b, ldb, 0, sum); break; \
            case 1: NAME(sums)(COUNT, WIDTH, 0, 1, rows, a, 1, along, b, ldb, ahead, sum); break; \
            case 2: NAME(sums)(COUNT, WIDTH, 0, 2, rows, a, 1, along, b, ldb, ahead, sum); break; \
            default: NAME(sums)(COUNT, WIDTH, 0, 3, rows, a, 1, along, b, ldb, ahead, sum); \
        } \
        UNROLL for (int c = 0; c < COUNT; c++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                NAME(vec) *all = (NAME(vec) *)(to + c * ld + w * VECTOR); \
                if (add) { \
                    *all += sum[c][w]; \
                } else { \
                    *all = sum[c][w]; \
                } \
            } \
        } \
    }

static TARGET void NAME(add_strip)(int64_t count, int64_t width, int64_t rows, const float *a, int64_t along, const float *b, int64_t ldb, int fetched, int64_t ahead, float *to,
                                   int64_t ld, int add) {
    CALL(ADD_STRIP, count, width)
}

/* Adds the products of a strip, some rows of B, to sums for B's columns from j to `end`, whose rows are ld apart. A is read where it is, unless S is packed. */
static TARGET void NAME(sum_strip)(const thin *s, int64_t j, int64_t end, int64_t from, int64_t rows, int fetch, float *sums, int64_t ld, int add) {
    const int64_t lines = s->packed ? s->padded : s->m, groups = (lines + GROUP - 1) / GROUP;
    for (int64_t width; j < end; j += width * VECTOR, sums += width * VECTOR) {
        const int64_t whole = least((end - j) / VECTOR, 3);
        const float *b = s->b + from * s->down_b + j;
        int64_t ldb = s->down_b;
        float tail[MOST_ROWS][VECTOR];
        width = whole;
        if (whole == 0) { /* less than a vector, with zeros */
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t l = 0; l < VECTOR; l++) {
                    tail[r][l] = j + l < end ? b[r * ldb + l] : 0;
                }
            }
            b = tail[0];
            ldb = VECTOR;
            width = 1;
        }
        for (int64_t i = 0, count; i < lines; i += count) {
            count = NAME(lines)(lines - i);
            const float *a = s->packed ? s->packed + i * s->k + from * count : s->a + from * s->across_a + i;
            const int64_t group = i / GROUP, line = least(whole, whole * group / groups), next = least(whole, whole * (group + 1) / groups);
            NAME(add_strip)(count, width, rows, a, s->packed ? count : s->across_a, b, ldb, fetch ? (int)(next - line) : 0,
                            sizeof(float) * (rows * ldb + line * VECTOR), sums + i * ld, ld, add);
        }
    }
}

static void NAME(sum_chunk)(const void *job, int chunk, int member) {
    (void)member;
    const thin *s = job;
    const int64_t from = s->k * chunk / s->parts, to = s->k * (chunk + 1) / s->parts;
    for (int64_t p = from; p < to; p += MOST_ROWS) {
        NAME(sum_strip)(s, 0, s->n, p, least(MOST_ROWS, to - p), 0, s->sums + chunk * s->room, round_up(s->n, VECTOR), p > from);
    }
}

static void NAME(multiply_columns)(const void *job, int part, int member) {
    const thin *s = job;
    const int64_t tiles = (s->n + 3 * VECTOR - 1) / (3 * VECTOR), from = tiles * part / s->parts * 3 * VECTOR;
    const int64_t to = least(tiles * (part + 1) / s->parts * 3 * VECTOR, s->n), ld = round_up(to - from, VECTOR);
    float *sums = s->sums + member * s->room;
    for (int64_t p = 0; p < s->k; p += s->strip) {
        NAME(sum_strip)(s, from, to, p, least(s->strip, s->k - p), s->k - p > s->strip, sums, ld, p > 0);
    }
    finish(s, sums, ld, 0, s->m, from, to - from);
}

/* COUNT rows and WIDTH vectors of C. */
#define ROWS(COUNT, WIDTH) { \
        NAME(vec) sum[GROUP][3]; \
        if (s->k > LONG) { \
            NAME(sums)(COUNT, WIDTH, 1, 0, s->k, a, s->down_a, 1, b, WIDTH * VECTOR, 0, sum); \
        } else { \
            NAME(sums)(COUNT, WIDTH, 0, 0, s->k, a, s->down_a, 1, b, WIDTH * VECTOR, 0, sum); \
        } \
        if (s->across == 1 && s->across_d == 1 && columns == WIDTH * VECTOR) { \
            UNROLL for (int r = 0; r < COUNT; r++) { \
                UNROLL for (int w = 0; w < WIDTH; w++) { \
                    NAME(vec) *to = (NAME(vec) *)(s->c + (i + r) * s->down + j + w * VECTOR); \
                    *to = s->beta == 0 ? s->alpha * sum[r][w] : s->alpha * sum[r][w] + s->beta * *(const NAME(vec) *)(s->d + (i + r) * s->down_d + j + w * VECTOR); \
                } \
            } \
        } else { \
            float all[COUNT][WIDTH * VECTOR]; \
            UNROLL for (int r = 0; r < COUNT; r++) { \
                UNROLL for (int w = 0; w < WIDTH; w++) { \
                    *(NAME(vec) *)(all[r] + w * VECTOR) = sum[r][w]; \
                } \
            } \
            finish(s, all[0], WIDTH * VECTOR, i, COUNT, j, columns); \
        } \
    }

static TARGET void NAME(rows)(const thin *s, int64_t i, int64_t count, int64_t j, int64_t columns, const float *a, const float *b) {
    CALL(ROWS, count, (columns + VECTOR - 1) / VECTOR)
}

static void NAME(multiply_rows)(const void *job, int part, int member) {
    (void)member;
    const thin *s = job;
    const int64_t groups = (s->m + GROUP - 1) / GROUP; /* a row is of the same one with any number of threads: the compiler may round differently */
    const int64_t to = least(groups * (part + 1) / s->parts * GROUP, s->m);
    for (int64_t i = groups * part / s->parts * GROUP, count; i < to; i += count) {
        count = NAME(lines)(to - i);
        for (int64_t j = 0; j < s->n; j += 3 * VECTOR) {
            NAME(rows)(s, i, count, j, least(3 * VECTOR, s->n - j), s->a + i * s->down_a, s->packed + j * s->k);
        }
    }
}

static const thin_variant NAME(thin) = {VECTOR, GROUP, NAME(sum_chunk), NAME(multiply_rows), NAME(multiply_columns)};

#undef WHOLE_GROUP
#undef CALL
#undef ADD_STRIP
#undef ROWS
#undef UNROLL
#undef INLINE
#undef NAME
#undef TARGET
#undef VECTOR
#undef GROUP
#undef MULTIPLY_ADD
