/* mr_logindex: the index of a log store in memory, for all replicas of a node.
 *
 * Two ways lead to the same index. A *change* is one batch as it is handed to the writer: it is checked
 * against what is there and can be undone until the batch is durable. *Recovery* takes the stored batches one
 * after the other, with less to lean on: rewritten items come late in the scan and keep the place of their
 * origin. Both read the very same bytes.
 *
 * The index owns its memory. A call that fails with anything but MR_MEMORY or a refusal of its input has
 * found a bug; after any failure within a change the change must be undone. */
#ifndef MR_LOGINDEX_H
#define MR_LOGINDEX_H

#include "mr_ledger.h"
#include "mr_log.h"
#include "mr_rows.h"

/* cffi: begin */

struct mr_logindex;

#define MR_PLACE_NONE 0xFFFFFFFF

/* Where a call stopped. */
struct mr_log_failure {
    uint64_t group;
    uint64_t index;
};

/* A tombstone: the highest replica of the group that was removed here. `group` 0: there is none. */
struct mr_tombstone {
    uint64_t group;
    uint64_t replica;
    uint64_t carrier;
    uint64_t origin;
};

/* What the index holds altogether. */
struct mr_log_totals {
    uint64_t replicas;
    uint64_t tombstones;
    uint64_t batches;
    uint64_t stored_bytes;
    uint64_t live_bytes;
    uint64_t oldest;  /* sequence number of the oldest batch; 0: none */
    uint64_t chunks;  /* of all batches */
    uint64_t entries; /* appended, or found by recovery, since the index was made */
};

/* NULL: no memory. */
struct mr_logindex *mr_logindex_new(void);
void mr_logindex_free(struct mr_logindex *index);

/* ---- looking ---- */

void mr_logindex_totals(const struct mr_logindex *index, struct mr_log_totals *totals);

/* Bytes of memory that the index takes, about; looks at every log. */
uint64_t mr_logindex_memory(const struct mr_logindex *index);

/* Where the replica of a group lives, or MR_PLACE_NONE. */
uint32_t mr_logindex_find(const struct mr_logindex *index, uint64_t group);

/* The places in use are some of 0 .. count - 1. */
uint32_t mr_logindex_places(const struct mr_logindex *index);

/* The group that lives at a place, 0 if none does. */
uint64_t mr_logindex_group(const struct mr_logindex *index, uint32_t place);

/* Tells the replicas that lived at one place from each other; the pointer is good for as long as the index.
 */
const uint64_t *mr_logindex_life(const struct mr_logindex *index, uint32_t place);

/* The head of the log at a place; the pointer likewise. */
const struct mr_log_head *mr_logindex_head(const struct mr_logindex *index, uint32_t place);

/* The bodies of the birth and of the members of the last snapshot point (length 0: as in the birth); valid
 * until the next change. Returns the length. */
uint32_t mr_logindex_birth(const struct mr_logindex *index, uint32_t place, const uint8_t **body);
uint32_t mr_logindex_members(const struct mr_logindex *index, uint32_t place, const uint8_t **body);

/* The term at an index of the log at a place; 0 before its point and behind its end. */
uint64_t mr_logindex_term(const struct mr_logindex *index, uint32_t place, uint64_t entry);

/* Where the entries [low, high), which are present, stand: at most `room` spans, ascending, the first one
 * beginning at `low`. Returns how many. */
uint32_t mr_logindex_spans(const struct mr_logindex *index, uint32_t place, uint64_t low, uint64_t high,
                           struct mr_span *spans, uint32_t room);

/* Bytes of the runs of the log at a place. */
uint64_t mr_logindex_log_bytes(const struct mr_logindex *index, uint32_t place);

/* A run that has live entries and stands in the batch that was asked for. `place` and `position` say where to
 * go on looking; both are 0 to begin with. */
struct mr_carried {
    uint64_t group;
    uint64_t first; /* entry */
    uint64_t end;   /* behind its last live entry */
    uint64_t at;
    uint64_t length;
    uint32_t place;
    uint32_t position;
};

/* Finds the next live run in batch `seq`; 0 if there is none. Looks at every log. */
int mr_logindex_carried(const struct mr_logindex *index, uint64_t seq, struct mr_carried *found);

void mr_logindex_tombstone(const struct mr_logindex *index, uint64_t group, struct mr_tombstone *found);
void mr_logindex_tombstone_at(const struct mr_logindex *index, uint64_t number, struct mr_tombstone *found);

/* The batch of a sequence number (0: the oldest one) and the one behind it, `seq` 0 if there is none. */
void mr_logindex_batch(const struct mr_logindex *index, uint64_t seq, struct mr_stored *stored);
void mr_logindex_batch_after(const struct mr_logindex *index, uint64_t seq, struct mr_stored *stored);

/* ---- changes ---- */

/* Begins batch `seq`. Errors: MR_ORDER if it is not above all others, MR_MEMORY. */
int mr_logindex_begin(struct mr_logindex *index, uint64_t seq);

