/* The arithmetic of a product for one instruction set; included by product.c once for each. Expects

     NAME(x)              x with the variant's suffix
     TARGET               the function attribute that allows its instructions
     VECTOR               floats in a vector
     TILE                 the rows of its largest tile, two vectors wide: 4, 6 or 14, as many as the registers hold, at most VECTOR
     AT_A_TIME            the most products of a sum that are made at a time, up to DEPTH
     OF_CACHE             what a block of B takes, in second-level caches
     MULTIPLY_ADD(…)      SUM += A·B for the tile's row ROW */

typedef float NAME(vec) __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));
typedef int32_t NAME(lanes) __attribute__((vector_size(4 * VECTOR)));

#define INLINE static inline __attribute__((always_inline)) TARGET

/* Some products of each sum of a tile. */
INLINE void NAME(products)(const int ROWS, const int WIDTH, const int COUNT, const float *restrict a, const float *restrict b, NAME(vec) sum[TILE][2]) {
    UNROLL for (int p = 0; p < COUNT; p++) {
        NAME(vec) of_b[2];
        UNROLL for (int w = 0; w < WIDTH; w++) {
            of_b[w] = *(const NAME(vec) *)(b + (p * WIDTH + w) * VECTOR);
        }
        UNROLL for (int r = 0; r < ROWS; r++) {
            UNROLL for (int w = 0; w < WIDTH; w++) {
                MULTIPLY_ADD(r, sum[r][w], a[p * ROWS + r], of_b[w]);
            }
        }
    }
}

/* C = α·A·B + β·C for ROWS×(WIDTH·VECTOR) of C from a packed tile of A and a packed sliver of B. While the sums are made, their
   places in C are fetched row by row. */
INLINE void NAME(tile)(const int ROWS, const int WIDTH, int64_t depth, float alpha, const float *restrict a, const float *restrict b, float beta,
                       float *restrict c, int64_t ldc) {
    NAME(vec) sum[TILE][2];
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            sum[r][w] = (NAME(vec)){0};
        }
    }
    const int64_t between = depth / ROWS / AT_ONCE * AT_ONCE;
    for (int64_t row = 0; row <= ROWS; row++) {
        int64_t now = row < ROWS ? between : depth - ROWS * between;
        if (row < ROWS) {
            __builtin_prefetch(c + row * ldc, 1, 3);
            __builtin_prefetch(c + row * ldc + WIDTH * VECTOR - 1, 1, 3);
        }
        for (; now >= AT_ONCE; now -= AT_ONCE) {
            NAME(products)(ROWS, WIDTH, AT_ONCE, a, b, sum);
            a += AT_ONCE * ROWS;
            b += AT_ONCE * WIDTH * VECTOR;
        }
        for (; now > 0; now--) {
            NAME(products)(ROWS, WIDTH, 1, a, b, sum);
            a += ROWS;
            b += WIDTH * VECTOR;
        }
    }
    UNROLL for (int r = 0; r < ROWS; r++) {
        UNROLL for (int w = 0; w < WIDTH; w++) {
            NAME(vec) *to = (NAME(vec) *)(c + r * ldc + w * VECTOR);
            *to = beta == 0 ? alpha * sum[r][w] : alpha * sum[r][w] + beta * *to;
        }
    }
}

#define ROWS_ARE(ROWS) case ROWS: NAME(tile)(ROWS, WIDTH, depth, alpha, a, b, beta, c, ldc); break;
#if TILE > 4
#define MORE_ROWS ROWS_ARE(5) ROWS_ARE(6)
#else
#define MORE_ROWS
#endif
#if TILE > 6
#define MOST_ROWS ROWS_ARE(7) ROWS_ARE(8) ROWS_ARE(9) ROWS_ARE(10) ROWS_ARE(11) ROWS_ARE(12) ROWS_ARE(13) ROWS_ARE(14)
#else
#define MOST_ROWS
#endif
#define TILES(FUNCTION) \
    static __attribute__((noinline)) TARGET void NAME(FUNCTION)(int64_t rows, int64_t depth, float alpha, const float *a, const float *b, float beta, \
                                                                float *c, int64_t ldc) { \
        switch (rows) { ROWS_ARE(1) ROWS_ARE(2) ROWS_ARE(3) ROWS_ARE(4) MORE_ROWS MOST_ROWS } \
    }
#define WIDTH 1
TILES(narrow_tile)
#undef WIDTH
#define WIDTH 2
TILES(wide_tile)
#undef WIDTH

