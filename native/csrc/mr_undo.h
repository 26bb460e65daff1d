/* mr_undo: records of what a change has done to the index, and taking it back. */
#ifndef MR_UNDO_H
#define MR_UNDO_H

#include "mr_logtable.h"

/* Each notes what is about to be done, so that a failure to note leaves nothing undone.
 * Errors: MR_MEMORY, MR_TOO_MANY. */

/* The head of a log changes; noted once a batch. */
int mr_undo_head(struct mr_change *change, uint32_t place, struct mr_log *log);

/* A row is appended that `adds` so many segments, none or one, at the end and may change the hard state: what
 * it changes of the head is noted with each row, in a third of the memory of the whole. */
int mr_undo_step(struct mr_change *change, uint32_t place, const struct mr_log *log, uint32_t adds);

/* `count` terms are added at the end. */
int mr_undo_terms_added(struct mr_change *change, uint32_t place, uint32_t count);

/* `count` segments, or terms, are taken out from `position` on. */
int mr_undo_segments_removed(struct mr_change *change, uint32_t place, const struct mr_log *log,
                             uint32_t position, uint32_t count);
int mr_undo_terms_removed(struct mr_change *change, uint32_t place, const struct mr_log *log,
                          uint32_t position, uint32_t count);

/* The segment at `position` is replaced or shortened. */
int mr_undo_segment_replaced(struct mr_change *change, uint32_t place, const struct mr_log *log,
                             uint32_t position);

/* A replica is born at a place, or the one there is removed. */
int mr_undo_born(struct mr_change *change, uint32_t place);
int mr_undo_buried(struct mr_change *change, uint32_t place);

/* The members of the snapshot point are replaced. */
int mr_undo_members(struct mr_change *change, uint32_t place, const struct mr_log *log);

/* The tombstone of a group is set; `before` is NULL if there was none. */
int mr_undo_tombstone(struct mr_change *change, uint64_t group, const struct mr_tombstone *before);

/* Takes everything back, newest first, and counts the dead as alive again. Errors: MR_BUG, MR_MEMORY. */
int mr_undo_all(struct mr_logindex *index, struct mr_change *change);

#endif /* MR_UNDO_H */
