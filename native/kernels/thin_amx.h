/* The columns' form of thin products, C = S·L, for AMX; included by thin.c, after AVX-512's, which multiplies what tiles don't take.
 *
 * S is packed as terms (amx.h). L is read where it is, by squares of 32 rows and 32 columns: one is split into its terms while tiles multiply those of the
 * one before, for neither waits for the other's instructions. A band is 32 of C's columns; all bands of a share meet 32 rows of L before the next 32.
 */
#include "amx.h"

#include <stdatomic.h>

/* The most bands of a share: 32 rows of its columns stay in the second-level cache. */
enum { MOST_BANDS = 64 };

/* Lines that are asked for with each square, of some rows side by side: the processor's own prefetching is then ahead in each of them.
   Asked for row after row they take longer than without asking, and with more sums than a pair's, all asking does. */
enum { ASKED = 64, ROWS_ASKED = 8 };

/* The sums of a pair of tiles by a pair. */
enum { PAIR_SUMS = PAIR * PAIR };

typedef struct {
    const thin *s;          /* the products that are made now */
    int64_t pairs;          /* of tiles of S's rows */
    int64_t chunks;         /* of a sum's products */
    int64_t from, to;       /* the bands that are worked on now */
    int shares;
    char *terms;            /* of S: for each chunk its pairs */
    _Atomic uint32_t largest_s, largest_l;
    float *sums;            /* for each of these bands its pairs */
} amx_thin;

static AMX_TARGET float *sums_of(const amx_thin *j, int64_t band, int64_t pair) {
    return j->sums + ((band - j->from) * j->pairs + pair) * PAIR_SUMS;
}

/* A square of L that is split meanwhile, and lines that are asked for. */
typedef struct {
    const float *square;    /* NULL: none */
    int64_t ld;
    char *to;
    uintptr_t ask;          /* 0: none */
    int64_t ask_ld;         /* bytes */
} meanwhile;

/* A sixth of that: a tile's row has the elements of the square's rows i and i + 16 in turns. */
AMX_INLINE void do_meanwhile(const int sixth, const meanwhile *w, __m512i *largest) {
    if (!w->square) {
        return;
    }
    AMX_UNROLL for (int i = SIDE * sixth / 6; i < SIDE * (sixth + 1) / 6; i++) {
        const float *upper = w->square + i * w->ld, *lower = w->square + (i + SIDE) * w->ld;
        const __m512 x[4] = {_mm512_loadu_ps(upper), _mm512_loadu_ps(upper + SIDE), _mm512_loadu_ps(lower), _mm512_loadu_ps(lower + SIDE)};
        __m512i term[4][TERMS];
        AMX_UNROLL for (int e = 0; e < 4; e++) {
            split(x[e], term[e]);
            *largest = larger(*largest, x[e]);
        }
        AMX_UNROLL for (int t = 0; t < TERMS; t++) {
            char *to = w->to + t * TERM_BYTES + i * 64;
            _mm512_store_si512(to, in_turns(term[0][t], term[2][t]));
            _mm512_store_si512(to + TILE_BYTES, in_turns(term[1][t], term[3][t]));
        }
        if (w->ask) {
            AMX_UNROLL for (int l = ASKED / SIDE * i; l < ASKED / SIDE * (i + 1); l++) {
                __builtin_prefetch((const void *)(w->ask + l % ROWS_ASKED * w->ask_ld + l / ROWS_ASKED * 64), 0, 2);
            }
        }
    }
}

/* What multiply_chunks does for one chunk and two tiles of columns, added to sums. */
#define LOAD_A(TERM) \
    _tile_loadd(4, a + (TERM) * TERM_BYTES, 64); \
    if (rows > 1) { \
        _tile_loadd(5, a + (TERM) * TERM_BYTES + TILE_BYTES, 64); \
    }
#define LOAD_B(TERM) \
    _tile_loadd(6, b + (TERM) * TERM_BYTES, 64); \
    _tile_loadd(7, b + (TERM) * TERM_BYTES + TILE_BYTES, 64);
#define MULTIPLY(SIXTH) \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    if (rows > 1) { \
        _tile_dpbf16ps(2, 5, 6); \
        _tile_dpbf16ps(3, 5, 7); \
    } \
    do_meanwhile(SIXTH, w, &largest);
#define EACH_SUM(WHAT) \
    WHAT(0, sums, PAIR * sizeof(float)); \
    WHAT(1, sums + SIDE, PAIR * sizeof(float)); \
    if (rows > 1) { \
        WHAT(2, sums + SIDE * PAIR, PAIR * sizeof(float)); \
        WHAT(3, sums + SIDE * PAIR + SIDE, PAIR * sizeof(float)); \
    }