/* Transposes VECTOR vectors: shuffling the first half's with the second's, element by element, log₂(VECTOR) times. */
INLINE void NAME(transpose)(NAME(vec) *x) {
    NAME(lanes) first, second;
    for (int i = 0; i < VECTOR; i++) {
        first[i] = i / 2 + i % 2 * VECTOR;
        second[i] = first[i] + VECTOR / 2;
    }
    UNROLL for (int done = 1; done < VECTOR; done *= 2) {
        NAME(vec) y[VECTOR];
        UNROLL for (int i = 0; i < VECTOR / 2; i++) {
            y[2 * i] = SHUFFLE(x[i], x[i + VECTOR / 2], first);
            y[2 * i + 1] = SHUFFLE(x[i], x[i + VECTOR / 2], second);
        }
        UNROLL for (int i = 0; i < VECTOR; i++) {
            x[i] = y[i];
        }
    }
}

/* Packs a row of a sliver, zeros beyond its columns. */
INLINE void NAME(pack_row)(const float *b, int64_t columns, float *to) {
    int64_t j = 0;
    for (; j + VECTOR <= columns; j += VECTOR) {
        *(NAME(vec) *)(to + j) = *(const NAME(vec) *)(b + j);
    }
    for (; j < columns || j % VECTOR; j++) {
        to[j] = j < columns ? b[j] : 0;
    }
}

/* Packs depth rows of a block of B, sliver by sliver: row after row of each. */
static TARGET void NAME(pack_block)(const float *b, int64_t ldb, int64_t columns, int64_t depth, float *to) {
    for (int64_t p = 0; p < depth; p++) {
        int64_t j = 0;
        for (; j + 2 * VECTOR <= columns; j += 2 * VECTOR) {
            NAME(pack_row)(b + p * ldb + j, 2 * VECTOR, to + j * depth + p * 2 * VECTOR);
        }
        if (j < columns) {
            NAME(pack_row)(b + p * ldb + j, columns - j, to + j * depth + p * round_up(columns - j, VECTOR));
        }
    }
}

/* The same for Bᵀ. */
static TARGET void NAME(pack_block_transposed)(const float *b, int64_t ldb, int64_t columns, int64_t depth, float *to) {
    for (int64_t j = 0; j < columns; j += VECTOR) {
        const int64_t sliver = j / (2 * VECTOR) * 2 * VECTOR, width = least(round_up(columns - sliver, VECTOR), 2 * VECTOR);
        float *at = to + sliver * depth + j - sliver;
        int64_t p = 0;
        for (; j + VECTOR <= columns && p + VECTOR <= depth; p += VECTOR) {
            NAME(vec) x[VECTOR];
            UNROLL for (int i = 0; i < VECTOR; i++) {
                x[i] = *(const NAME(vec) *)(b + (j + i) * ldb + p);
            }
            NAME(transpose)(x);
            UNROLL for (int i = 0; i < VECTOR; i++) {
                *(NAME(vec) *)(at + (p + i) * width) = x[i];
            }
        }
        for (; p < depth; p++) {
            for (int64_t i = 0; i < VECTOR; i++) {
                at[p * width + i] = j + i < columns ? b[(j + i) * ldb + p] : 0;
            }
        }
    }
}

/* How many of the rows that are left of a band make the next tile: one of few is slow, so its last two share theirs. */
static inline int64_t NAME(next_tile)(int64_t left) {
    return left <= TILE ? left : left < TILE + TILE / 2 ? (left + 1) / 2 : TILE;
}

/* Packs depth columns of rows of A, tile by tile: column after column of each. */
static TARGET void NAME(pack_along)(const float *a, int64_t lda, int64_t rows, int64_t depth, float *to) {
    for (int64_t r = 0, tile; r < rows; r += tile) {
        tile = NAME(next_tile)(rows - r);
        int64_t p = 0;
        for (; p + VECTOR <= depth; p += VECTOR) {
            NAME(vec) x[VECTOR];
            UNROLL for (int i = 0; i < VECTOR; i++) {
                x[i] = i < tile ? *(const NAME(vec) *)(a + (r + i) * lda + p) : (NAME(vec)){0};
            }
            NAME(transpose)(x);
            UNROLL for (int i = 0; i < VECTOR; i++) {
                *(NAME(vec) *)(to + r * depth + (p + i) * tile) = x[i]; /* what is beyond the tile is written over by the next */
            }
        }
        for (; p < depth; p++) {
            for (int64_t i = 0; i < tile; i++) {
                to[r * depth + p * tile + i] = a[(r + i) * lda + p];
            }
        }
    }
}

