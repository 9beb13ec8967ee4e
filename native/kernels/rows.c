/* What is done row by row: copies, Σ a·b and the largest element at the speed of memory, and the solution of a triangular system
   of few columns for many rows, which BLAS and LAPACK leave slow. Each thread has rows of its own. */
#include "variants.h"

#include <stddef.h>

/* Sums, or maxima, that go on side by side: enough to hide the latency of an addition. */
enum { LANES = 32 };

/* Elements that are looked through for their largest: it is then looked for among so many, or in a row. */
enum { STRETCH = 4096 };

/* Elements below which one thread reads it all. */
enum { ALONE = 1 << 16 };

/* The most threads that have a part of their own. */
enum { MOST_PARTS = 64 };

/* The most columns of a solution: what stays in the first-level cache. */
enum { MOST_COLUMNS = 64 };

/* Rows that are solved for side by side. */
enum { BESIDE = 8 };

/* Columns that are subtracted from at once. */
enum { ACROSS = 16 };

/* R without what stands on and below the diagonal, and the inverses of the diagonal. */
typedef struct {
    float row[MOST_COLUMNS][MOST_COLUMNS] __attribute__((aligned(64)));
    float inverse[MOST_COLUMNS];
} triangle;

typedef struct {
    int64_t rows, n, lda, ldb;
    int parts;
    const float *a, *b;
    float *x;                 /* of a solution: n columns of rows ldb apart, overwritten */
    float alpha;
    const triangle *t;
    double sums[MOST_PARTS];
    int32_t most[MOST_PARTS]; /* of the part's magnitudes, as bits: these are ordered as the numbers are, NaN above all */
    int64_t at[MOST_PARTS];   /* where the first stretch begins that has it */
} pass;

static const int32_t SIGN_OFF = 0x7fffffff;

static inline int32_t magnitude(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & SIGN_OFF;
}

/* The compiler makes vectors of the loops over lanes, of the width that TARGET allows. */
#define VARIANT(NAME, TARGET) \
    static TARGET double dot_##NAME(const float *a, const float *b, int64_t n) { \
        double sum[LANES] = {0}; \
        int64_t j = 0; \
        for (; a == b && j + LANES <= n; j += LANES) { /* a norm, converted once */ \
            for (int l = 0; l < LANES; l++) { \
                const double x = a[j + l]; \
                sum[l] += x * x; \
            } \
        } \
        for (; j + LANES <= n; j += LANES) { \
            for (int l = 0; l < LANES; l++) { \
                sum[l] += (double)a[j + l] * b[j + l]; \
            } \
        } \
        for (int l = 0; j + l < n; l++) { \
            sum[l] += (double)a[j + l] * b[j + l]; \
        } \
        for (int half = LANES / 2; half > 0; half /= 2) { \
            for (int l = 0; l < half; l++) { \
                sum[l] += sum[l + half]; \
            } \
        } \
        return sum[0]; \
    } \
    static TARGET int32_t most_##NAME(const float *a, int64_t n) { \
        int32_t most[LANES] = {0}; \
        int64_t j = 0; \
        for (; j + LANES <= n; j += LANES) { \
            for (int l = 0; l < LANES; l++) { \
                const int32_t bits = magnitude(a[j + l]); \
                most[l] = bits > most[l] ? bits : most[l]; \
            } \
        } \
        for (; j < n; j++) { \
            const int32_t bits = magnitude(a[j]); \
            most[0] = bits > most[0] ? bits : most[0]; \
        } \
        for (int l = 1; l < LANES; l++) { \
            most[0] = most[l] > most[0] ? most[l] : most[0]; \
        } \
        return most[0]; \
    } \
    /* Column by column x[i] = x[i]/R[i, i], then x −= x[i]·R[i, …], for some rows at once: each waits for itself alone. */ \
    static inline __attribute__((always_inline)) TARGET void solve_some_##NAME(const pass *s, const triangle *t, float *b, int64_t rows, const int64_t width) { \
        float x[BESIDE][MOST_COLUMNS] __attribute__((aligned(64))); \
        for (int64_t r = 0; r < rows; r++) { \
            for (int64_t j = 0; j < s->n; j++) { \
                x[r][j] = s->alpha * b[r * s->ldb + j]; \
            } \
            for (int64_t j = s->n; j < width * ACROSS; j++) { \
                x[r][j] = 0; \
            } \
        } \
        for (int64_t i = 0; i < s->n; i++) { \
            for (int64_t r = 0; r < rows; r++) { \
                const float found = x[r][i] * t->inverse[i]; \
                for (int64_t j = width == 1 ? 0 : i / ACROSS * ACROSS; j < width * ACROSS; j += ACROSS) { \
                    for (int l = 0; l < ACROSS; l++) { \
                        x[r][j + l] -= found * t->row[i][j + l]; \
                    } \
                } \
                b[r * s->ldb + i] = found; \
            } \
        } \
    } \
    static TARGET void solve_##NAME(const pass *s, const triangle *t, float *b, int64_t rows) { \
        switch ((s->n + ACROSS - 1) / ACROSS) { \
            case 1: solve_some_##NAME(s, t, b, rows, 1); break; \
            case 2: solve_some_##NAME(s, t, b, rows, 2); break; \
            case 3: solve_some_##NAME(s, t, b, rows, 3); break; \
            default: solve_some_##NAME(s, t, b, rows, 4); \
        } \
    } \
    static void solve_part_##NAME(const void *job, int part, int member) { \
        (void)member; \
        const pass *s = job; \
        const int64_t to = s->rows * (part + 1) / s->parts; \
        for (int64_t i = s->rows * part / s->parts; i < to; i += BESIDE) { \
            solve_##NAME(s, s->t, s->x + i * s->ldb, to - i < BESIDE ? to - i : BESIDE); \
        } \
    } \
    static void dot_part_##NAME(const void *job, int part, int member) { \
        (void)member; \
        pass *s = (pass *)job; \
        const int64_t from = s->rows * part / s->parts, to = s->rows * (part + 1) / s->parts; \
        double sum = 0; /* not where another thread's stands */ \
        if (s->lda == s->n && s->ldb == s->n) { \
            sum = dot_##NAME(s->a + from * s->n, s->b + from * s->n, (to - from) * s->n); \
        } else { \
            for (int64_t i = from; i < to; i++) { \
                sum += dot_##NAME(s->a + i * s->lda, s->b + i * s->ldb, s->n); \
            } \
        } \
        s->sums[part] = sum; \
    } \
    static void most_part_##NAME(const void *job, int part, int member) { \
        (void)member; \
        pass *s = (pass *)job; \
        const int64_t from = s->rows * part / s->parts, to = s->rows * (part + 1) / s->parts; \
        const int joined = s->lda == s->n; /* the rows are one */ \
        const int64_t end = joined ? to * s->n : to, step = joined ? STRETCH : 1; \
        int32_t best = -1; \
        for (int64_t i = joined ? from * s->n : from; i < end; i += step) { \
            const int64_t at = joined ? i : i * s->lda; \
            const int32_t most = most_##NAME(s->a + at, !joined ? s->n : end - i < STRETCH ? end - i : STRETCH); \
            if (most > best) { \
                best = most; \
                s->at[part] = at; \
            } \
        } \
        s->most[part] = best; \
    }

