/* The arithmetic of the power step for one instruction set; included by power_step.c once for each. Expects

     NAME(x)    x with the variant's suffix
     TARGET     the function attribute that allows its instructions
     VECTOR     floats in a vector
     TILE1 … 4  rows of a tile 1 … 4 vectors wide (0: no such tile), as many as the registers hold
     WIDEST     vectors in the widest tile

   A tile is rows×(width·VECTOR) sums in registers: C += A·B with A[r, p] at a[r·rs + p·ps]. G·V and Gᵀ·Y are the same
   tile on the packed block of G with rs and ps exchanged. */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline)) TARGET

#define TILE(ROWS, WIDTH) \
    INLINE void NAME(tile_##WIDTH)(const float *restrict a, const int64_t rs, const int64_t ps, int64_t count, const float *restrict b, \
                            int64_t ldb, float *c, int64_t ldc, int add) { \
        NAME(vec) sum[ROWS][WIDTH]; \
        UNROLL for (int r = 0; r < ROWS; r++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                sum[r][w] = add ? *(const NAME(vec) *)(c + r * ldc + w * VECTOR) : (NAME(vec)){0}; \
            } \
        } \
        for (int64_t p = 0; p < count; p++) { \
            NAME(vec) row[WIDTH]; \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                row[w] = *(const NAME(vec) *)(b + w * VECTOR); \
            } \
            UNROLL for (int r = 0; r < ROWS; r++) { \
                UNROLL for (int w = 0; w < WIDTH; w++) { \
                    sum[r][w] += a[r * rs] * row[w]; \
                } \
            } \
            a += ps; \
            b += ldb; \
        } \
        UNROLL for (int r = 0; r < ROWS; r++) { \
            UNROLL for (int w = 0; w < WIDTH; w++) { \
                *(NAME(vec) *)(c + r * ldc + w * VECTOR) = sum[r][w]; \
            } \
        } \
    }
#define UNROLL _Pragma("GCC unroll 16")

TILE(TILE1, 1)
TILE(TILE2, 2)
#if WIDEST > 2
TILE(TILE3, 3)
#endif
#if WIDEST > 3
TILE(TILE4, 4)
#endif