AMX_INLINE __m512i add_square(const int rows, const char *a, const char *b, float *sums, const meanwhile *w, __m512i largest) {
    EACH_SUM(_tile_loadd)
    LOAD_A(1)
    LOAD_B(1)
    MULTIPLY(0)
    LOAD_B(0)
    MULTIPLY(1)
    LOAD_A(2)
    MULTIPLY(2)
    LOAD_A(0)
    MULTIPLY(3)
    LOAD_B(1)
    MULTIPLY(4)
    LOAD_B(2)
    MULTIPLY(5)
    EACH_SUM(_tile_stored)
    return largest;
}
#undef LOAD_A
#undef LOAD_B
#undef MULTIPLY
#undef EACH_SUM

/* Functions of their own: see product_amx.h. They return a whole vector and so leave its upper part in use, which instructions older than AVX would wait for:
   whoever calls them is compiled for AMX, and what that calls. */
static __attribute__((noinline)) AMX_TARGET __m512i add_square_one(const char *s, const char *square, float *sums, const meanwhile *w, __m512i largest) {
    return add_square(1, s, square, sums, w, largest);
}

static __attribute__((noinline)) AMX_TARGET __m512i add_square_two(const char *s, const char *square, float *sums, const meanwhile *w, __m512i largest) {
    return add_square(2, s, square, sums, w, largest);
}

static __attribute__((noinline)) AMX_TARGET __m512i split_first(const meanwhile *w) {
    __m512i largest = _mm512_setzero_si512();
    AMX_UNROLL for (int sixth = 0; sixth < 6; sixth++) {
        do_meanwhile(sixth, w, &largest);
    }
    return largest;
}

static void keep_larger(_Atomic uint32_t *largest, uint32_t x) {
    uint32_t known = atomic_load(largest);
    while (known < x && !atomic_compare_exchange_weak(largest, &known, x)) {
    }
}

/* S's terms for a part of the chunks. */
static AMX_TARGET void pack_terms(const void *job, int part, int member) {
    (void)member;
    amx_thin *j = (amx_thin *)job;
    const thin *s = j->s;
    const int transpose = s->across_a != 1;
    __m512i largest = _mm512_setzero_si512();
    for (int64_t c = j->chunks * part / s->parts; c < j->chunks * (part + 1) / s->parts; c++) {
        for (int64_t q = 0; q < j->pairs; q++) {
            const float *a = s->a + c * CHUNK * s->across_a + q * PAIR * s->down_a;
            largest = pack_rows(a, transpose ? s->across_a : s->down_a, transpose, least(PAIR, s->m - q * PAIR), s->k - c * CHUNK,
                                j->terms + (c * j->pairs + q) * CHUNK_BYTES, largest);
        }
    }
    keep_larger(&j->largest_s, _mm512_reduce_max_epu32(largest));
}

/* Has a square split meanwhile: where it lies, or a copy with zeros for what is beyond L. */
static AMX_TARGET void split_meanwhile(const amx_thin *j, int64_t band, int64_t chunk, float *copy, meanwhile *w) {
    const thin *s = j->s;
    const int64_t rows = least(CHUNK, s->k - chunk * CHUNK), columns = least(PAIR, s->n - band * PAIR);
    const float *l = s->b + chunk * CHUNK * s->down_b + band * PAIR;
    w->square = l;
    w->ld = s->down_b;
    if (rows < PAIR || columns < PAIR) {
        memset(copy, 0, PAIR_SUMS * sizeof(float));
        for (int64_t r = 0; r < rows; r++) {
            memcpy(copy + r * PAIR, l + r * s->down_b, columns * sizeof(float));
        }
        w->square = copy;
        w->ld = PAIR;
    }
}

/* Where the lines are that are asked for with a band's square: of the next chunk's rows, from the share's first band on. */
static AMX_TARGET uintptr_t asked(const amx_thin *j, int64_t from, int64_t to, int64_t band, int64_t chunk) {
    const int64_t lines = (to - from) * PAIR / LINE, at = (band - from) * ASKED / ROWS_ASKED;
    const int64_t row = (chunk + 1) * CHUNK + at / lines * ROWS_ASKED;
    return j->pairs == 1 && row + ROWS_ASKED <= j->s->k ? (uintptr_t)(j->s->b + row * j->s->down_b + from * PAIR + at % lines * LINE) : 0;
}

