/* mr_logtable: the inside of an index, for the parts of it only. */
#ifndef MR_LOGTABLE_H
#define MR_LOGTABLE_H

#include "mr_logindex.h"
#include "mr_map.h"

enum { MR_SLAB = 128, MR_LINE = 64 };

_Static_assert(sizeof(struct mr_log) % MR_LINE == 0, "every log begins where a cache line does");

/* One batch in flight and what it takes to undo it. */
struct mr_change {
    uint64_t seq;
    uint64_t live_bytes_before;
    MR_ARRAY(uint8_t) undo;  /* records, each with its footer behind it */
    MR_ARRAY(uint64_t) died; /* the carrier of each item that lives no more */
    MR_ARRAY(struct mr_stored) retired;
    MR_ARRAY(void *) garbage;  /* bodies that were replaced: freed once the batch is durable */
    MR_ARRAY(uint32_t) buried; /* places of removed replicas: free once the batch is durable */
};

struct mr_logindex {
    struct mr_map places;
    MR_ARRAY(struct mr_log *) slabs; /* MR_SLAB logs each: a log never moves */
    MR_ARRAY(uint32_t) free_places;
    uint32_t used_places;
    struct mr_map tombstone_places;
    MR_ARRAY(struct mr_tombstone) tombstones;
    struct mr_ledger ledger;
    MR_ARRAY(struct mr_change *) in_flight; /* oldest first */
    MR_ARRAY(struct mr_change *) spare;
    uint64_t rescues;
    uint64_t entries; /* taken in by changes and recovery, whatever has become of them */
    uint64_t gap;     /* recovery: the oldest batch that is missing; 0: none is */
    MR_ARRAY(struct mr_doubted) doubted;
    MR_ARRAY(uint64_t) missed; /* groups that were written of there, and that nothing is known of yet */
    int missed_all;            /* they may be any */
};

static inline struct mr_log *mr_log_at(const struct mr_logindex *index, uint32_t place) {
    return &index->slabs.items[place / MR_SLAB][place % MR_SLAB];
}

/* The log of a replica; NULL if the group has none here or another one. */
struct mr_log *mr_log_of(const struct mr_logindex *index, uint64_t group, uint64_t replica, uint32_t *place);

/* Before a row is taken: has the memory brought up that the rows behind it will need. With thousands of
 * groups all of it is cold; each step needs what an earlier one has asked for. */
void mr_logindex_look_ahead(const struct mr_logindex *index, const struct mr_rows *rows);

/* Takes a place for a log and begins it. Errors: MR_MEMORY. */
int mr_log_settle(struct mr_logindex *index, uint64_t group, uint64_t replica, uint32_t *place);

/* Makes a place free again; nobody finds it any more. */
void mr_log_vacate(struct mr_logindex *index, uint32_t place);

/* A copy of a body. Errors: MR_MEMORY, MR_TOO_LARGE. */
int mr_body_copy(const uint8_t *bytes, uint32_t length, struct mr_body *copy);

/* Adds a tombstone or replaces the group's. Errors: MR_MEMORY. */
int mr_tombstone_put(struct mr_logindex *index, const struct mr_tombstone *tombstone);
struct mr_tombstone *mr_tombstone_find(const struct mr_logindex *index, uint64_t group);
void mr_tombstone_remove(struct mr_logindex *index, uint64_t group);

/* `items` of batch `carrier` came to life (negative: died). 0 carries what is written nowhere. */
int mr_logindex_count(struct mr_logindex *index, uint64_t carrier, int64_t items);

/* For the change at hand: the newest batch in flight. */
struct mr_change *mr_newest_change(const struct mr_logindex *index);

/* An item in batch `carrier` is dead. */
int mr_change_die(struct mr_logindex *index, struct mr_change *change, uint64_t carrier);

/* The runs of these segments are dead. */
int mr_change_forget(struct mr_logindex *index, struct mr_change *change, const struct mr_log *log,
                     uint32_t position, uint32_t count);

/* A small state is written in this batch; its value and origin are the caller's to set. */
int mr_change_carry(struct mr_logindex *index, struct mr_change *change, struct mr_log *log, int state);

/* Drops all entries; the log stands at `entry`. */
int mr_change_empty(struct mr_logindex *index, struct mr_change *change, uint32_t place, struct mr_log *log,
                    uint64_t entry);

/* Points a segment at the newest batch: its live part stands there as a run. Errors: MR_MEMORY, MR_RANGE. */
int mr_change_move_run(struct mr_logindex *index, uint32_t place, uint32_t position,
                       const struct mr_span *span);

/* Recovery of a log of which batches are missing: see mr_doubt.c. A log that is first heard of behind them;
 * a run that is about to be taken in; a truncation, a hard state or a birth that has been; what could not be.
 */
void mr_doubt_begin(const struct mr_logindex *index, struct mr_log *log);
void mr_doubt_run(const struct mr_logindex *index, struct mr_log *log, const struct mr_run_shape *shape,
                  uint64_t origin);
void mr_doubt_point(struct mr_log *log, uint64_t entry, int emptied);
void mr_doubt_misfit(struct mr_log *log);

/* Brings a log into order of which parts are missing, and notes what is in doubt. `gone`: the log has no
 * birth and must be given up. Errors: MR_MEMORY. */
int mr_doubt_settle(struct mr_logindex *index, struct mr_log *log, int *gone);

/* Frees what a change holds. */
void mr_change_free(struct mr_change *change);

#endif /* MR_LOGTABLE_H */
