/* Y = G·V, Z = Gᵀ·Y and ‖G‖² in one pass over G.
 *
 * G is taken in blocks of rows that stay in the second-level cache while they are used twice: for their rows of Y, and, when these are
 * complete, for their part of Z. Both times G is read in whole vectors. For Y they are multiplied by vectors of Vᵀ, a panel
 * of which stays in the first-level cache, and the lanes are added at the end; for Z by single elements of Y. A tile of sums has
 * two or three of the one and GROUP of the other, so that there are more multiplications than loads. Each part of the rows has a Zᵀ of its own;
 * they are added in order.
 *
 * Where vectors are half a line of the cache or less, the block is copied as it is read for Y, a tile's columns of each row side by side, and read from
 * there for Z: a tile goes down the rows, which may be a power of two apart, and then few places of the first-level cache are to hold them all.
 */
#include "variants.h"

#include <stddef.h>

/* Columns of G that are worked on at once: their Vᵀ for a group takes at most 16 KiB of a first-level cache, which another thread may share. */
enum { PANEL = 480 };

/* The most rows of G that are worked on at once, and that are copied: with more of them short rows take up to a tenth longer. Where rows are so long that
   fewer are in the cache, the least are worked on at once all the same: Zᵀ is read and written once for each block. */
enum { MOST_ROWS = 48, MOST_COPIED = 24, LEAST_ROWS = 12 };

/* The most groups of V's columns whose lanes are kept at once. */
enum { TOGETHER = 16 };

/* Floating-point operations below which one thread does it all: some 10 µs. */
enum { ALONE = 1000000 };

/* Groups of V's columns that ask for lines of the next block while Y is made, where the block is copied: with vectors of 8 about half of it, so that memory is
   never idle. */
enum { ASKING_GROUPS = 2 };

/* How what is read next is asked for meanwhile, where the block is not copied: what is best was found by trying. */
typedef struct {
    int64_t rows;   /* this many rows after those of a tile, while Y is made */
    int lines;      /* while Z is made: so many lines of each of the next block's rows with each tile, which has three of a row of its own */
    double cache;   /* the part of the second-level cache that a block takes; a copy takes as much */
    int64_t least;  /* rows of a block */
} asking;

static asking asking_ahead(int64_t columns, int with_z, int copied) {
    const double many = columns > 32 ? 0.4 : 0.2; /* many columns' Vᵀ and Zᵀ are read anew for each block */
    if (is_amd()) { /* what is more than it can note is dropped */
        return !with_z ? (asking){3, 0, 0.5, 3} : copied ? (asking){0, 0, 0.78, LEAST_ROWS} : (asking){9, 3, 0.4, 3}; /* 9 have been asked for before */
    }
    /* Its own prefetching is ahead in few rows that are asked for side by side, and does the third line while Y is made. */
    return !with_z ? (asking){3, 0, many, 3} : copied ? (asking){0, 0, many, LEAST_ROWS} : (asking){3, 2, columns > 32 ? many : 0.1, 9};
}

typedef struct step step;

/* What the arithmetic of a variant is like. */
typedef struct {
    int64_t vector;         /* floats in a vector */
    int64_t group;          /* columns of V that are worked on at once */
    int64_t across;         /* vectors of a tile of Z */
    int copies;             /* whether a block is copied for Z, and read for all groups of V's columns, panel by panel */
    void (*transpose_v)(const step *s, int64_t j, int64_t vectors);
    double (*run)(const step *s, int64_t from, int64_t to, float *zt, float *memory);
    void (*add_parts)(const step *s, int64_t from, int64_t to);
} power_variant;

