/* mr_logdump: the index as bytes and back, for a file that saves a scan of the whole log.
 *
 * The bytes are those of this machine's numbers; whoever keeps them notes the byte order and a version. They
 * are written in slices between which the index may change: each log says as of which batch it is, and
 * recovery, which then takes all batches from the one on behind which the first slice was written, leaves out
 * what that log knows already. Batches that were deleted since are given at loading: what a log points at in
 * them stands, rewritten, in a later one. */
#ifndef MR_LOGDUMP_H
#define MR_LOGDUMP_H

#include "mr_logindex.h"

/* cffi: begin */

/* How far a dump is, and what its last call wrote. All zero: at the beginning. */
struct mr_log_dump {
    uint64_t place;     /* of the next log */
    uint64_t tombstone; /* the next one's number */
    uint64_t seq;       /* the batch written last */
    uint64_t written;   /* bytes; if MR_GROW is returned, the bytes that the next log needs */
};

/* Writes logs that fit `room` bytes, each as of batch `as_of`; none are left if nothing is written.
 * Errors: MR_GROW if not even one fits. */
int mr_logdump_logs(const struct mr_logindex *index, uint64_t as_of, struct mr_log_dump *dump,
                    uint8_t *target, uint64_t room);

/* Writes tombstones, and batches up to `until`, likewise. */
int mr_logdump_tombstones(const struct mr_logindex *index, struct mr_log_dump *dump, uint8_t *target,
                          uint64_t room);
int mr_logdump_batches(const struct mr_logindex *index, uint64_t until, struct mr_log_dump *dump,
                       uint8_t *target, uint64_t room);

/* What these wrote, into an index that is being recovered. Nothing is found in batches below `oldest` or
 * above `newest`. Errors: MR_LENGTH and MR_RANGE if it cannot have been written by them, MR_EXISTS, MR_ORDER,
 * MR_TOO_LARGE, MR_MEMORY; the index can only be freed then. */
int mr_logload_logs(struct mr_logindex *index, const uint8_t *data, uint64_t length, uint64_t oldest,
                    uint64_t newest);
int mr_logload_tombstones(struct mr_logindex *index, const uint8_t *data, uint64_t length);
int mr_logload_batches(struct mr_logindex *index, const uint8_t *data, uint64_t length, uint64_t oldest);

/* cffi: end */

#endif /* MR_LOGDUMP_H */
