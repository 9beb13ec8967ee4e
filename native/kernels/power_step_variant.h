/* The arithmetic of the power step for one instruction set; included by power_step.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     GROUP      columns of V that are worked on at once: the registers hold 3·GROUP sums
     ACROSS     vectors of a tile of Z: the registers hold ACROSS·GROUP sums
     COPIES     whether a block of G is copied for Z
     MULTIPLY_ADD(SUM, A, B)  SUM += A·B with all three in registers */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));
typedef int32_t NAME(lanes) __attribute__((vector_size(4 * VECTOR)));

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Columns of a tile of Z, and the lines that it touches in a row of G. */
enum { NAME(tile) = ACROSS * VECTOR, NAME(lines) = (ACROSS * VECTOR + LINE - 1) / LINE };
_Static_assert(PANEL % NAME(tile) == 0, "a panel has whole tiles");
_Static_assert(COPIES || NAME(tile) % LINE == 0, "each line is asked for by one tile");

/* Vᵀ's vectors for the rows of V from j on. */
static TARGET void NAME(transpose_v)(const step *s, int64_t j, int64_t vectors) {
    for (int64_t group = 0; group < s->kp / GROUP; group++) {
        float *to = s->vt + j * s->kp + group * vectors * GROUP * VECTOR;
        const int64_t columns = s->k - group * GROUP < GROUP ? s->k - group * GROUP : GROUP;
        for (int64_t i = 0; i < vectors; i++, to += GROUP * VECTOR) {
            const int64_t row = j + i * VECTOR;
            const float *v = s->v + row * s->ldv + group * GROUP;
            if (columns == GROUP && row + VECTOR <= s->n) {
                UNROLL for (int c = 0; c < GROUP; c++) {
                    UNROLL for (int lane = 0; lane < VECTOR; lane++) {
                        to[c * VECTOR + lane] = v[lane * s->ldv + c];
                    }
                }
            } else {
                for (int64_t c = 0; c < GROUP; c++) {
                    for (int64_t lane = 0; lane < VECTOR; lane++) {
                        to[c * VECTOR + lane] = c < columns && row + lane < s->n ? v[lane * s->ldv + c] : 0;
                    }
                }
            }
        }
    }
}

/* Adds products of COUNT vectors of ROWS rows of G and of a group of Vᵀ to the lanes of their elements of Y; copies them too, unless copy is NULL: stores
   are least in the way among the multiplications. */
INLINE void NAME(add_vectors)(const int ROWS, const int COUNT, const float *restrict g, int64_t ldg, const float *restrict vt, NAME(vec) sum[3][GROUP],
                              float *restrict copy) {
    UNROLL for (int i = 0; i < COUNT; i++) {
        NAME(vec) row[3];
        UNROLL for (int r = 0; r < ROWS; r++) {
            row[r] = *(const NAME(vec) *)(g + r * ldg + i * VECTOR);
        }
        UNROLL for (int c = 0; c < GROUP; c++) {
            const NAME(vec) column = *(const NAME(vec) *)(vt + (i * GROUP + c) * VECTOR);
            UNROLL for (int r = 0; r < ROWS; r++) {
                MULTIPLY_ADD(sum[r][c], row[r], column)
            }
            if (copy && c < ROWS) {
                *(NAME(vec) *)(copy + c * NAME(tile) + i * VECTOR) = row[c];
            }
        }
    }
}

/* The same for a panel, of vectors by whole lines, or by whole tiles where they are copied; those are tile_ld floats apart. Meanwhile is asked for what follows
   `ask`, which need not be there: a line each time, of ASKED rows. */
INLINE void NAME(add_panel)(const int ROWS, const int ASKED, const float *restrict g, int64_t ldg, const float *restrict vt, int64_t vectors, float *restrict lanes,
                            int add, uintptr_t ask, float *restrict copy, int64_t tile_ld) {
    const int AT_ONCE = copy ? ACROSS : LINE / VECTOR;
    NAME(vec) sum[3][GROUP];
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int c = 0; c < GROUP; c++) {
            sum[r][c] = add ? *(const NAME(vec) *)(lanes + (r * GROUP + c) * VECTOR) : (NAME(vec)){0};
        }
    }
    int64_t i = 0;
    for (; i + AT_ONCE <= vectors; i += AT_ONCE) {
        UNROLL for (int r = 0; r < ASKED; r++) {
            __builtin_prefetch((const void *)(ask + sizeof(float) * (r * ldg)), 0, 2);
        }
        ask += sizeof(float) * LINE;
        NAME(add_vectors)(ROWS, AT_ONCE, g + i * VECTOR, ldg, vt + i * GROUP * VECTOR, sum, copy);
        copy = copy ? copy + tile_ld : NULL;
    }
    for (; i < vectors; i++) {
        NAME(add_vectors)(ROWS, 1, g + i * VECTOR, ldg, vt + i * GROUP * VECTOR, sum, copy);
        copy = copy ? copy + VECTOR : NULL;
    }
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int c = 0; c < GROUP; c++) {
            *(NAME(vec) *)(lanes + (r * GROUP + c) * VECTOR) = sum[r][c];
        }
    }
}