/* One power step and where its scratch memory is. */
struct step {
    const power_variant *variant;
    int64_t m, n, k;
    int64_t np, kp;         /* n in whole vectors, k in whole groups */
    const float *g, *v;
    float *y, *z;
    int64_t ldg, ldv, ldy, ldz;
    int64_t rows;           /* of G that are worked on at once */
    asking ahead;           /* for the next such rows */
    int64_t together;       /* groups of V's columns whose lanes are kept at once */
    int copies;             /* whether a block is copied: of each tile's columns of G its rows */
    int parts;              /* of the rows of G */
    int shares;             /* of its columns: the panels */
    int vt_in_z;            /* Vᵀ is where Z will be: it has the room, and is written last */
    float *vt;              /* np×kp: for each panel and each group the panel's vectors of Vᵀ, GROUP of them for each place */
    int64_t sums;           /* floats of a part's Zᵀ */
    float *zt;              /* for each part: for each tile's vectors of a row of G and each group of columns of V their sums */
    float *blocks;          /* for each member, between apart */
    int64_t between;
    lora4j_dot *dot;        /* where ‖G‖² is wanted */
    double *norms;          /* the parts' */
    int64_t scratch;        /* floats of all this */
};

/* The block that follows, of no rows after the last, and the first place in it that is not asked for yet. */
typedef struct {
    uintptr_t block;
    int64_t rows, row, column;
} upcoming;

/* Where so many lines of it begin that are to be asked for now, or 0 if all have been. Where rows are apart they go on into the gap, and then begin with a row. */
static inline uintptr_t take(upcoming *next, const step *s, int64_t lines) {
    if (next->row >= next->rows) {
        return 0;
    }
    const uintptr_t from = next->block + sizeof(float) * (next->row * s->ldg + next->column);
    for (next->column += lines * LINE; next->column >= s->n; next->column = s->ldg == s->n ? next->column - s->n : 0) {
        next->row++;
    }
    return from;
}

/* Vectors of the panel that begins at column j: what is less than a vector, at the end, is a panel too. */
static inline int64_t panel_vectors(const step *s, int64_t j) {
    const int64_t columns = s->n - j < PANEL ? s->n - j : PANEL;
    return columns < s->variant->vector ? 1 : columns / s->variant->vector;
}

/* Floats that a member needs for a row of a block: its copy, its row of Y, the lanes of some groups of that, and less than a vector of the row. */
static int64_t row_floats(const step *s) {
    return (s->copies ? round_up(s->n, s->variant->across * s->variant->vector) : 0) + s->kp + (s->together * s->variant->group + 1) * s->variant->vector;
}

static int64_t block_floats(const step *s) {
    return round_up(s->rows * row_floats(s), LINE);
}

/* Whether the memory of a product's operands, which is idle, has room for the blocks. */
static int fits_product(const step *s) {
    return block_floats(s) <= lora4j_product_floats();
}

#if defined(__x86_64__)
#define NAME(x) JOIN(x, avx512)
#define TARGET __attribute__((target(AVX512_INSTRUCTIONS)))
#define VECTOR 16
#define COPIES 0
#define GROUP 8
#define ACROSS 3
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#include "power_step_variant.h"

#define NAME(x) JOIN(x, avx2)
#define TARGET __attribute__((target(AVX2_INSTRUCTIONS)))
#define VECTOR 8
#define COPIES 1
#define GROUP 4
#define ACROSS 3
#define MULTIPLY_ADD(SUM, A, B) FUSED(SUM, A, B)
#include "power_step_variant.h"
#endif

#define NAME(x) JOIN(x, portable)
#define TARGET
#define VECTOR 4
#define COPIES 1
#define GROUP 4
#define ACROSS 2
#define MULTIPLY_ADD(SUM, A, B) SUM += (A) * (B);
#include "power_step_variant.h"