/* The newest batch has this size. */
int mr_logindex_measure(struct mr_logindex *index, uint64_t seq, uint32_t chunks, uint64_t size);

/* The oldest change is durable: it cannot be undone any more. */
int mr_logindex_finish(struct mr_logindex *index, uint64_t seq);

/* The newest change is taken back whole. */
int mr_logindex_undo(struct mr_logindex *index, uint64_t seq);

/* A replica begins to exist. Errors: MR_EXISTS if one does, MR_REMOVED if this one was removed, MR_MEMORY. */
int mr_logindex_bear(struct mr_logindex *index, uint64_t group, uint64_t replica, const uint8_t *body,
                     uint32_t length);

/* A log is emptied and stands at a snapshot. Errors: MR_ABSENT, MR_MEMORY. */
int mr_logindex_reset(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t point_index,
                      uint64_t point_term, const uint8_t *members, uint32_t length);

/* A replica is removed; it need not exist. `known` tells whether that is written already, in which case
 * nothing happens. Errors: MR_EXISTS if another replica lives here, MR_MEMORY. */
int mr_logindex_bury(struct mr_logindex *index, uint64_t group, uint64_t replica, int *known);

/* Appended rows, up to row `until`. Errors, with `failure`: MR_ABSENT replica, MR_GAP before the entries,
 * MR_COMPACTED entries, MR_NO_ENTRY to truncate at, a bad run (see mr_run_look), MR_RANGE, MR_MEMORY. */
int mr_logindex_append(struct mr_logindex *index, struct mr_rows *rows, uint64_t until,
                       struct mr_log_failure *failure);

/* A small state, or a tombstone, is written again in the newest batch. */
int mr_logindex_move_state(struct mr_logindex *index, uint32_t place, uint32_t state);
int mr_logindex_move_tombstone(struct mr_logindex *index, uint64_t group);

/* The oldest batch goes with this transaction. Errors: MR_BUG if something in it is alive, MR_MEMORY. */
int mr_logindex_retire(struct mr_logindex *index);

/* Batches that the change of `seq` retired, oldest first: the one of this number. `seq` 0: there is none. */
void mr_logindex_retired(const struct mr_logindex *index, uint64_t seq, uint64_t number,
                         struct mr_stored *stored);

/* ---- recovery: oldest batch first ---- */

int mr_logindex_recover_batch(struct mr_logindex *index, uint64_t seq, uint32_t chunks, uint64_t size);
int mr_logindex_recover_birth(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t carrier,
                              uint64_t origin, const uint8_t *body, uint32_t length);
int mr_logindex_recover_point(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t seq,
                              uint64_t point_index, uint64_t point_term, const uint8_t *members,
                              uint32_t length);
int mr_logindex_recover_members(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t carrier,
                                uint64_t origin, const uint8_t *members, uint32_t length);
int mr_logindex_recover_tombstone(struct mr_logindex *index, uint64_t group, uint64_t replica,
                                  uint64_t carrier, uint64_t origin);

/* Rows of batch `seq`, up to row `until`; errors as mr_logindex_append, MR_TWICE, MR_EXISTS (of two replicas
 * at once). */
int mr_logindex_recover_rows(struct mr_logindex *index, uint64_t seq, struct mr_rows *rows, uint64_t until,
                             struct mr_log_failure *failure);

/* What may be wrong with a replica because batches are missing. */
#define MR_DOUBT_HARD 1    /* its term or vote may be newer */
#define MR_DOUBT_END 2     /* there may be entries behind the last one */
#define MR_DOUBT_ENTRIES 4 /* entries may be missing, or others have taken their place */
#define MR_DOUBT_BIRTH 8   /* its birth is missing: it is not in the index */

/* Such a replica; `group` 0: there is none. The last entry is the one that was promised unless its end is in
 * doubt; the log that is left may end before it. */
struct mr_doubted {
    uint64_t group;
    uint64_t replica;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t whole_from; /* entries from here on are those that were promised; before it they may not be */
    uint32_t doubts;
};

/* Batches from `first` to `last`, behind the one taken last, are missing or cannot be read. A log that was
 * loaded as of a later one knows what they said. */
void mr_logindex_recover_gap(struct mr_logindex *index, uint64_t first, uint64_t last);

/* The same if it is known of which groups they were: for each of them. Errors: MR_MEMORY. */
int mr_logindex_recover_gap_of(struct mr_logindex *index, uint64_t first, uint64_t last, uint64_t group);

/* After mr_logindex_recovered: the doubted replica of a number. */
void mr_logindex_doubted(const struct mr_logindex *index, uint64_t number, struct mr_doubted *found);

/* All batches are taken: checks every log and counts what is alive.
 * Errors, with `failure`: MR_ABSENT birth, MR_GAP at an entry that is missing. */
int mr_logindex_recovered(struct mr_logindex *index, struct mr_log_failure *failure);

/* cffi: end */

#endif /* MR_LOGINDEX_H */
