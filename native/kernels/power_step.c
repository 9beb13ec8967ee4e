/* Y = G·V and Z = Gᵀ·Y in one pass over G.
 *
 * G is taken in blocks of rows that stay in the second-level cache while they are used twice: for their rows of Y, and,
 * when these are complete, for their part of Z. A block is taken in panels of PANEL columns, copied to where rows follow
 * each other closely (rows of G a power of two apart would displace each other from the first-level cache). What the next
 * panels have is fetched by the processor itself: asking for it filled the buffers that lines from the caches wait in, too,
 * and cost up to a tenth. Each part of the rows has a sum for Z of its own; the sums are added in order.
 */
#include "variants.h"

#include <stddef.h>

/* Columns of G that are worked on at once: a panel of V (PANEL×k) stays in the first-level cache. */
#define PANEL 64

/* One thread's share of a power step: the rows [from, to) of G. */
typedef struct {
    int64_t from, to, n, k;
    int64_t kp;             /* k rounded up to whole vectors */
    int64_t block;          /* rows of G that are worked on at once, a multiple of the tile's rows */
    const float *g;
    int64_t ldg;
    const float *v;         /* n×kp */
    int64_t ldv;
    float *y;               /* m×k */
    int64_t ldy;
    float *z;               /* n×kp, this thread's own sum; NULL if not wanted */
    int64_t ldz;
    float *packed;          /* block×PANEL: a panel of the block of G */
    float *yblock;          /* block×kp */
} share;

typedef struct {
    int vector;             /* floats in a vector */
    int tile;               /* the rows of its largest tile, a multiple of those of the others: blocks are multiples of it */
    void (*run)(const share *s);
} variant;

#if defined(__x86_64__)
#define NAME(x) JOIN(x, avx512)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 16
#define TILE1 16
#define TILE2 8
#define TILE3 8
#define TILE4 4
#define WIDEST 4
#define LARGEST 16
#include "power_step_variant.h"

#define NAME(x) JOIN(x, avx2)
#define TARGET __attribute__((target(AVX2_INSTRUCTIONS)))
#define VECTOR 8
#define TILE1 8
#define TILE2 4
#define TILE3 4
#define WIDEST 3
#define LARGEST 8
#include "power_step_variant.h"
#endif

#define NAME(x) JOIN(x, portable)
#define TARGET
#define VECTOR 4
#define TILE1 8
#define TILE2 4
#define WIDEST 2
#define LARGEST 8
#include "power_step_variant.h"

/* Rows of G worked on at once. */
enum { BLOCK = 32 };

/* Floating-point operations below which one thread does it all: about 15 µs. */
enum { ALONE = 6000000 };

/* One power step and where its scratch memory is. */
typedef struct {
    const variant *variant;
    int64_t m, n, k, kp;
    const float *g, *v;
    float *y, *z;
    int64_t ldg, ldv, ldy, ldz;
    int parts;         /* of the rows of G */
    int64_t part_rows;
    int slices;        /* of the rows of V and Z, where these are copied or summed */
    int copy_v;        /* V is copied to rows of kp, no further apart */
    int direct;        /* the first part's sum is Z itself */
    float *blocks;     /* for each member BLOCK×(PANEL + kp) */
    float *v_copy;     /* n×kp */
    float *sums;       /* for each part, without the first where that is direct, n×kp */
    int64_t scratch;   /* floats of all this */
} step;

static step plan(const lora4j_team *team, int64_t m, int64_t n, int64_t k, int64_t ldv, int with_z) {
    const int threads = lora4j_team_threads(team);
    step s = {.variant = CHOSEN(team, &variant), .m = m, .n = n, .k = k, .ldv = ldv};
    s.kp = round_up(k, s.variant->vector);
    double operations = (with_z ? 4.0 : 2.0) * (double)m * (double)n * (double)k;
    int64_t parts = operations < ALONE ? 1 : threads;
    s.part_rows = round_up((m + parts - 1) / parts, s.variant->tile);
    s.parts = (int)((m + s.part_rows - 1) / s.part_rows);
    s.slices = n * k < 32768 ? 1 : threads;
    s.copy_v = s.kp != k || ldv > 4 * s.kp;
    s.direct = s.kp == k;
    int64_t blocks = round_up(BLOCK * (PANEL + s.kp), 16) * threads;
    int64_t v_copy = s.copy_v ? round_up(n * s.kp, 16) : 0;
    int64_t sums = with_z ? (s.parts - s.direct) * round_up(n * s.kp, 16) : 0;
    s.scratch = blocks + v_copy + sums;
    return s;
}