/* ldz is 0 where Z is not wanted. */
static step plan(const lora4j_team *team, int64_t m, int64_t n, int64_t k, int64_t ldz) {
    const int threads = lora4j_team_threads(team);
    step s = {.variant = CHOSEN(team, &power), .m = m, .n = n, .k = k};
    s.np = round_up(n, s.variant->vector);
    s.kp = round_up(k, s.variant->group);
    const double operations = (ldz ? 4.0 : 2.0) * (double)m * (double)n * (double)k;
    s.parts = operations < ALONE ? 1 : (int)(m < threads ? m : threads);
    s.copies = s.variant->copies && ldz;
    s.together = s.variant->copies ? least(s.kp / s.variant->group, TOGETHER) : 1;
    s.ahead = asking_ahead(s.kp, ldz != 0, s.copies);
    const int64_t cached = (int64_t)(s.ahead.cache * (double)lora4j_second_level_cache()) / (n * (int64_t)sizeof(float));
    const int64_t wanted = cached < s.ahead.least ? s.ahead.least : least(cached, s.copies ? MOST_COPIED : MOST_ROWS);
    const int64_t rows = least(wanted, lora4j_product_floats() / row_floats(&s));
    s.rows = rows < 3 ? 3 : rows / 3 * 3;
    s.vt_in_z = ldz == k && s.kp == k && s.np == n;
    s.sums = ldz ? round_up(round_up(n, s.variant->across * s.variant->vector) * s.kp, 16) : 0;
    s.scratch = round_up(s.np * s.kp, 16) * !s.vt_in_z + s.sums * s.parts + (fits_product(&s) ? 0 : block_floats(&s) * threads) + 2 * s.parts;
    return s;
}

int64_t lora4j_spower_step_scratch(const lora4j_team *team, int64_t m, int64_t n, int64_t k, int64_t ldz) {
    return plan(team, m, n, k, ldz).scratch * (int64_t)sizeof(float);
}

/* Vᵀ's vectors for one panel. */
static void transpose_v(const void *job, int panel, int member) {
    (void)member;
    const step *s = job;
    for (int64_t j = (int64_t)panel * PANEL, vectors; j < s->n && j < (panel + 1) * (int64_t)PANEL; j += vectors * s->variant->vector) {
        vectors = panel_vectors(s, j);
        s->variant->transpose_v(s, j, vectors);
    }
}

static void work_on_part(const void *job, int part, int member) {
    const step *s = job;
    float *zt = s->z ? s->zt + part * s->sums : NULL;
    s->norms[part] = s->variant->run(s, s->m * part / s->parts, s->m * (part + 1) / s->parts, zt, s->blocks + member * s->between);
}

/* Z's rows of a share of the tiles: the parts' sums. */
static void add_parts(const void *job, int share, int member) {
    (void)member;
    const step *s = job;
    const int64_t width = s->variant->across * s->variant->vector, tiles = (s->n + width - 1) / width;
    s->variant->add_parts(s, tiles * share / s->shares * width, tiles * (share + 1) / s->shares * width);
}

void lora4j_spower_step(lora4j_team *team, int64_t m, int64_t n, int64_t k, const float *g, int64_t ldg, const float *v, int64_t ldv,
                        float *y, int64_t ldy, float *z, int64_t ldz, double *norm2, void *scratch) {
    step s = plan(team, m, n, k, z ? ldz : 0);
    s.g = g;
    s.ldg = ldg;
    s.v = v;
    s.ldv = ldv;
    s.y = y;
    s.ldy = ldy;
    s.z = z;
    s.ldz = ldz;
    s.vt = s.vt_in_z ? z : scratch;
    s.zt = (float *)scratch + (s.vt_in_z ? 0 : round_up(s.np * s.kp, 16));
    float *rest = s.zt + s.sums * s.parts;
    if (fits_product(&s)) {
        s.blocks = team->packed;
        s.between = lora4j_product_floats();
    } else {
        s.blocks = rest;
        s.between = block_floats(&s);
        rest += s.between * lora4j_team_threads(team);
    }
    s.norms = (double *)rest;
    s.dot = norm2 ? lora4j_team_dot(team) : NULL;
    s.shares = (int)((n + PANEL - 1) / PANEL);
    lora4j_members_run(team->members, transpose_v, &s, s.shares);
    lora4j_members_run(team->members, work_on_part, &s, s.parts);
    if (z) {
        lora4j_members_run(team->members, add_parts, &s, s.shares);
    }
    if (norm2) {
        *norm2 = 0;
        for (int part = 0; part < s.parts; part++) {
            *norm2 += s.norms[part];
        }
    }
}