#if defined(__x86_64__)
#if defined(__clang__)
#define WIDE
#else
#define WIDE ",prefer-vector-width=512" /* GCC's word */
#endif
VARIANT(avx512, __attribute__((target(AVX512_INSTRUCTIONS WIDE))))
VARIANT(avx2, __attribute__((target(AVX2_INSTRUCTIONS))))
#endif
VARIANT(portable, )

static pass plan(const lora4j_team *team, int64_t m, int64_t n, int64_t alone) {
    pass s = {.rows = m, .n = n};
    const int64_t threads = lora4j_team_threads(team);
    s.parts = (int)(m * n < alone ? 1 : threads < m ? threads : m);
    s.parts = s.parts > MOST_PARTS ? MOST_PARTS : s.parts;
    return s;
}

typedef struct {
    int64_t rows, bytes, from_ld, to_ld;
    const char *from;
    char *to;
    int parts;
} copy;

static void copy_part(const void *job, int part, int member) {
    (void)member;
    const copy *s = job;
    const int64_t all = s->rows == 1 ? s->bytes : s->rows, from = all * part / s->parts, to = all * (part + 1) / s->parts;
    if (s->rows == 1) {
        memcpy(s->to + from, s->from + from, to - from);
    } else {
        for (int64_t i = from; i < to; i++) {
            memcpy(s->to + i * s->to_ld, s->from + i * s->from_ld, s->bytes);
        }
    }
}

/* Bytes whose copy is worth a part. */
enum { LEAST_COPIED = 1 << 19 };

void lora4j_copy(lora4j_team *team, int64_t rows, int64_t bytes, const void *from, int64_t from_ld, void *to, int64_t to_ld) {
    copy s = {rows, bytes, from_ld, to_ld, from, to, 1};
    if (from_ld == bytes && to_ld == bytes) { /* the rows are one */
        s.bytes *= rows;
        s.rows = 1;
    }
    while (s.parts < lora4j_team_threads(team) && (s.parts + 1) * (int64_t)LEAST_COPIED <= rows * bytes) {
        s.parts++;
    }
    lora4j_members_run(team->members, copy_part, &s, s.parts);
}

lora4j_dot *lora4j_team_dot(const lora4j_team *team) {
    return CHOSEN(team, dot);
}

double lora4j_sdot(lora4j_team *team, int64_t m, int64_t n, const float *a, int64_t lda, const float *b, int64_t ldb) {
    pass s = plan(team, m, n, ALONE);
    s.a = a;
    s.lda = lda;
    s.b = b;
    s.ldb = ldb;
    lora4j_members_run(team->members, CHOSEN(team, dot_part), &s, s.parts);
    double sum = 0;
    for (int part = 0; part < s.parts; part++) {
        sum += s.sums[part];
    }
    return sum;
}

float lora4j_slargest(lora4j_team *team, int64_t m, int64_t n, const float *a, int64_t lda) {
    pass s = plan(team, m, n, ALONE);
    s.a = a;
    s.lda = lda;
    lora4j_members_run(team->members, CHOSEN(team, most_part), &s, s.parts);
    int part = 0;
    for (int other = 1; other < s.parts; other++) {
        part = s.most[other] > s.most[part] ? other : part;
    }
    const float *x = a + s.at[part];
    while (magnitude(*x) != s.most[part]) {
        x++;
    }
    return *x;
}

void lora4j_ssolve(lora4j_team *team, int64_t m, int64_t n, float alpha, const float *r, int64_t down, int64_t across, float *b, int64_t ldb) {
    triangle t;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n || j % ACROSS; j++) {
            t.row[i][j] = j > i && j < n ? r[i * down + j * across] : 0;
        }
        t.inverse[i] = 1 / r[i * (down + across)];
    }
    pass s = plan(team, m, n, 0);
    s.t = &t;
    s.alpha = alpha;
    s.x = b;
    s.ldb = ldb;
    lora4j_members_run(team->members, CHOSEN(team, solve_part), &s, s.parts);
}