/* The sums of a share of the bands. */
static AMX_TARGET void sum_share(const void *job, int share, int member) {
    (void)member;
    amx_thin *j = (amx_thin *)job;
    const thin *s = j->s;
    const int64_t from = j->from + (j->to - j->from) * share / j->shares, to = j->from + (j->to - j->from) * (share + 1) / j->shares;
    if (from == to) {
        return;
    }
    _Alignas(64) char terms[2][CHUNK_BYTES];
    float copy[PAIR_SUMS];
    memset(sums_of(j, from, 0), 0, (to - from) * j->pairs * PAIR_SUMS * sizeof(float));
    configure_tiles();
    const meanwhile nothing = {0};
    meanwhile w = {.to = terms[0], .ask_ld = s->down_b * (int64_t)sizeof(float)};
    split_meanwhile(j, from, 0, copy, &w);
    __m512i largest = split_first(&w);
    for (int64_t chunk = 0; chunk < j->chunks; chunk++) {
        for (int64_t band = from; band < to; band++) {
            const char *now = w.to;
            const int last = band + 1 == to;
            w.to = terms[now == terms[0]];
            if (chunk + last < j->chunks) {
                split_meanwhile(j, last ? from : band + 1, chunk + last, copy, &w);
                w.ask = asked(j, from, to, band, chunk);
            } else {
                w.square = NULL;
            }
            for (int64_t q = 0; q < j->pairs; q++) {
                largest = (s->m - q * PAIR > SIDE ? add_square_two : add_square_one)(j->terms + (chunk * j->pairs + q) * CHUNK_BYTES, now,
                                                                                    sums_of(j, band, q), q == 0 ? &w : &nothing, largest);
            }
        }
    }
    _tile_release();
    keep_larger(&j->largest_l, _mm512_reduce_max_epu32(largest));
}

/* C of a share of the bands. */
static AMX_TARGET void finish_share(const void *job, int share, int member) {
    (void)member;
    const amx_thin *j = job;
    const int64_t from = j->from + (j->to - j->from) * share / j->shares, to = j->from + (j->to - j->from) * (share + 1) / j->shares;
    for (int64_t band = from; band < to; band++) {
        for (int64_t q = 0; q < j->pairs; q++) {
            finish(j->s, sums_of(j, band, q), PAIR, q * PAIR, least(PAIR, j->s->m - q * PAIR), band * PAIR, least(PAIR, j->s->n - band * PAIR));
        }
    }
}

/* A member's memory decides how much is done at once, so that the number of threads does not change a bit: half of it has S's terms, half the sums. */
static void columns_by_tiles(lora4j_team *team, thin all) {
    const int64_t half = lora4j_product_floats() * (int64_t)sizeof(float) / 2 / 64 * 64, threads = lora4j_team_threads(team);
    const int64_t bands = (all.n + PAIR - 1) / PAIR, pairs = (all.m + PAIR - 1) / PAIR;
    const int64_t most = half / (pairs * CHUNK_BYTES) * CHUNK, pieces = (all.k + most - 1) / most, products = round_up((all.k + pieces - 1) / pieces, CHUNK);
    const int64_t most_bands = half / (pairs * PAIR_SUMS * (int64_t)sizeof(float)), slices = (bands + most_bands - 1) / most_bands;
    while (all.k > 0) {
        thin s = next(&all, least(products, all.k));
        s.parts = (int)threads;
        amx_thin j = {.s = &s, .pairs = pairs, .chunks = (s.k + CHUNK - 1) / CHUNK, .terms = (char *)team->packed,
                      .sums = (float *)((char *)team->packed + half)};
        int packed = 0;
        for (int64_t slice = 0; slice < slices; slice++) {
            j.from = bands * slice / slices;
            j.to = bands * (slice + 1) / slices;
            j.shares = (int)round_up((j.to - j.from + MOST_BANDS - 1) / MOST_BANDS, threads);
            j.largest_l = 0;
            if (!packed) {
                lora4j_members_run(team->members, pack_terms, &j, s.parts);
            }
            lora4j_members_run(team->members, sum_share, &j, j.shares);
            packed = tiles_take(j.largest_s, j.largest_l);
            if (packed) {
                lora4j_members_run(team->members, finish_share, &j, j.shares);
            } else { /* where the terms are now, AVX-512 packs */
                thin part = s;
                part.n = least(j.to * PAIR, s.n) - j.from * PAIR;
                part.b += j.from * PAIR;
                part.c += j.from * PAIR * s.across;
                part.d += j.from * PAIR * s.across_d;
                columns(team, part);
            }
        }
    }
}
