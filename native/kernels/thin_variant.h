/* The arithmetic of thin products for one instruction set; included by thin.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     GROUP      columns, or rows, of A for which sums are made at once, 4 or 8: the registers hold 3·GROUP
     FITS       whether there are tiles of six lines by two vectors, and in the rows' form of three by four, where S has so many
     ACROSS     vectors of a tile of the columns' and the inner form
     COPIES     whether a tile of the columns' form is copied while the first lines of A meet it: its rows may be a power of two apart, and then few places
                of the first-level cache are to hold them all
     ASKS_FOR_D whether the rows' form asks for the rows of D that follow, where they are so short that the processor's own prefetching is late with each;
                measured with AVX2 only
     FOUR_TIMES(TO, FROM)  TO, a vector, = the four floats at FROM again and again; where there is one
     MULTIPLY_ADD(SUM, A, B)  SUM += A·B with all three in registers */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));
typedef int32_t NAME(lanes) __attribute__((vector_size(4 * VECTOR)));
typedef NAME(vec) NAME(tile)[FITS && GROUP < SIX ? SIX : GROUP][FITS ? 4 : 3];

#define UNROLL _Pragma("GCC unroll 16")
#if COPIES
#define UNROLL_TWICE _Pragma("GCC unroll 2") /* the narrower the vectors, the more of its instructions only go round */
#else
#define UNROLL_TWICE
#endif
#define INLINE static inline __attribute__((always_inline)) TARGET

/* A vector of SPREAD floats again and again. */
INLINE NAME(vec) NAME(repeated)(const int SPREAD, const float *a) {
#if defined(FOUR_TIMES)
    typedef int64_t pairs __attribute__((vector_size(4 * VECTOR)));
    if (SPREAD == 4) {
        NAME(vec) four;
        FOUR_TIMES(four, a)
        return four;
    }
    if (SPREAD == 2) {
        int64_t pair;
        memcpy(&pair, a, sizeof pair);
        return (NAME(vec))(pair - (pairs){0});
    }
#endif
    (void)SPREAD;
    return *a - (NAME(vec)){0};
}

/* Adds to COUNT·WIDTH sums: element p of a line of A, `down` from one to the next and `along` within, by the p-th vectors of B. Of these products SPREAD
   that follow each other are made at once, by as many lanes for each column. Meanwhile is asked for, with LINES_OF_A, the COUNT lines of A that follow;
   with each product, FETCHED vectors at next, of rows that are as far apart as B's; none with COPIES. B's vectors are copied, unless copy is NULL. */
INLINE void NAME(add_products)(const int COUNT, const int WIDTH, const int SPREAD, const int LINES_OF_A, const int FETCHED, int64_t products,
                               const float *restrict a, int64_t down, int64_t along, const float *restrict b, int64_t ldb, uintptr_t next, float *restrict copy, NAME(tile) all) {
    NAME(tile) sum; /* in registers */
    UNROLL for (int c = 0; c < COUNT; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[c][w] = all[c][w];
        }
    }
    for (int64_t from = 0, to; from < products; from = to) {
        to = LINES_OF_A ? least(from + LINE, products) : products;
        UNROLL for (int c = 0; c < COUNT && LINES_OF_A; c++) {
            __builtin_prefetch((const void *)((uintptr_t)a + sizeof(float) * ((COUNT + c) * down + from)), 0, 2);
        }
        UNROLL_TWICE for (int64_t p = from; p < to; p += SPREAD) {
            if (WIDTH == 4) { /* by fewer lines of A: there are registers for those, and for B's vectors one by one */
                NAME(vec) of_a[3];
                UNROLL for (int c = 0; c < COUNT; c++) {
                    of_a[c] = NAME(repeated)(SPREAD, a + c * down + p * along);
                }
                UNROLL for (int w = 0; w < WIDTH; w++) {
                    const NAME(vec) of_b = *(const NAME(vec) *)(b + p * ldb + w * VECTOR);
                    UNROLL for (int c = 0; c < COUNT; c++) {
                        MULTIPLY_ADD(sum[c][w], of_a[c], of_b)
                    }
                }
            } else {
                NAME(vec) of_b[3];
                UNROLL for (int w = 0; w < WIDTH; w++) {
                    of_b[w] = *(const NAME(vec) *)(b + p * ldb + w * VECTOR);
                    if (w < FETCHED) {
                        __builtin_prefetch((const void *)(next + sizeof(float) * (p * ldb + w * VECTOR)), 0, 2);
                    }
                    if (copy) {
                        *(NAME(vec) *)(copy + (p * WIDTH + w) * VECTOR) = of_b[w];
                    }
                }
                UNROLL for (int c = 0; c < COUNT; c++) {
                    const NAME(vec) of_a = NAME(repeated)(SPREAD, a + c * down + p * along);
                    UNROLL for (int w = 0; w < WIDTH; w++) {
                        MULTIPLY_ADD(sum[c][w], of_a, of_b[w])
                    }
                }
            }
        }
    }
    UNROLL for (int c = 0; c < COUNT; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            all[c][w] = sum[c][w];
        }
    }
}

