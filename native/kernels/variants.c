/* Which variants there are, the team, and memory in large pages. */
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "variants.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(LORA4J_AMX)
#include <cpuid.h>
#include <sys/syscall.h>

/* Whether the processor has tiles, and the system lets this process use them: their 8 KB of state must be asked for. */
static int tiles_allowed(void) {
    enum { BFLOAT16_TILES = 1 << 22, TILES = 1 << 24, ASK_FOR_STATE = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & BFLOAT16_TILES && d & TILES && syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}
#endif

static const char *find(const char *name) {
#if defined(LORA4J_AMX)
    if (!strcmp(name, "amx")) {
        return find("avx512") && tiles_allowed() ? "amx" : NULL;
    }
#endif
#if defined(__x86_64__)
    if (!strcmp(name, "avx512")) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "avx512" : NULL;
    }
    if (!strcmp(name, "avx2")) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "avx2" : NULL;
    }
#endif
    return strcmp(name, "portable") ? NULL : "portable";
}

int lora4j_kernels_runs(const char *variant) {
    return find(variant) != NULL;
}

static int64_t packed_bytes(const lora4j_team *team) {
    return lora4j_team_threads(team) * lora4j_product_floats() * (int64_t)sizeof(float);
}

lora4j_team *lora4j_team_open(const char *variant, int threads) {
    const char *found = find(variant);
    lora4j_team *team = found ? calloc(1, sizeof *team) : NULL;
    if (!team) {
        return NULL;
    }
    team->variant = found;
    team->members = lora4j_members_start(threads);
    team->packed = team->members ? lora4j_memory_map(packed_bytes(team)) : NULL;
    if (!team->packed) {
        if (team->members) {
            lora4j_members_stop(team->members);
        }
        free(team);
        return NULL;
    }
    return team;
}

int lora4j_team_threads(const lora4j_team *team) {
    return lora4j_members_count(team->members);
}

void lora4j_team_close(lora4j_team *team) {
    const int64_t packed = packed_bytes(team);
    lora4j_members_stop(team->members);
    lora4j_memory_unmap(team->packed, packed);
    free(team);
}

int64_t lora4j_second_level_cache(void) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    const int64_t bytes = 0;
#endif
    return bytes > 0 ? bytes : 256 << 10;
}

void *lora4j_memory_allocate(int64_t bytes) {
    return aligned_alloc(64, round_up(bytes, 64));
}

void lora4j_memory_free(void *memory) {
    free(memory);
}

/* x86-64's; where another is larger, nothing is gained. */
static const int64_t LARGE_PAGE = 2 << 20;

void *lora4j_memory_map(int64_t bytes) {
    char *memory = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    const int64_t before = -(intptr_t)memory & (LARGE_PAGE - 1);
    const int64_t used = round_up(bytes, sysconf(_SC_PAGESIZE));
    if (before > 0) {
        munmap(memory, before);
    }
    munmap(memory + before + used, round_up(bytes + LARGE_PAGE, sysconf(_SC_PAGESIZE)) - before - used);
#if defined(MADV_HUGEPAGE)
    if (bytes >= LARGE_PAGE) {
        madvise(memory + before, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* a wish: without it, it is slower */
    }
#endif
    return memory + before;
}

void lora4j_memory_idle(void *memory, int64_t bytes) {
#if defined(MADV_FREE)
    madvise(memory, bytes, MADV_FREE); /* a wish too */
#else
    (void)memory;
    (void)bytes;
#endif
}

void lora4j_memory_unmap(void *memory, int64_t bytes) {
    munmap(memory, round_up(bytes, sysconf(_SC_PAGESIZE)));
}