/* The same for Aᵀ, whose rows, columns of A, are read for all tiles; they have so many more elements than the tiles' rows. */
static TARGET void NAME(pack_across)(const float *a, int64_t lda, int64_t rows, int64_t more, int64_t depth, float *to) {
    for (int64_t p = 0; p < depth; p++) {
        for (int64_t r = 0, tile; r < rows; r += tile) {
            tile = NAME(next_tile)(rows - r);
            const float *from = a + p * lda + r;
            float *at = to + r * depth + p * tile;
            if (r + VECTOR <= rows + more && p * tile + VECTOR <= depth * tile) { /* neither read nor written too far */
                *(NAME(vec) *)at = *(const NAME(vec) *)from;
            } else {
                for (int64_t i = 0; i < tile; i++) {
                    at[i] = from[i];
                }
            }
        }
    }
}

/* A tile of C that is not written where it is summed: its last columns are less than a vector. */
static TARGET void NAME(edge_tile)(const product *s, int64_t rows, int64_t depth, const float *a, const float *b, float beta, float *c, int64_t columns) {
    float edge[TILE * 2 * VECTOR];
    const int64_t width = round_up(columns, VECTOR);
    for (int64_t r = 0; r < rows && beta != 0; r++) {
        for (int64_t j = 0; j < width; j++) {
            edge[r * width + j] = j < columns ? c[r * s->ldc + j] : 0;
        }
    }
    (width == VECTOR ? NAME(narrow_tile) : NAME(wide_tile))(rows, depth, s->alpha, a, b, beta, edge, width);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < columns; j++) {
            c[r * s->ldc + j] = edge[r * width + j];
        }
    }
}

/* C's rows from i0 to i1 and columns from j0 to j1, a block of B. */
static TARGET void NAME(multiply_block)(const product *s, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *packed_a) {
    float *packed_b = packed_a + PACKED_A;
    const int64_t band = (s->transpose_a ? TILES_ACROSS : TILES_ALONG) * TILE;
    for (int64_t p = 0; p < s->k; p += s->depth) {
        const int64_t depth = least(s->depth, s->k - p);
        const float beta = p == 0 ? s->beta : 1;
        if (s->transpose_b) {
            NAME(pack_block_transposed)(s->b + j0 * s->ldb + p, s->ldb, j1 - j0, depth, packed_b);
        } else {
            NAME(pack_block)(s->b + p * s->ldb + j0, s->ldb, j1 - j0, depth, packed_b);
        }
        for (int64_t i = i0; i < i1; i += band) {
            const int64_t rows = least(band, i1 - i);
            if (s->transpose_a) {
                NAME(pack_across)(s->a + p * s->lda + i, s->lda, rows, s->m - i - rows, depth, packed_a);
            } else {
                NAME(pack_along)(s->a + i * s->lda + p, s->lda, rows, depth, packed_a);
            }
            for (int64_t r = 0, tile; r < rows; r += tile) {
                tile = NAME(next_tile)(rows - r);
                const float *a = packed_a + r * depth;
                for (int64_t j = j0; j < j1; j += 2 * VECTOR) {
                    const float *b = packed_b + (j - j0) * depth;
                    float *c = s->c + (i + r) * s->ldc + j;
                    const int64_t columns = least(2 * VECTOR, j1 - j);
                    if (columns % VECTOR) {
                        NAME(edge_tile)(s, tile, depth, a, b, beta, c, columns);
                    } else {
                        (columns == VECTOR ? NAME(narrow_tile) : NAME(wide_tile))(tile, depth, s->alpha, a, b, beta, c, s->ldc);
                    }
                }
            }
        }
    }
}

static const product_variant NAME(product) = {TILE, 2 * VECTOR, VECTOR, AT_A_TIME, MOST_OF_BLOCK, OF_CACHE, sizeof(float), 0.25, 0.5, NAME(multiply_block)};

#undef INLINE
#undef ROWS_ARE
#undef MORE_ROWS
#undef MOST_ROWS
#undef TILES
#undef MULTIPLY_ADD
#undef NAME
#undef TARGET
#undef VECTOR
#undef TILE
#undef AT_A_TIME
#undef OF_CACHE
