/* Threads that wait for work beside the caller's. */
#ifndef LORA4J_TEAM_H
#define LORA4J_TEAM_H

/* Does one part of a job; member tells who: 0 for the caller, 1 … threads − 1 for the others. */
typedef void lora4j_work(const void *job, int part, int member);

typedef struct lora4j_members lora4j_members;

/* Starts threads − 1 threads, or as many as the system allows; NULL where there is no memory. */
lora4j_members *lora4j_members_start(int threads);
int lora4j_members_count(const lora4j_members *members);
void lora4j_members_stop(lora4j_members *members);

/* Has every part from 0 to parts − 1 done, each by whoever is free first, and returns when all are. */
void lora4j_members_run(lora4j_members *members, lora4j_work *work, const void *job, int parts);

#endif
