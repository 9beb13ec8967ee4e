/* Eigenvalues and eigenvectors of a small symmetric matrix, in float64: Householder's reduction to a tridiagonal matrix, then the QL algorithm
 * with implicit shifts (Dubrulle, Martin and Wilkinson, The Implicit QL Algorithm, Numerische Mathematik 12, 1968). For a few dozen rows LAPACK's
 * divide and conquer takes three times as long.
 *
 * Eigenvectors are rows from the start, so that whatever turns two of them goes along both. What is at most 2⁻⁴⁴·‖A‖ is taken for zero where the matrix
 * can come apart there, which float32 does not show.
 */
#include "variants.h"

#include <float.h>
#include <math.h>

/* Rows begin at whole vectors. */
enum { LANES = 8 };

/* The most rows: twice n² and four times n doubles are a part of what a member packs of a product. */
enum { MOST = 96 };

/* Steps for an eigenvalue: two are usual. */
enum { MOST_STEPS = 40 };

typedef struct {
    int64_t n, ld;
    double *a, *q;              /* A and then Householder's vectors v, right of the diagonal; rows of eigenvectors */
    double *diagonal, *beside;  /* of the tridiagonal matrix; beside[i] is between i and i + 1 */
    double *beta, *p;           /* H = I − β·v·vᵀ; workspace */
    double least;               /* 2⁻⁴⁴·‖A‖ */
} eigen;

/* The compiler makes vectors of the loops, which all go over whole vectors: before v's first element are zeros. */
#define VARIANT(NAME, TARGET) \
    static inline __attribute__((always_inline)) TARGET double dot_##NAME(const double *restrict x, const double *restrict y, int64_t from, int64_t to) { \
        double sum[LANES] = {0}; \
        for (int64_t j = from; j < to; j += LANES) { \
            for (int l = 0; l < LANES; l++) { \
                sum[l] += x[j + l] * y[j + l]; \
            } \
        } \
        return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])); \
    } \
    static TARGET void tridiagonalise_##NAME(eigen *s) { \
        const int64_t n = s->n, ld = s->ld; \
        double *p = s->p; \
        for (int64_t k = 0; k + 1 < n; k++) { \
            double *v = s->a + k * ld; /* row k is column k: A is symmetric throughout */ \
            const int64_t from = (k + 1) / LANES * LANES; \
            s->diagonal[k] = v[k]; \
            s->beside[k] = v[k + 1]; \
            s->beta[k] = 0; \
            memset(v + from, 0, (k + 1 - from) * sizeof(double)); \
            const double length = sqrt(dot_##NAME(v, v, from, ld)); \
            if (k + 2 == n || length <= s->least) { \
                continue; \
            } \
            s->beside[k] = v[k + 1] > 0 ? -length : length; \
            v[k + 1] -= s->beside[k]; \
            const double beta = 1 / (length * fabs(v[k + 1])); /* 2/vᵀv */ \
            memset(p + from, 0, (ld - from) * sizeof(double)); \
            for (int64_t i = k + 1; i < n; i++) { \
                p[i] = beta * dot_##NAME(s->a + i * ld, v, from, ld); \
            } \
            const double half = beta / 2 * dot_##NAME(p, v, from, ld); \
            for (int64_t j = from; j < ld; j++) { \
                p[j] -= half * v[j]; \
            } \
            for (int64_t i = k + 1; i < n; i++) { /* A − v·pᵀ − p·vᵀ */ \
                double *restrict row = s->a + i * ld; \
                const double of_v = v[i], of_p = p[i]; \
                for (int64_t j = from; j < ld; j++) { \
                    row[j] -= of_v * p[j] + of_p * v[j]; \
                } \
            } \
            s->beta[k] = beta; \
        } \
        s->diagonal[n - 1] = s->a[(n - 1) * (ld + 1)]; \
    } \
    /* Qᵀ = … H₁·H₀, from the last one on: then there are zeros left. */ \
    static TARGET void multiply_reflections_##NAME(eigen *s) { \
        const int64_t n = s->n, ld = s->ld; \
        memset(s->q, 0, n * ld * sizeof(double)); \
        for (int64_t i = 0; i < n; i++) { \
            s->q[i * (ld + 1)] = 1; \
        } \
        for (int64_t k = n - 3; k >= 0; k--) { \
            const double *restrict v = s->a + k * ld; \
            const int64_t from = (k + 1) / LANES * LANES; \
            for (int64_t i = k + 1; i < n && s->beta[k] != 0; i++) { \
                double *restrict row = s->q + i * ld; \
                const double along = s->beta[k] * dot_##NAME(row, v, from, ld); \
                for (int64_t j = from; j < ld; j++) { \
                    row[j] -= along * v[j]; \
                } \
            } \
        } \
    } \
    static TARGET void turn_##NAME(double *restrict x, double *restrict y, double c, double s, int64_t ld) { \
        for (int64_t j = 0; j < ld; j++) { \
            const double old = y[j]; \
            y[j] = s * x[j] + c * old; \
            x[j] = c * x[j] - s * old; \
        } \
    } \
    /* One step of QL on the rows from `from` to `to`, with the shift of the first two. */ \
    static TARGET void step_##NAME(eigen *t, int64_t from, int64_t to) { \
        double *d = t->diagonal, *e = t->beside; \
        const double half = (d[from + 1] - d[from]) / (2 * e[from]), root = sqrt(half * half + 1); \
        double g = d[to] - d[from] + e[from] / (half + (half < 0 ? -root : root)); \
        double s = 1, c = 1, p = 0; \
        for (int64_t i = to - 1; i >= from; i--) { \
            const double f = s * e[i], b = c * e[i], r = sqrt(f * f + g * g); \
            e[i + 1] = r; \
            if (r == 0) { /* the matrix has come apart */ \
                d[i + 1] -= p; \
                e[to] = 0; \
                return; \
            } \
            s = f / r; \
            c = g / r; \
            g = d[i + 1] - p; \
            const double h = (d[i] - g) * s + 2 * c * b; \
            p = s * h; \
            d[i + 1] = g + p; \
            g = c * h - b; \
            turn_##NAME(t->q + i * t->ld, t->q + (i + 1) * t->ld, c, s, t->ld); \
        } \
        d[from] -= p; \
        e[from] = g; \
        e[to] = 0; \
    } \
    static int decompose_##NAME(eigen *t) { \
        tridiagonalise_##NAME(t); \
        multiply_reflections_##NAME(t); \
        t->beside[t->n - 1] = 0; \
        for (int64_t l = 0; l < t->n; l++) { \
            for (int steps = 0; ; steps++) { \
                int64_t m = l; \
                while (m < t->n - 1 && !(fabs(t->beside[m]) <= t->least)) { \
                    m++; \
                } \
                if (m == l) { \
                    break; \
                } \
                if (steps == MOST_STEPS) { \
                    return 0; \
                } \
                step_##NAME(t, l, m); \
            } \
        } \
        return 1; \
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

