/* The arithmetic of tall products for one instruction set; included by tall.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     GROUP      columns, or rows, of A for which sums are made at once: the registers hold 3·GROUP
     MULTIPLY_ADD(SUM, A, B)  SUM += A·B with all three in registers */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Σ over COUNT·WIDTH sums: element p of a line of A, `down` from one to the next and `along` within, by the p-th vectors of B. */
INLINE void NAME(sums)(const int COUNT, const int WIDTH, int64_t products, const float *restrict a, int64_t down, int64_t along, const float *restrict b, int64_t ldb,
                       NAME(vec) sum[GROUP][3]) {
    UNROLL for (int c = 0; c < COUNT; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[c][w] = (NAME(vec)){0};
        }
    }
    for (int64_t p = 0; p < products; p++) {
        NAME(vec) of_b[3];
        UNROLL for (int w = 0; w < WIDTH; w++) {
            of_b[w] = *(const NAME(vec) *)(b + p * ldb + w * VECTOR);
        }
        UNROLL for (int c = 0; c < COUNT; c++) {
            const NAME(vec) of_a = a[c * down + p * along] - (NAME(vec)){0};
            UNROLL for (int w = 0; w < WIDTH; w++) {
                MULTIPLY_ADD(sum[c][w], of_a, of_b[w])
            }
        }
    }
}

/* Sums of some rows for COUNT columns of A and WIDTH vectors of B. */
#define INNER(COUNT, WIDTH) { \
        NAME(vec) sum[GROUP][3]; \
        NAME(sums)(COUNT, WIDTH, rows, a, 1, s->lda, b, ldb, sum); \
        UNROLL for (int c = 0; c < COUNT; c++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                NAME(vec) *all = (NAME(vec) *)(to + c * s->np + w * VECTOR); \
                if (add) { \
                    *all += sum[c][w]; \
                } else { \
                    *all = sum[c][w]; \
                } \
            } \
        } \
    }

static TARGET void NAME(inner)(const tall *s, int64_t count, int64_t width, int64_t rows, const float *a, const float *b, int64_t ldb, float *to, int add) {
    switch (count * 4 + width) {
        case GROUP * 4 + 3: INNER(GROUP, 3) break;
        case GROUP * 4 + 2: INNER(GROUP, 2) break;
        case GROUP * 4 + 1: INNER(GROUP, 1) break;
        case 4 + 3: INNER(1, 3) break;
        case 4 + 2: INNER(1, 2) break;
        default: INNER(1, 1)
    }
}

/* Adds a strip of a chunk's rows to its sums. */
static TARGET void NAME(sum_strip)(const tall *s, int64_t from, int64_t rows, float *sums, int add) {
    for (int64_t j = 0, width; j < s->n; j += width * VECTOR) {
        const int64_t whole = least((s->n - j) / VECTOR, 3);
        const float *b = s->b + from * s->ldb + j;
        int64_t ldb = s->ldb;
        float tail[STRIP][VECTOR];
        width = whole;
        if (whole == 0) { /* less than a vector, with zeros */
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t l = 0; l < VECTOR; l++) {
                    tail[r][l] = j + l < s->n ? b[r * s->ldb + l] : 0;
                }
            }
            b = tail[0];
            ldb = VECTOR;
            width = 1;
        }
        for (int64_t i = 0, count; i < s->m; i += count) {
            count = s->m - i >= GROUP ? GROUP : 1;
            NAME(inner)(s, count, width, rows, s->a + from * s->lda + i, b, ldb, sums + i * s->np + j, add);
        }
    }
}

static void NAME(sum_chunk)(const void *job, int chunk, int member) {
    (void)member;
    const tall *s = job;
    const int64_t from = s->k * chunk / s->parts, to = s->k * (chunk + 1) / s->parts;
    for (int64_t i = from; i < to; i += STRIP) {
        NAME(sum_strip)(s, i, least(STRIP, to - i), s->packed + chunk * s->m * s->np, i > from);
    }
}

/* COUNT rows and WIDTH vectors of C. */
#define ROWS(COUNT, WIDTH) { \
        NAME(vec) sum[GROUP][3]; \
        NAME(sums)(COUNT, WIDTH, s->k, a, s->lda, 1, b, WIDTH * VECTOR, sum); \
        UNROLL for (int r = 0; r < COUNT; r++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                float *to = c + r * s->down + w * VECTOR; \
                if ((w + 1) * VECTOR <= columns) { \
                    NAME(vec) *all = (NAME(vec) *)to; \
                    *all = s->beta == 0 ? s->alpha * sum[r][w] : s->alpha * sum[r][w] + s->beta * *all; \
                } else { \
                    float some[VECTOR]; \
                    const NAME(vec) last = sum[r][w]; \
                    memcpy(some, &last, sizeof some); \
                    for (int64_t l = 0; w * VECTOR + l < columns; l++) { \
                        to[l] = s->beta == 0 ? s->alpha * some[l] : s->alpha * some[l] + s->beta * to[l]; \
                    } \
                } \
            } \
        } \
    }

static TARGET void NAME(rows)(const tall *s, int64_t count, int64_t columns, const float *a, const float *b, float *c) {
    switch (count * 4 + (columns + VECTOR - 1) / VECTOR) {
        case GROUP * 4 + 3: ROWS(GROUP, 3) break;
        case GROUP * 4 + 2: ROWS(GROUP, 2) break;
        case GROUP * 4 + 1: ROWS(GROUP, 1) break;
        case 4 + 3: ROWS(1, 3) break;
        case 4 + 2: ROWS(1, 2) break;
        default: ROWS(1, 1)
    }
}

static void NAME(multiply_rows)(const void *job, int part, int member) {
    (void)member;
    const tall *s = job;
    const int64_t groups = (s->m + GROUP - 1) / GROUP; /* a row is of the same one with any number of threads: the compiler may round differently */
    const int64_t to = least(groups * (part + 1) / s->parts * GROUP, s->m);
    for (int64_t i = groups * part / s->parts * GROUP, count; i < to; i += count) {
        count = to - i >= GROUP ? GROUP : 1;
        for (int64_t j = 0; j < s->n; j += 3 * VECTOR) {
            NAME(rows)(s, count, least(3 * VECTOR, s->n - j), s->a + i * s->lda, s->packed + j * s->k, s->c + i * s->down + j);
        }
    }
}

static const tall_variant NAME(tall) = {VECTOR, NAME(sum_chunk), NAME(multiply_rows)};

#undef INNER
#undef ROWS
#undef UNROLL
#undef INLINE
#undef NAME
#undef TARGET
#undef VECTOR
#undef GROUP
#undef MULTIPLY_ADD