/* Y (block×kp) += the packed panel · V, columns [0, cols) of the panel. */
#define FORWARD(WIDTH) \
    static __attribute__((noinline)) TARGET void NAME(forward_##WIDTH)(int64_t block, const float *packed, int64_t cols, const float *v, \
            int64_t ldv, float *y, int64_t kp, int add) { \
        for (int64_t i = 0; i < block; i += TILE##WIDTH) { \
            NAME(tile_##WIDTH)(packed + i * PANEL, PANEL, 1, cols, v, ldv, y + i * kp, kp, add); \
        } \
    }

/* Z (PANEL×kp, its first cols rows) += the packed panelᵀ · Y. */
#define BACKWARD(WIDTH) \
    static __attribute__((noinline)) TARGET void NAME(backward_##WIDTH)(int64_t block, const float *packed, int64_t cols, const float *y, \
            int64_t kp, float *z, int64_t ldz, int add) { \
        int64_t j = 0; \
        for (; j + TILE##WIDTH <= cols; j += TILE##WIDTH) { \
            NAME(tile_##WIDTH)(packed + j, 1, PANEL, block, y, kp, z + j * ldz, ldz, add); \
        } \
        if (j < cols) { \
            float edge[TILE##WIDTH * WIDTH * VECTOR]; \
            NAME(tile_##WIDTH)(packed + j, 1, PANEL, block, y, kp, edge, WIDTH * VECTOR, 0); \
            for (int64_t r = 0; r < cols - j; r++) { \
                float *to = z + (j + r) * ldz; \
                for (int64_t c = 0; c < WIDTH * VECTOR; c++) { \
                    to[c] = add ? to[c] + edge[r * WIDTH * VECTOR + c] : edge[r * WIDTH * VECTOR + c]; \
                } \
            } \
        } \
    }

FORWARD(1)
BACKWARD(1)
FORWARD(2)
BACKWARD(2)
#if WIDEST > 2
FORWARD(3)
BACKWARD(3)
#endif
#if WIDEST > 3
FORWARD(4)
BACKWARD(4)
#endif

/* Vectors in the next tile of a row that has some left: no lone vector at the end, whose tile is the slowest. */
INLINE int NAME(width)(int64_t vectors) {
    return vectors <= WIDEST ? (int)vectors : vectors % WIDEST == 1 && WIDEST > 2 ? WIDEST - 1 : WIDEST;
}

TARGET static void NAME(pack)(const float *g, int64_t ldg, int64_t rows, int64_t block, int64_t cols, float *packed) {
    if (cols == PANEL) {
        for (int64_t i = 0; i < rows; i++) {
            UNROLL for (int c = 0; c < PANEL; c += VECTOR) {
                *(NAME(vec) *)(packed + i * PANEL + c) = *(const NAME(vec) *)(g + i * ldg + c);
            }
        }
    } else {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t c = 0; c < PANEL; c++) {
                packed[i * PANEL + c] = c < cols ? g[i * ldg + c] : 0;
            }
        }
    }
    for (int64_t i = rows * PANEL; i < block * PANEL; i++) {
        packed[i] = 0;
    }
}

TARGET static void NAME(run)(const share *s) {
    const int64_t panels = (s->n + PANEL - 1) / PANEL;
    for (int64_t i = s->from; i < s->to; i += s->block) {
        const int64_t rows = s->to - i < s->block ? s->to - i : s->block;
        /* padding the last block's rows costs at most a tile's worth of work */
        const int64_t block = rows < s->block ? (rows + LARGEST - 1) / LARGEST * LARGEST : s->block;
        const float *g = s->g + i * s->ldg;
        for (int64_t p = 0; p < panels; p++) {
            const int64_t j = p * PANEL;
            const int64_t cols = s->n - j < PANEL ? s->n - j : PANEL;
            NAME(pack)(g + j, s->ldg, rows, block, cols, s->packed);
            for (int64_t w = 0; w < s->kp / VECTOR;) {
                const int width = NAME(width)(s->kp / VECTOR - w);
                const float *v = s->v + j * s->ldv + w * VECTOR;
                float *y = s->yblock + w * VECTOR;
                switch (width) {
                    case 1: NAME(forward_1)(block, s->packed, cols, v, s->ldv, y, s->kp, p > 0); break;
                    case 2: NAME(forward_2)(block, s->packed, cols, v, s->ldv, y, s->kp, p > 0); break;
#if WIDEST > 2
                    case 3: NAME(forward_3)(block, s->packed, cols, v, s->ldv, y, s->kp, p > 0); break;
#endif
#if WIDEST > 3
                    case 4: NAME(forward_4)(block, s->packed, cols, v, s->ldv, y, s->kp, p > 0); break;
#endif
                }
                w += width;
            }
        }
        for (int64_t r = 0; r < rows; r++) {
            memcpy(s->y + (i + r) * s->ldy, s->yblock + r * s->kp, s->k * sizeof(float));
        }
        if (!s->z) {
            continue;
        }
        /* A row of zeros times a NaN of V is no zero; it must not reach Z. */
        for (int64_t c = rows * s->kp; c < block * s->kp; c++) {
            s->yblock[c] = 0;
        }
        for (int64_t p = 0; p < panels; p++) {
            const int64_t j = p * PANEL;
            const int64_t cols = s->n - j < PANEL ? s->n - j : PANEL;
            const int add = i > s->from;
            NAME(pack)(g + j, s->ldg, rows, block, cols, s->packed);
            for (int64_t w = 0; w < s->kp / VECTOR;) {
                const int width = NAME(width)(s->kp / VECTOR - w);
                const float *y = s->yblock + w * VECTOR;
                float *z = s->z + j * s->ldz + w * VECTOR;
                switch (width) {
                    case 1: NAME(backward_1)(block, s->packed, cols, y, s->kp, z, s->ldz, add); break;
                    case 2: NAME(backward_2)(block, s->packed, cols, y, s->kp, z, s->ldz, add); break;
#if WIDEST > 2
                    case 3: NAME(backward_3)(block, s->packed, cols, y, s->kp, z, s->ldz, add); break;
#endif
#if WIDEST > 3
                    case 4: NAME(backward_4)(block, s->packed, cols, y, s->kp, z, s->ldz, add); break;
#endif
                }
                w += width;
            }
        }
    }
}

static const variant NAME(variant) = {VECTOR, LARGEST, NAME(run)};

#undef TILE
#undef FORWARD
#undef BACKWARD
#undef INLINE
#undef UNROLL
#undef NAME
#undef TARGET
#undef VECTOR
#undef TILE1
#undef TILE2
#undef TILE3
#undef TILE4
#undef WIDEST
#undef LARGEST