/* The same for a block's rows, by three. With each three ASKED lines are asked for of what ASK gives, if it is not 0. */
#define FORWARD(KIND, ASKED, COPY, ASK) \
    static __attribute__((noinline)) TARGET void NAME(forward_##KIND)(const step *s, int64_t rows, const float *g, int64_t ldg, const float *vt, int64_t vectors, \
                                                                      float *lanes, int add, int64_t asked, upcoming *next, float *copy, int64_t tile_ld) { \
        (void)s, (void)next; \
        for (; rows >= 3; rows -= 3, g += 3 * ldg, lanes += 3 * GROUP * VECTOR) { \
            const uintptr_t ask = asked ? ASK : 0; \
            if (ask) { \
                NAME(add_panel)(3, ASKED, g, ldg, vt, vectors, lanes, add, ask, COPY, tile_ld); \
            } else { \
                NAME(add_panel)(3, 0, g, ldg, vt, vectors, lanes, add, 0, COPY, tile_ld); \
            } \
            copy += COPY ? 3 * NAME(tile) : 0; \
        } \
        if (rows == 2) { \
            NAME(add_panel)(2, 0, g, ldg, vt, vectors, lanes, add, 0, COPY, tile_ld); \
        } else if (rows == 1) { \
            NAME(add_panel)(1, 0, g, ldg, vt, vectors, lanes, add, 0, COPY, tile_ld); \
        } \
    }
#if COPIES
/* Where the block is copied, now or before, so many lines of what follows are asked for. */
FORWARD(copying, 1, copy, take(next, s, asked))
FORWARD(copied, 1, NULL, take(next, s, asked))
#endif
/* Else lines of the rows that are so many further on: the processor's own prefetching begins anew with every panel's row. */
FORWARD(plain, 3, NULL, (uintptr_t)g + sizeof(float) * (asked * ldg))

/* Adds products of WIDTH vectors of G's rows and of a group of Y's columns to Zᵀ. For each row, ASKED lines are asked for, from next on, of rows that
   are next_ld floats apart and need not be there. */
INLINE void NAME(add_tile)(const int WIDTH, const int ASKED, int64_t rows, const float *restrict g, int64_t ldg, const float *restrict y, int64_t kp,
                           float *restrict zt, int add, uintptr_t next, int64_t next_ld) {
    NAME(vec) sum[GROUP][ACROSS];
    UNROLL for (int c = 0; c < GROUP; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[c][w] = add ? *(const NAME(vec) *)(zt + (c * ACROSS + w) * VECTOR) : (NAME(vec)){0};
        }
    }
    _Pragma("GCC unroll 2") for (int64_t r = 0; r < rows; r++) {
        NAME(vec) row[ACROSS];
        UNROLL for (int l = 0; l < ASKED; l++) {
            __builtin_prefetch((const void *)(next + sizeof(float) * (r * next_ld + l * LINE)), 0, 2);
        }
        UNROLL for (int w = 0; w < WIDTH; w++) {
            row[w] = *(const NAME(vec) *)(g + r * ldg + w * VECTOR);
        }
        UNROLL for (int c = 0; c < GROUP; c++) {
            const NAME(vec) of_y = y[r * kp + c] - (NAME(vec)){0};
            UNROLL for (int w = 0; w < WIDTH; w++) {
                MULTIPLY_ADD(sum[c][w], of_y, row[w])
            }
        }
    }
    UNROLL for (int c = 0; c < GROUP; c++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            *(NAME(vec) *)(zt + (c * ACROSS + w) * VECTOR) = sum[c][w];
        }
    }
}

/* The same for groups of Y's columns from one on, without asking. */
INLINE void NAME(add_groups)(const int WIDTH, int64_t group, int64_t rows, const float *g, int64_t ldg, const float *y, int64_t kp, float *zt, int add) {
    for (; group < kp; group += GROUP) {
        NAME(add_tile)(WIDTH, 0, rows, g, ldg, y + group, kp, zt + group * ACROSS * VECTOR, add, 0, 0);
    }
}

/* The elements of G's rows that are less than a vector, with zeros. */
static TARGET void NAME(pad)(const step *s, const float *g, int64_t rows, int64_t j, float *tail) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t lane = 0; lane < VECTOR; lane++) {
            tail[r * VECTOR + lane] = j + lane < s->n ? g[r * s->ldg + j + lane] : 0;
        }
    }
}