INLINE void NAME(clear)(const int COUNT, const int WIDTH, NAME(tile) sum) {
    UNROLL for (int c = 0; c < COUNT; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[c][w] = (NAME(vec)){0};
        }
    }
}

/* Adds the SPREAD lanes of each column: neighbours, of two vectors in one. */
INLINE void NAME(add_lanes)(const int COUNT, const int WIDTH, const int SPREAD, NAME(tile) sum) {
    NAME(lanes) even, odd;
    UNROLL for (int i = 0; i < VECTOR; i++) {
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
    }
    UNROLL for (int c = 0; c < COUNT; c++) {
        int left = WIDTH;
        UNROLL for (int lanes = SPREAD; lanes > 1; lanes /= 2) {
            UNROLL for (int w = 0; 2 * w < left; w++) {
                const NAME(vec) one = sum[c][2 * w], other = sum[c][2 * w + 1 < left ? 2 * w + 1 : 2 * w];
                sum[c][w] = SHUFFLE(one, other, even) + SHUFFLE(one, other, odd);
            }
            left = (left + 1) / 2;
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
#define ADD_FETCHING(COUNT, WIDTH, FETCHED, COPY) \
    NAME(add_products)(COUNT, WIDTH, 1, 0, FETCHED, rows, a, 1, along, b, ldb, next, COPY, sum);
#define ADD_AND_FETCH(COUNT, WIDTH, COPY) \
    switch (COPIES ? 0 : fetched) { \
        case 0: ADD_FETCHING(COUNT, WIDTH, 0, COPY) break; \
        case 1: ADD_FETCHING(COUNT, WIDTH, 1, COPY) break; \
        case 2: ADD_FETCHING(COUNT, WIDTH, 2, COPY) break; \
        default: ADD_FETCHING(COUNT, WIDTH, 3, COPY) \
    }
#define ADD_STRIP(COUNT, WIDTH) { \
        NAME(tile) sum; \
        NAME(clear)(COUNT, WIDTH, sum); \
        if (COPIES && copy) { \
            ADD_AND_FETCH(COUNT, WIDTH, copy) \
        } else { \
            ADD_AND_FETCH(COUNT, WIDTH, NULL) \
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

INLINE void NAME(add_strip)(int64_t count, int64_t width, int64_t rows, const float *a, int64_t along, const float *b, int64_t ldb, int fetched, uintptr_t next, float *copy,
                            float *to, int64_t ld, int add) {
    switch (count * 4 + width) {
#if FITS
        case SIX * 4 + 2: ADD_STRIP(SIX, 2) break;
        case SIX * 4 + 1: ADD_STRIP(SIX, 1) break;
#endif
        default: CALL(ADD_STRIP, count, width)
    }
}

/* Adds the products of a strip, some rows of B, to sums for B's columns from j to `end`. Those of a tile's columns follow tile_sums floats after those of
   the tile before; its rows are ld apart. A is read where it is, unless S is packed. Meanwhile are fetched the same columns of the next strip, if there is
   one, or, where tiles are copied, the columns that follow, and last the first ones of the next strip: of many rows that are a power of two apart the
   second-level cache has no place for two strips. */
static __attribute__((noinline)) TARGET void NAME(sum_strip)(const thin *s, int64_t j, int64_t end, int64_t from, int64_t rows, int more, float *sums, int64_t ld, int64_t tile_sums, int add) {
    enum { TILE = ACROSS * VECTOR, ASKED = LINES_ASKED * LINE, SHARES = ASKED / TILE };
    _Static_assert(!FITS || ACROSS == 2, "there are tiles of six lines by two vectors only");
    const int64_t first = j, lines = s->packed ? s->padded : s->m, groups = s->packed ? groups_of(s) : 1;
    const int copies = COPIES && s->packed;
#if COPIES
    const int64_t width_of_all = end - first, tiles = (width_of_all + TILE - 1) / TILE;
    _Static_assert(ASKED % TILE == 0, "tiles share what is asked for");
#endif
    for (int64_t width; j < end; j += width * VECTOR) {
        const int64_t whole = least((end - j) / VECTOR, ACROSS), column = j - first, tile = column / TILE;
        const float *b = s->b + from * s->down_b + j;
        float *of_tile = sums + tile * tile_sums + column % TILE;
        int64_t ldb = s->down_b;
        float tail[MOST_ROWS][VECTOR];
        __attribute__((aligned(4 * LINE))) float copy[COPIES ? MOST_ROWS * TILE : 1];
        width = whole == 0 ? 1 : whole;
        const uintptr_t next_strip = (uintptr_t)b + sizeof(float) * rows * ldb;
#if COPIES
        /* each of the tiles that are as wide as what is asked for together asks for some rows' next lines, or, at the end, first lines of the next strip */
        const int64_t asking = least(SHARES, tiles - tile / SHARES * SHARES), after = (tile / SHARES + 1) * ASKED, last_row = rows * (tile % SHARES + 1) / asking;
        const int64_t each = (rows + asking * groups - 1) / (asking * groups), asked = after < width_of_all ? after : 0;
        const int64_t lines_asked = least(LINES_ASKED, (width_of_all - asked + LINE - 1) / LINE);
        const uintptr_t next = (uintptr_t)b + sizeof(float) * (asked - column + (asked > 0 ? 0 : rows * ldb));
        const int asks = copies && column % TILE == 0 && (more || asked > 0);
        int64_t row = rows * (tile % SHARES) / asking;
#endif
        if (whole == 0) { /* less than a vector, with zeros */
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t l = 0; l < VECTOR; l++) {
                    tail[r][l] = j + l < end ? b[r * ldb + l] : 0;
                }
            }
            b = tail[0];
            ldb = VECTOR;
        }
        for (int64_t i = 0, group = 0, count; i < lines; i += count, group++) {
            count = s->packed ? lines_at_once(s, lines - i) : NAME(lines)(lines - i);
            const float *a = s->packed ? s->packed + i * s->k + from * count : s->a + from * s->across_a + i;
            const int64_t line = least(whole, whole * group / groups), up_to = least(whole, whole * (group + 1) / groups);
#if COPIES
            for (int64_t to = least(row + each, last_row); asks && row < to; row++) {
                for (int64_t l = 0; l < lines_asked; l++) { /* memory is soonest with what lies side by side */
                    __builtin_prefetch((const void *)(next + sizeof(float) * (row * s->down_b + l * LINE)), 0, 2);
                }
            }
#endif
            NAME(add_strip)(count, width, rows, a, s->packed ? count : s->across_a, b, ldb, more && !copies ? (int)(up_to - line) : 0, next_strip + sizeof(float) * line * VECTOR,
                            copies && i == 0 ? copy : NULL, of_tile + i * ld, ld, add);
            if (copies) {
                b = copy;
                ldb = width * VECTOR;
            }
        }
    }
}

static void NAME(sum_chunk)(const void *job, int chunk, int member) {
    (void)member;
    const thin *s = job;
    const int64_t from = s->k * chunk / s->parts, to = s->k * (chunk + 1) / s->parts;
    for (int64_t p = from; p < to; p += MOST_ROWS) {
        NAME(sum_strip)(s, 0, s->n, p, least(MOST_ROWS, to - p), 0, s->sums + chunk * s->room, round_up(s->n, VECTOR), ACROSS * VECTOR, p > from);
    }
}

static void NAME(multiply_columns)(const void *job, int part, int member) {
    enum { TILE = ACROSS * VECTOR };
    const thin *s = job;
    const int64_t tiles = (s->n + TILE - 1) / TILE, from = tiles * part / s->parts * TILE, to = least(tiles * (part + 1) / s->parts * TILE, s->n);
    const int64_t tile_sums = TILE * s->padded;
    float *sums = s->sums + member * s->room;
    for (int64_t p = 0; p < s->k; p += s->strip) {
        NAME(sum_strip)(s, from, to, p, least(s->strip, s->k - p), s->k - p > s->strip, sums, TILE, tile_sums, p > 0);
    }
    for (int64_t j = from; j < to; j += TILE, sums += tile_sums) {
        finish(s, sums, TILE, 0, s->m, j, least(TILE, to - j));
    }
}

/* COUNT rows of C's columns from j on, of which WIDTH vectors have SPREAD lanes each. */
#define ROWS_OF_LANES(COUNT, WIDTH, SPREAD) { \
        enum { WIDE = (WIDTH + SPREAD - 1) / SPREAD }; \
        const int64_t ldb = WIDTH * VECTOR / SPREAD, whole = s->k / SPREAD * SPREAD; \
        NAME(tile) sum; \
        NAME(clear)(COUNT, WIDTH, sum); \
        if (s->k > LONG) { \
            NAME(add_products)(COUNT, WIDTH, SPREAD, 1, 0, whole, a, s->down_a, 1, b, ldb, 0, NULL, sum); \
        } else { \
            NAME(add_products)(COUNT, WIDTH, SPREAD, 0, 0, whole, a, s->down_a, 1, b, ldb, 0, NULL, sum); \
        } \
        if (whole < s->k) { \
            float rest[COUNT][SPREAD]; \
            memset(rest, 0, sizeof rest); \
            for (int r = 0; r < COUNT; r++) { \
                for (int64_t p = whole; p < s->k; p++) { \
                    rest[r][p - whole] = a[r * s->down_a + p]; \
                } \
            } \
            NAME(add_products)(COUNT, WIDTH, SPREAD, 0, 0, SPREAD, rest[0], SPREAD, 1, b + whole * ldb, ldb, 0, NULL, sum); \
        } \
        NAME(add_lanes)(COUNT, WIDTH, SPREAD, sum); \
        if (s->across == 1 && s->across_d == 1 && columns == WIDE * VECTOR) { \
            const float alpha = s->alpha, beta = s->beta; \
            const int64_t down = s->down, down_d = s->down_d; \
            float *c = s->c + i * down + j; \
            const float *d = s->d + i * down_d + j; \
            if (beta == 0) { \
                UNROLL for (int r = 0; r < COUNT; r++) { \
                    UNROLL for (int w = 0; w < WIDE; w++) { \
                        *(NAME(vec) *)(c + r * down + w * VECTOR) = alpha * sum[r][w]; \
                    } \
                } \
            } else { \
                UNROLL for (int r = 0; r < COUNT; r++) { \
                    UNROLL for (int w = 0; w < WIDE; w++) { \
                        *(NAME(vec) *)(c + r * down + w * VECTOR) = alpha * sum[r][w] + beta * *(const NAME(vec) *)(d + r * down_d + w * VECTOR); \
                    } \
                } \
            } \
        } else { \
            float all[COUNT][WIDE * VECTOR]; \
            UNROLL for (int r = 0; r < COUNT; r++) { \
                UNROLL for (int w = 0; w < WIDE; w++) { \
                    *(NAME(vec) *)(all[r] + w * VECTOR) = sum[r][w]; \
                } \
            } \
            finish(s, all[0], WIDE * VECTOR, i, COUNT, j, columns); \
        } \
    }
#if defined(FOUR_TIMES)
#define ROWS(COUNT, WIDTH) \
    switch (s->spread) { \
        case 4: ROWS_OF_LANES(COUNT, WIDTH, 4) break; \
        case 2: ROWS_OF_LANES(COUNT, WIDTH, 2) break; \
        default: ROWS_OF_LANES(COUNT, WIDTH, 1) \
    }
#else
#define ROWS(COUNT, WIDTH) ROWS_OF_LANES(COUNT, WIDTH, 1)
#endif

#if FITS
#define FITTING_TILES \
    case SIX * 4 + 2: ROWS_OF_LANES(SIX, 2, 1) break; \
    case 3 * 4 + 4: ROWS_OF_LANES(3, 4, 1) break; \
    case 4 + 4: ROWS_OF_LANES(1, 4, 1) break;
#else
#define FITTING_TILES
#endif

static TARGET void NAME(rows)(const thin *s, int64_t i, int64_t count, int64_t j, int64_t columns, const float *a, const float *b) {
    const int64_t width = (columns * s->spread + VECTOR - 1) / VECTOR;
    switch (count * 4 + width) {
        FITTING_TILES
        default: CALL(ROWS, count, width)
    }
}

static void NAME(multiply_rows)(const void *job, int part, int member) {
    (void)member;
    const thin *s = job;
    const int64_t groups = (s->m + s->tall - 1) / s->tall; /* a row is of the same one with any number of threads: the compiler may round differently */
    const int64_t to = least(groups * (part + 1) / s->parts * s->tall, s->m), width = s->wide * VECTOR;
    const int asks = ASKS_FOR_D && s->beta != 0 && s->across_d == 1 && s->n <= PAGE;
    for (int64_t i = groups * part / s->parts * s->tall, count; i < to; i += count) {
        count = to - i >= s->tall ? s->tall : s->wide == 4 ? 1 : NAME(lines)(to - i);
        for (int64_t j = 0; j < s->n; j += width) {
            for (int64_t r = i + count; asks && r < least(i + 2 * count, to); r++) {
                for (int64_t l = j; l < least(j + width, s->n); l += LINE) {
                    __builtin_prefetch(s->d + r * s->down_d + l, 0, 2);
                }
            }
            NAME(rows)(s, i, count, j, least(width, s->n - j), s->a + i * s->down_a, s->packed + j * s->k);
        }
    }
}

#if defined(FOUR_TIMES)
enum { NAME(most_spread) = 4 };
#else
enum { NAME(most_spread) = 1 };
#endif
static const thin_variant NAME(thin) = {VECTOR, GROUP, ACROSS, FITS, NAME(most_spread), COPIES, NAME(sum_chunk), NAME(multiply_rows), NAME(multiply_columns)};

#undef WHOLE_GROUP
#undef FITTING_TILES
#undef CALL
#undef ADD_STRIP
#undef ADD_FETCHING
#undef ADD_AND_FETCH
#undef ROWS
#undef ROWS_OF_LANES
#undef UNROLL
#undef UNROLL_TWICE
#undef INLINE
#undef NAME
#undef TARGET
#undef VECTOR
#undef GROUP
#undef ACROSS
#undef FITS
#undef COPIES
#undef ASKS_FOR_D
#undef MULTIPLY_ADD
#undef FOUR_TIMES
