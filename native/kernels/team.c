#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A member without work looks for some for about 200 µs before it sleeps: the passes of a Krylov method follow each other
   at such distances, small products of one thread between them, and waking a sleeper costs as much as a small pass. */
enum { LOOKS = 12000, LOOKS_OF_CALLER = 20000, LOOKS_BETWEEN_YIELDS = 32 };

typedef struct {
    lora4j_members *members;
    int number;
    pthread_t thread;
} member;

struct lora4j_members {
    int count;
    int caller_cpu; /* where the caller was at the last job */
    member *others;
    /* The job. Written by the caller while no part is unclaimed and none is being done. */
    lora4j_work *work;
    const void *job;
    atomic_int unclaimed; /* parts that nobody has begun; whoever takes one off owns the part of the new number */
    atomic_int unfinished;
    atomic_int sleeping;
    atomic_int stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static inline void pause_a_little(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

/* Does parts until none is left. A claim that succeeds late, for a newer job than was looked at, is as good. */
static void work_on(lora4j_members *t, int number) {
    int left = atomic_load(&t->unclaimed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&t->unclaimed, &left, left - 1)) {
            t->work(t->job, left - 1, number);
            atomic_fetch_sub(&t->unfinished, 1);
            left = atomic_load(&t->unclaimed);
        }
    }
}

static int idle(lora4j_members *t) {
    return atomic_load(&t->unclaimed) == 0 && !atomic_load(&t->stop);
}

static void *life(void *argument) {
    member *self = argument;
    lora4j_members *t = self->members;
    while (!atomic_load(&t->stop)) {
        work_on(t, self->number);
        for (int i = 1; i < LOOKS && idle(t); i++) {
            if (i % LOOKS_BETWEEN_YIELDS) {
                pause_a_little();
            } else {
                sched_yield(); /* to a thread of BLAS that got work */
            }
        }
        if (idle(t)) {
            pthread_mutex_lock(&t->lock);
            atomic_fetch_add(&t->sleeping, 1);
            while (idle(t)) {
                pthread_cond_wait(&t->wake, &t->lock);
            }
            atomic_fetch_sub(&t->sleeping, 1);
            pthread_mutex_unlock(&t->lock);
        }
    }
    return NULL;
}

lora4j_members *lora4j_members_start(int threads) {
    lora4j_members *t = calloc(1, sizeof *t);
    member *others = threads > 1 ? calloc(threads - 1, sizeof *others) : NULL;
    if (!t || (threads > 1 && !others)) {
        free(t);
        free(others);
        return NULL;
    }
    t->others = others;
    t->count = 1;
    t->caller_cpu = -1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the application's threads' own */
    for (; t->count < threads; t->count++) {
        member *next = &others[t->count - 1];
        next->members = t;
        next->number = t->count;
        if (pthread_create(&next->thread, NULL, life, next)) {
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t;
}

int lora4j_members_count(const lora4j_members *t) {
    return t->count;
}

static void wake_all(lora4j_members *t) {
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void lora4j_members_stop(lora4j_members *t) {
    atomic_store(&t->stop, 1);
    wake_all(t);
    for (int i = 0; i < t->count - 1; i++) {
        pthread_join(t->others[i].thread, NULL);
    }
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->others);
    free(t);
}

/* Keeps the others off the caller's processor. BLAS's threads look for work for some 25 ms after each product and yield all
   the while; so no processor seems idle, and a member that the system woke on the caller's would wait behind it. */
static void leave_caller_alone(lora4j_members *t) {
#if defined(__linux__)
    const int cpu = sched_getcpu();
    cpu_set_t set;
    if (cpu == t->caller_cpu || cpu < 0 || sched_getaffinity(0, sizeof set, &set)) {
        return;
    }
    t->caller_cpu = cpu;
    CPU_CLR(cpu, &set);
    for (int i = 0; i < t->count - 1 && CPU_COUNT(&set) > 0; i++) {
        pthread_setaffinity_np(t->others[i].thread, sizeof set, &set);
    }
#else
    (void)t;
#endif
}

void lora4j_members_run(lora4j_members *t, lora4j_work *work, const void *job, int parts) {
    if (parts == 1) {
        work(job, 0, 0);
        return;
    }
    leave_caller_alone(t);
    t->work = work;
    t->job = job;
    atomic_store(&t->unfinished, parts);
    atomic_store(&t->unclaimed, parts);
    if (atomic_load(&t->sleeping) > 0) {
        wake_all(t);
    }
    work_on(t, 0);
    for (int i = 0; atomic_load(&t->unfinished) > 0; i++) {
        if (i < LOOKS_OF_CALLER) {
            pause_a_little();
        } else {
            sched_yield();
        }
    }
}