/* The sums of GROUP vectors' lanes: neighbours are added, of two vectors in one, until a vector has all sums; first within each four, then whole fours. */
INLINE void NAME(add_lanes)(const float *lanes, float *y) {
    enum { FOURS = VECTOR / 4 };
    NAME(lanes) even, odd, even_fours, odd_fours;
    UNROLL for (int i = 0; i < VECTOR; i++) {
        const int four = i / 4, place = i % 4;
        even[i] = 4 * four + 2 * (place % 2) + (place < 2 ? 0 : VECTOR);
        odd[i] = even[i] + 1;
        even_fours[i] = 4 * (2 * (four % ((FOURS + 1) / 2))) + place + (2 * four < FOURS ? 0 : VECTOR);
        odd_fours[i] = even_fours[i] + 4;
    }
    NAME(vec) sum[GROUP];
    UNROLL for (int c = 0; c < GROUP; c++) {
        sum[c] = *(const NAME(vec) *)(lanes + c * VECTOR);
    }
    int left = GROUP;
    UNROLL for (int width = VECTOR; width > 1; width /= 2) {
        const int two = left > 1; /* or one, with itself */
        left = two ? left / 2 : 1;
        UNROLL for (int c = 0; c < GROUP; c++) {
            if (c < left) {
                NAME(vec) one = sum[2 * c * two], other = sum[(2 * c + 1) * two];
                sum[c] = width > FOURS ? SHUFFLE(one, other, even) + SHUFFLE(one, other, odd) : SHUFFLE(one, other, even_fours) + SHUFFLE(one, other, odd_fours);
            }
        }
    }
    memcpy(y, &sum[0], GROUP * sizeof(float));
}

/* Where a block's copy has the vector of its first row from column j on. */
INLINE float *NAME(copied)(const step *s, float *copy, int64_t j) {
    return copy + j / NAME(tile) * NAME(tile) * s->rows + j % NAME(tile);
}

/* Y of a block's rows, for which lanes has room for some groups. */
static __attribute__((noinline)) TARGET void NAME(rows_of_y)(const step *s, const float *g, int64_t rows, const float *tail, float *lanes, float *y, float *copy, upcoming *next) {
    (void)copy, (void)next;
    const int64_t groups = s->kp / GROUP;
    for (int64_t first = 0, end; first < groups; first = end) {
        end = least(first + s->together, groups);
        for (int64_t j = 0, vectors; j < s->n; j += vectors * VECTOR) {
            vectors = panel_vectors(s, j);
            const int whole = j + VECTOR <= s->n;
            const float *from = whole ? g + j : tail;
            const int64_t ld = whole ? s->ldg : VECTOR;
            for (int64_t group = first; group < end; group++) {
                const float *vt = s->vt + j * s->kp + group * vectors * GROUP * VECTOR;
                float *to = lanes + (group - first) * rows * GROUP * VECTOR;
#if COPIES
                if (copy && group == 0) {
                    NAME(forward_copying)(s, rows, from, ld, vt, vectors, to, j > 0, vectors / ACROSS, next, NAME(copied)(s, copy, j), NAME(tile) * s->rows);
                    continue;
                } else if (copy) {
                    NAME(forward_copied)(s, rows, from, ld, vt, vectors, to, j > 0, group < ASKING_GROUPS ? vectors * VECTOR / LINE : 0, next, NULL, 0);
                    continue;
                }
#endif
                NAME(forward_plain)(s, rows, from, ld, vt, vectors, to, j > 0, group == 0 ? s->ahead.rows : 0, NULL, NULL, 0);
            }
        }
        for (int64_t group = first; group < end; group++) {
            for (int64_t r = 0; r < rows; r++) {
                NAME(add_lanes)(lanes + ((group - first) * rows + r) * GROUP * VECTOR, y + r * s->kp + group * GROUP);
            }
        }
    }
}