int64_t lora4j_spower_step_scratch(const lora4j_team *team, int64_t m, int64_t n, int64_t k, int64_t ldv, int with_z) {
    return plan(team, m, n, k, ldv, with_z).scratch * (int64_t)sizeof(float);
}

static float *sum_of(const step *s, int part) {
    return part == 0 && s->direct ? s->z : s->sums + (part - s->direct) * round_up(s->n * s->kp, 16);
}

static void copy_v(const void *job, int slice, int member) {
    (void)member;
    const step *s = job;
    const int64_t from = s->n * slice / s->slices, to = s->n * (slice + 1) / s->slices;
    for (int64_t j = from; j < to; j++) {
        memcpy(s->v_copy + j * s->kp, s->v + j * s->ldv, s->k * sizeof(float));
        for (int64_t c = s->k; c < s->kp; c++) {
            s->v_copy[j * s->kp + c] = 0;
        }
    }
}

static void work_on_part(const void *job, int part, int member) {
    const step *s = job;
    float *block = s->blocks + round_up(BLOCK * (PANEL + s->kp), 16) * member;
    const int64_t to = (part + 1) * s->part_rows;
    const share rows = {
        .from = part * s->part_rows, .to = to < s->m ? to : s->m, .n = s->n, .k = s->k, .kp = s->kp, .block = BLOCK,
        .g = s->g, .ldg = s->ldg, .v = s->copy_v ? s->v_copy : s->v, .ldv = s->copy_v ? s->kp : s->ldv, .y = s->y, .ldy = s->ldy,
        .z = s->z ? sum_of(s, part) : NULL, .ldz = part == 0 && s->direct ? s->ldz : s->kp,
        .packed = block, .yblock = block + BLOCK * PANEL};
    s->variant->run(&rows);
}

static void add_sums(const void *job, int slice, int member) {
    (void)member;
    const step *s = job;
    const int64_t from = s->n * slice / s->slices, to = s->n * (slice + 1) / s->slices;
    for (int part = 0; part < s->parts; part++) {
        const float *sum = sum_of(s, part);
        if (sum == s->z) {
            continue;
        }
        for (int64_t j = from; j < to; j++) {
            const float *restrict add = sum + j * s->kp;
            float *restrict z = s->z + j * s->ldz;
            for (int64_t c = 0; c < s->k; c++) {
                z[c] = part == 0 ? add[c] : z[c] + add[c];
            }
        }
    }
}

void lora4j_spower_step(lora4j_team *team, int64_t m, int64_t n, int64_t k, const float *g, int64_t ldg, const float *v, int64_t ldv,
                        float *y, int64_t ldy, float *z, int64_t ldz, void *scratch) {
    step s = plan(team, m, n, k, ldv, z != NULL);
    s.g = g;
    s.ldg = ldg;
    s.v = v;
    s.y = y;
    s.ldy = ldy;
    s.ldz = ldz;
    s.z = z;
    s.blocks = scratch;
    s.v_copy = s.blocks + round_up(BLOCK * (PANEL + s.kp), 16) * lora4j_team_threads(team);
    s.sums = s.v_copy + (s.copy_v ? round_up(n * s.kp, 16) : 0);
    if (s.copy_v) {
        lora4j_members_run(team->members, copy_v, &s, s.slices);
    }
    lora4j_members_run(team->members, work_on_part, &s, s.parts);
    if (z && s.parts > s.direct) {
        lora4j_members_run(team->members, add_sums, &s, s.slices);
    }
}