int lora4j_ssyev(lora4j_team *team, int64_t n, float *a, int64_t lda, float *w) {
    if (n > MOST) {
        return 0;
    }
    const int64_t ld = round_up(n, LANES);
    double *memory = (double *)team->packed;
    eigen s = {.n = n, .ld = ld, .a = memory, .q = memory + n * ld, .diagonal = memory + 2 * n * ld};
    s.beside = s.diagonal + ld;
    s.beta = s.beside + ld;
    s.p = s.beta + ld;
    double squares = 0;
    int finite = 1;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            const double x = a[i * lda + j];
            s.a[i * ld + j] = s.a[j * ld + i] = x;
            squares += (j < i ? 2 : 1) * x * x;
            finite &= fabs(x) <= FLT_MAX;
        }
        memset(s.a + i * ld + n, 0, (ld - n) * sizeof(double));
    }
    s.least = ldexp(sqrt(squares), -44);
    if (!finite || !CHOSEN(team, decompose)(&s)) {
        return 0;
    }
    for (int64_t i = 0; i < n; i++) {
        if (fabs(s.diagonal[i]) > FLT_MAX) {
            return 0;
        }
    }
    int64_t *order = (int64_t *)s.p;
    for (int64_t i = 0; i < n; i++) { /* ascending */
        int64_t j = i;
        for (; j > 0 && s.diagonal[order[j - 1]] > s.diagonal[i]; j--) {
            order[j] = order[j - 1];
        }
        order[j] = i;
    }
    for (int64_t i = 0; i < n; i++) {
        w[i] = (float)s.diagonal[order[i]];
        for (int64_t j = 0; j < n; j++) {
            a[i * lda + j] = (float)s.q[order[i] * ld + j];
        }
    }
    return 1;
}