/* What a block, or its copy, adds to Zᵀ. While the first group of a tile is worked on, what follows is asked for. */
static __attribute__((noinline)) TARGET void NAME(add_to_z)(const step *s, const float *g, int64_t rows, const float *tail, const float *y, float *zt, int add,
                                                            float *copy, upcoming *next) {
    const int64_t tile = NAME(tile), kp = s->kp, n = copy ? s->np : s->n, ld = copy ? tile : s->ldg, apart = copy ? tile * s->rows : tile;
    const float *from = copy ? copy : g;
    int64_t j = 0;
    for (; j + tile <= n; j += tile, from += apart, zt += tile * kp) {
#if COPIES
        const uintptr_t ask = take(next, s, rows);
        if (ask) {
            NAME(add_tile)(ACROSS, 1, rows, from, ld, y, kp, zt, add, ask, LINE);
        }
#else
        const int lines = next->rows > 0 ? s->ahead.lines : 0;
        const uintptr_t ask = lines > 0 ? next->block + sizeof(float) * (j / tile * lines * LINE) : 0;
        if (lines == NAME(lines)) {
            NAME(add_tile)(ACROSS, NAME(lines), rows, from, ld, y, kp, zt, add, ask, s->ldg);
        } else if (lines > 0) {
            NAME(add_tile)(ACROSS, NAME(lines) - 1, rows, from, ld, y, kp, zt, add, ask, s->ldg);
        }
#endif
        NAME(add_groups)(ACROSS, ask ? GROUP : 0, rows, from, ld, y, kp, zt, add);
    }
    const int64_t whole = (n - j) / VECTOR; /* vectors of the last tile, which is less than one */
    for (int64_t r = 0; !COPIES && s->ahead.lines == NAME(lines) && r < next->rows && j < n; r++) {
        for (int64_t i = j; i < n; i += LINE) {
            __builtin_prefetch((const void *)(next->block + sizeof(float) * (r * s->ldg + i)), 0, 2);
        }
    }
    if (whole == 1) {
        NAME(add_groups)(1, 0, rows, from, ld, y, kp, zt, add);
    } else if (whole == 2) {
        NAME(add_groups)(2, 0, rows, from, ld, y, kp, zt, add);
    }
    if (n % VECTOR != 0) {
        NAME(add_groups)(1, 0, rows, tail, VECTOR, y, kp, zt + whole * VECTOR, add);
    }
}

/* The rows from one to another: their Y, what they add to Zᵀ, and their ‖G‖² where it is wanted, while they are in the cache. */
static TARGET double NAME(run)(const step *s, int64_t from, int64_t to, float *zt, float *memory) {
    double norm2 = 0;
    float *copy = s->copies ? memory : NULL, *y = memory + (s->copies ? s->rows * round_up(s->n, NAME(tile)) : 0);
    float *lanes = y + s->rows * s->kp, *tail = lanes + s->rows * s->together * GROUP * VECTOR;
    for (int64_t i = from; i < to; i += s->rows) {
        const int64_t rows = to - i < s->rows ? to - i : s->rows;
        const float *g = s->g + i * s->ldg;
        NAME(pad)(s, g, rows, s->n / VECTOR * VECTOR, tail);
        upcoming next = {(uintptr_t)g + sizeof(float) * rows * s->ldg, least(to - i - rows, s->rows), 0, 0};
        NAME(rows_of_y)(s, g, rows, tail, lanes, y, copy, &next);
        for (int64_t r = 0; r < rows; r++) {
            memcpy(s->y + (i + r) * s->ldy, y + r * s->kp, s->k * sizeof(float));
            norm2 += s->dot ? s->dot(g + r * s->ldg, g + r * s->ldg, s->n) : 0;
        }
        if (zt) {
            NAME(add_to_z)(s, g, rows, tail, y, zt, i > from, copy, &next);
        }
    }
    return norm2;
}

/* Z's rows from one tile to another: the parts' sums, in order. */
static TARGET void NAME(add_parts)(const step *s, int64_t from, int64_t to) {
    const int64_t tile = GROUP * ACROSS * VECTOR;
    const float *sums = s->zt + from / (ACROSS * VECTOR) * (s->kp / GROUP) * tile;
    for (int64_t j = from; j < to; j += ACROSS * VECTOR) {
        const int64_t rows = s->n - j < ACROSS * VECTOR ? s->n - j : ACROSS * VECTOR;
        for (int64_t group = 0; group < s->kp / GROUP; group++, sums += tile) {
            float sum[GROUP][ACROSS * VECTOR]; /* of the last tile some are of no column, and have any value */
            memcpy(sum, sums, sizeof sum);
            for (int part = 1; part < s->parts; part++) {
                for (int64_t i = 0; i < tile; i++) {
                    ((float *)sum)[i] += sums[part * s->sums + i];
                }
            }
            float *z = s->z + j * s->ldz + group * GROUP;
            const int64_t columns = s->k - group * GROUP < GROUP ? s->k - group * GROUP : GROUP;
            for (int64_t r = 0; r < rows; r++, z += s->ldz) {
                if (columns == GROUP) {
                    UNROLL for (int c = 0; c < GROUP; c++) {
                        z[c] = sum[c][r];
                    }
                } else {
                    for (int64_t c = 0; c < columns; c++) {
                        z[c] = sum[c][r];
                    }
                }
            }
        }
    }
}

static const power_variant NAME(power) = {VECTOR, GROUP, ACROSS, COPIES, NAME(transpose_v), NAME(run), NAME(add_parts)};

#undef FORWARD
#undef UNROLL
#undef INLINE
#undef NAME
#undef TARGET
#undef VECTOR
#undef GROUP
#undef ACROSS
#undef COPIES
#undef MULTIPLY_ADD
