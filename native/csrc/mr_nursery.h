/* mr_nursery: groups in their first election, a small row for each, stepped for whole frames at once.
 *
 * A newborn knows one way: the designated replica writes term 1 and its vote and asks for votes; the others
 * write theirs and answer; the entry that opens term 1 is sent, written, and acknowledged once durable; when
 * everybody has acknowledged it, the group rests, and its row moves to the group table. What is anything else
 * is handed back. Nothing is promised before it is durable: what waits for that is told by
 * mr_nursery_durable.
 *
 * The nursery owns its memory. The group table and the digests are the caller's and live longer. */
#ifndef MR_NURSERY_H
#define MR_NURSERY_H

#include "mr_base.h"
#include "mr_digest.h"
#include "mr_groups.h"
#include "mr_messages.h"

/* cffi: begin */

/* Members of a group that a nursery takes in. */
#define MR_NURSERY_MEMBERS 16

/* How far a newborn has come. */
#define MR_STAGE_NEW 0
#define MR_STAGE_CANDIDATE 1
#define MR_STAGE_VOTED 2
#define MR_STAGE_LEADER 3
#define MR_STAGE_FOLLOWER 4

/* What a row of a frame is to a nursery. */
#define MR_ROW_OTHER 0
#define MR_ROW_NEWBORN 1
#define MR_ROW_HANDED_BACK 2

struct mr_nursery;

/* The types of messages, by which frames name them; waking and unknown ones mean nothing to a newborn. */
struct mr_nursery_kinds {
    uint8_t vote;
    uint8_t vote_resp;
    uint8_t append;
    uint8_t append_resp;
    uint8_t rest;
    uint8_t wake;
    uint8_t unknown;
};

struct mr_nursery_rules {
    struct mr_nursery_kinds kinds;
    uint64_t node; /* this one */
    uint64_t election_ticks;
    uint64_t committed_ticks; /* a leader waits so long for the last members, once a quorum has its entry */
    uint64_t seed;
};

/* What is known of a newborn. */
struct mr_newborn {
    uint64_t vote; /* replica ids, 0: none */
    uint64_t lead;
    uint64_t since; /* the tick of its last step */
    uint32_t placement;
    uint32_t approving; /* bits of members: whose vote it has, or of a leader, who has its entry durably */
    uint32_t stage;
    uint32_t in_flight; /* writes that are not durable */
    uint32_t committed; /* 1: a leader whose entry a quorum has */
};

/* What waits for a write. */
struct mr_promise {
    uint64_t group;
    uint64_t stage;
};

/* What has to become durable, as the columns of a section of appended rows (mr_rows). The memory is the
 * nursery's and holds until the next call that changes it. */
struct mr_first_writes {
    uint64_t rows;
    const uint8_t *groups;
    const uint8_t *replicas;
    const uint8_t *lengths;
    const uint8_t *parts;
    uint64_t runs;
    uint64_t hards;
    const uint8_t *hard;
    const struct mr_promise *promises;
};

/* NULL: no memory. */
struct mr_nursery *mr_nursery_new(struct mr_groups *table, const struct mr_nursery_rules *rules);
void mr_nursery_free(struct mr_nursery *nursery);

uint64_t mr_nursery_count(const struct mr_nursery *nursery);

/* The encoded run of the entry that opens term 1: 32 bytes. */
const uint8_t *mr_nursery_first_run(const struct mr_nursery *nursery);

/* Makes another node known, with the digests of what rests here because this node leads it, or that one.
 * Nodes are numbered from 0 in the order in which they come. Errors: MR_EXISTS, MR_TOO_MANY, MR_MEMORY. */
int mr_nursery_meet(struct mr_nursery *nursery, uint64_t node, struct mr_digest *led,
                    struct mr_digest *followed);

/* Notes members, as they are placed: the first one is designated. One of them is on this node, the others on
 * nodes that it has met. Placements are numbered from 0 in the order in which they come.
 * Errors: MR_RANGE if there are too many or too few of them, MR_ABSENT, MR_TOO_MANY, MR_MEMORY. */
int mr_nursery_place(struct mr_nursery *nursery, const uint64_t *replicas, const uint64_t *nodes,
                     uint64_t count);

/* Births of groups placed alike are durable; the designated replica asks for votes at once.
 * Errors: MR_EXISTS, MR_MEMORY, MR_TOO_MANY; those before it are taken in then. */
int mr_nursery_take_in(struct mr_nursery *nursery, uint32_t placement, const uint64_t *groups, uint64_t count,
                       uint64_t tick);

/* Errors: MR_ABSENT. */
int mr_nursery_find(const struct mr_nursery *nursery, uint64_t group, struct mr_newborn *found);

/* The newborn becomes a whole replica. Errors: MR_ABSENT, MR_BUG if a write of it is in flight. */
int mr_nursery_remove(struct mr_nursery *nursery, uint64_t group);

/* Tells of each message of a frame's payload whether it is for a newborn, in `marks`, which has room for
 * MR_MESSAGES_ROWS_MAX. *plain: all are, and each of a kind that newborns understand.
 * Errors: as mr_messages_decode. */
int mr_nursery_sift(const struct mr_nursery *nursery, const uint8_t *payload, uint64_t length,
                    uint64_t payload_max, uint8_t *marks, uint64_t *rows, int *plain);

/* Takes in the messages marked as for newborns, of a payload just sifted, which `node` has sent. Those that
 * only a whole replica understands are marked as handed back, with all behind them for the same group: these
 * newborns have to be removed. *handed_back: how many. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_nursery_step(struct mr_nursery *nursery, const uint8_t *payload, uint64_t rows, uint64_t node,
                    uint64_t tick, uint8_t *marks, uint64_t *handed_back);

/* These promises are backed by what is on the disk. Errors: MR_MEMORY, MR_TOO_MANY, MR_BUG. */
int mr_nursery_durable(struct mr_nursery *nursery, const struct mr_promise *promises, uint64_t count,
                       uint64_t tick);

/* Whether another node, by its number, has been heard of lately: at first it has not. */
void mr_nursery_alive(struct mr_nursery *nursery, uint32_t number, int alive);

/* The newborns that have waited too long, and have nothing in flight: at most `room` of them, from the row at
 * *place on, which moves on. Returns how many; less than `room`: there are no more.
 *
 * Too long is an election timeout without a step, and for a leader whose entry a quorum has, committed_ticks.
 * While others still move, whoever waits for a node that is alive waits up to four timeouts, such a leader
 * one: the nodes are busy, and a thousand elections by timeout would not make them less so. */
uint64_t mr_nursery_late(const struct mr_nursery *nursery, uint64_t tick, uint32_t *place, uint64_t *groups,
                         uint64_t room);

/* What is to be written, and that it was handed over. */
void mr_nursery_writes(const struct mr_nursery *nursery, struct mr_first_writes *writes);
void mr_nursery_written(struct mr_nursery *nursery);

/* Messages that wait for a node, by its number. */
uint64_t mr_nursery_waiting(const struct mr_nursery *nursery, uint32_t number);

/* Seals the next frame for a node, of at most MR_MESSAGES_ROWS_MAX messages, and tells their groups. `room`:
 * of `target`, MR_NURSERY_FRAME is always enough; `groups` has room for all of them.
 * Errors: MR_GROW; nothing has changed then. */
#define MR_NURSERY_FRAME 442600
int mr_nursery_seal(struct mr_nursery *nursery, uint32_t number, uint64_t kind, uint64_t directory_index,
                    uint8_t *target, uint64_t room, uint64_t *groups, uint64_t *rows, uint64_t *length);

/* cffi: end */

#endif /* MR_NURSERY_H */
