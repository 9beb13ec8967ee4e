/* The arithmetic of the power step for one instruction set; included by power_step.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     GROUP      columns of V that are worked on at once: the registers hold 3·GROUP sums
     MULTIPLY_ADD(SUM, A, B)  SUM += A·B with all three in registers */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));
typedef int32_t NAME(lanes) __attribute__((vector_size(4 * VECTOR)));

#define UNROLL _Pragma("GCC unroll 16")

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

/* Adds products of ROWS rows of a panel of G with a group of Vᵀ to the lanes of their elements of Y. What stands `ahead` floats after them,
   which need not be there, is asked for meanwhile: the processor's own prefetching begins anew with every panel's row. */
#define FORWARD(ROWS) \
    static __attribute__((noinline)) TARGET void NAME(forward_##ROWS)(const float *restrict g, int64_t ldg, const float *restrict vt, int64_t vectors, \
                                                                      float *restrict lanes, int add, int64_t ahead) { \
        NAME(vec) sum[ROWS][GROUP]; \
        UNROLL for (int r = 0; r < ROWS; r++) { \
            UNROLL for (int c = 0; c < GROUP; c++) { \
                sum[r][c] = add ? *(const NAME(vec) *)(lanes + (r * GROUP + c) * VECTOR) : (NAME(vec)){0}; \
            } \
        } \
        for (int64_t i = 0; i < vectors; i++) { \
            NAME(vec) row[ROWS]; \
            UNROLL for (int r = 0; r < ROWS; r++) { \
                row[r] = *(const NAME(vec) *)(g + r * ldg + i * VECTOR); \
                if (ROWS == 3) { \
                    __builtin_prefetch((const void *)((uintptr_t)g + sizeof(float) * (r * ldg + i * VECTOR + ahead)), 0, 2); \
                } \
            } \
            UNROLL for (int c = 0; c < GROUP; c++) { \
                const NAME(vec) column = *(const NAME(vec) *)(vt + c * VECTOR); \
                UNROLL for (int r = 0; r < ROWS; r++) { \
                    MULTIPLY_ADD(sum[r][c], row[r], column) \
                } \
            } \
            vt += GROUP * VECTOR; \
        } \
        UNROLL for (int r = 0; r < ROWS; r++) { \
            UNROLL for (int c = 0; c < GROUP; c++) { \
                *(NAME(vec) *)(lanes + (r * GROUP + c) * VECTOR) = sum[r][c]; \
            } \
        } \
    }
FORWARD(1)
FORWARD(2)
FORWARD(3)

/* Adds products of WIDTH vectors of G's rows and of a group of Y's columns to Zᵀ. For each row, as many vectors are asked for as asked tells, from next
   on, of rows that are next_ld floats apart and need not be there. */
#define BACKWARD(WIDTH) \
    static __attribute__((noinline)) TARGET void NAME(backward_##WIDTH)(int64_t rows, const float *restrict g, int64_t ldg, const float *restrict y, int64_t kp, \
                                                                        float *restrict zt, int add, int asked, uintptr_t next, int64_t next_ld) { \
        NAME(vec) sum[GROUP][WIDTH]; \
        UNROLL for (int c = 0; c < GROUP; c++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                sum[c][w] = add ? *(const NAME(vec) *)(zt + (c * 3 + w) * VECTOR) : (NAME(vec)){0}; \
            } \
        } \
        for (int64_t r = 0; r < rows; r++) { \
            NAME(vec) row[WIDTH]; \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                row[w] = *(const NAME(vec) *)(g + r * ldg + w * VECTOR); \
                if (w < asked) { \
                    __builtin_prefetch((const void *)(next + sizeof(float) * (r * next_ld + w * VECTOR)), 0, 2); \
                } \
            } \
            UNROLL for (int c = 0; c < GROUP; c++) { \
                const NAME(vec) of_y = y[r * kp + c] - (NAME(vec)){0}; \
                UNROLL for (int w = 0; w < WIDTH; w++) { \
                    MULTIPLY_ADD(sum[c][w], of_y, row[w]) \
                } \
            } \
        } \
        UNROLL for (int c = 0; c < GROUP; c++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                *(NAME(vec) *)(zt + (c * 3 + w) * VECTOR) = sum[c][w]; \
            } \
        } \
    }
BACKWARD(1)
BACKWARD(2)
BACKWARD(3)

/* The elements of G's rows that are less than a vector, with zeros. */
static TARGET void NAME(pad)(const step *s, const float *g, int64_t rows, int64_t j, float *tail) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t lane = 0; lane < VECTOR; lane++) {
            tail[r * VECTOR + lane] = j + lane < s->n ? g[r * s->ldg + j + lane] : 0;
        }
    }
}

/* The sums of GROUP vectors' lanes: neighbours are added, of two vectors in one, until a vector has all sums. */
static inline __attribute__((always_inline)) TARGET void NAME(add_lanes)(const float *lanes, float *y) {
    NAME(lanes) even, odd;
    UNROLL for (int i = 0; i < VECTOR; i++) {
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
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
                sum[c] = SHUFFLE(one, other, even) + SHUFFLE(one, other, odd);
            }
        }
    }
    memcpy(y, &sum[0], GROUP * sizeof(float));
}

