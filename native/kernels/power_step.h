/* Shared by what a team computes and the variants of the power step. */
#ifndef LORA4J_POWER_STEP_H
#define LORA4J_POWER_STEP_H

#include "team.h"

#include <stdint.h>

/* Columns of G that are worked on at once: a panel of V (PANEL×k) stays in the first-level cache. */
#define PANEL 64

/* How many panels ahead G is asked for where nothing but Y is computed. */
#define AHEAD 4

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
} lora4j_rows;

typedef struct {
    const char *name;
    int vector;             /* floats in a vector */
    int tile;               /* the rows of its largest tile, a multiple of those of the others: blocks are multiples of it */
    void (*run)(const lora4j_rows *rows);
} lora4j_variant;

struct lora4j_team {
    const lora4j_variant *variant;
    lora4j_members *members;
};

#endif