/* Y of a block's rows, for which lanes has room for a group. */
static TARGET void NAME(rows_of_y)(const step *s, const float *g, int64_t rows, const float *tail, float *lanes, float *y) {
    for (int64_t group = 0; group < s->kp / GROUP; group++) {
        for (int64_t j = 0, vectors; j < s->n; j += vectors * VECTOR) {
            vectors = panel_vectors(s, j);
            const int whole = j + VECTOR <= s->n;
            const float *vt = s->vt + j * s->kp + group * vectors * GROUP * VECTOR, *from = whole ? g + j : tail;
            const int64_t ld = whole ? s->ldg : VECTOR;
            int64_t r = 0;
            for (; r + 3 <= rows; r += 3) {
                NAME(forward_3)(from + r * ld, ld, vt, vectors, lanes + r * GROUP * VECTOR, j > 0, group == 0 ? s->ahead.rows * ld : 0);
            }
            if (r < rows) {
                (rows - r == 2 ? NAME(forward_2) : NAME(forward_1))(from + r * ld, ld, vt, vectors, lanes + r * GROUP * VECTOR, j > 0, group == 0 ? s->ahead.rows * ld : 0);
            }
        }
        for (int64_t r = 0; r < rows; r++) {
            NAME(add_lanes)(lanes + r * GROUP * VECTOR, y + r * s->kp + group * GROUP);
        }
    }
}

/* What a block adds to Zᵀ; whether another block follows. */
static TARGET void NAME(add_to_z)(const step *s, const float *g, int64_t rows, const float *tail, const float *y, float *zt, int add, int more) {
    const uintptr_t after = (uintptr_t)g + sizeof(float) * rows * s->ldg;
    int64_t row = 0, column = 0; /* of what follows, where it is asked for line after line */
    for (int64_t j = 0; j < s->np; j += 3 * VECTOR) {
        const uintptr_t next = after + sizeof(float) * (s->ahead.across ? j : row * s->ldg + column);
        const int64_t next_ld = s->ahead.across ? s->ldg : VECTOR;
        for (column += rows * VECTOR; column >= s->n; column -= s->n) {
            row++;
        }
        for (int64_t group = 0; group < s->kp / GROUP; group++) {
            const float *of_y = y + group * GROUP;
            const int asked = !more || group > 0 ? 0 : s->ahead.across ? 3 : 1;
            float *to = zt + (j / (3 * VECTOR) * (s->kp / GROUP) + group) * GROUP * 3 * VECTOR;
            const int64_t whole = s->n - j >= 3 * VECTOR ? 3 : (s->n - j) / VECTOR;
            switch (whole) {
                case 3: NAME(backward_3)(rows, g + j, s->ldg, of_y, s->kp, to, add, asked, next, next_ld); break;
                case 2: NAME(backward_2)(rows, g + j, s->ldg, of_y, s->kp, to, add, asked, next, next_ld); break;
                case 1: NAME(backward_1)(rows, g + j, s->ldg, of_y, s->kp, to, add, asked, next, next_ld); break;
            }
            if (whole < 3 && s->n % VECTOR != 0) {
                NAME(backward_1)(rows, tail, VECTOR, of_y, s->kp, to + whole * VECTOR, add, 0, 0, 0);
            }
        }
    }
}

/* The rows from one to another: their Y, what they add to Zᵀ, and their ‖G‖² where it is wanted, while they are in the cache. */
static TARGET double NAME(run)(const step *s, int64_t from, int64_t to, float *zt, float *memory) {
    double norm2 = 0;
    float *y = memory, *lanes = y + s->rows * s->kp, *tail = lanes + s->rows * GROUP * VECTOR;
    for (int64_t i = from; i < to; i += s->rows) {
        const int64_t rows = to - i < s->rows ? to - i : s->rows;
        const float *g = s->g + i * s->ldg;
        NAME(pad)(s, g, rows, s->n / VECTOR * VECTOR, tail);
        NAME(rows_of_y)(s, g, rows, tail, lanes, y);
        for (int64_t r = 0; r < rows; r++) {
            memcpy(s->y + (i + r) * s->ldy, y + r * s->kp, s->k * sizeof(float));
            norm2 += s->dot ? s->dot(g + r * s->ldg, g + r * s->ldg, s->n) : 0;
        }
        if (zt) {
            NAME(add_to_z)(s, g, rows, tail, y, zt, i > from, i + rows < to);
        }
    }
    return norm2;
}

/* Z's rows from one tile to another: the parts' sums, in order. */
static TARGET void NAME(add_parts)(const step *s, int64_t from, int64_t to) {
    const int64_t tile = GROUP * 3 * VECTOR;
    const float *sums = s->zt + from / (3 * VECTOR) * (s->kp / GROUP) * tile;
    for (int64_t j = from; j < to; j += 3 * VECTOR) {
        const int64_t rows = s->n - j < 3 * VECTOR ? s->n - j : 3 * VECTOR;
        for (int64_t group = 0; group < s->kp / GROUP; group++, sums += tile) {
            float sum[GROUP][3 * VECTOR]; /* of the last tile some are of no column, and have any value */
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

static const power_variant NAME(power) = {VECTOR, GROUP, NAME(transpose_v), NAME(run), NAME(add_parts)};

#undef FORWARD
#undef BACKWARD
#undef UNROLL
#undef NAME
#undef TARGET
#undef VECTOR
#undef GROUP
#undef MULTIPLY_ADD
