/* mr_ledger: the account of a log's batches: how much is stored, how much of it is alive. */
#ifndef MR_LEDGER_H
#define MR_LEDGER_H

#include "mr_base.h"

/* cffi: begin */

/* A batch in the environment, or on its way there. */
struct mr_stored {
    uint64_t seq;
    uint64_t size; /* bytes that it takes; 0 until it is measured */
    uint32_t chunks;
    uint32_t live; /* items in it that the index points to: runs and small states. At 0 the batch can go. */
};

/* cffi: end */

/* The batches in the order of their sequence numbers, in a ring whose places follow the numbers without a
 * gap: a number that was never written (its commit failed) has a place with `seq` 0. */
struct mr_ledger {
    struct mr_stored *ring;
    uint64_t room; /* a power of two, or 0 */
    uint64_t head; /* place of the oldest; head < room */
    uint64_t count;
    uint64_t oldest; /* sequence number of the batch at `head`, if there is one */
    uint64_t batches;
    uint64_t stored_bytes;
    uint64_t live_bytes;
    uint64_t chunks;
};

void mr_ledger_clear(struct mr_ledger *ledger);

/* The batch of a sequence number, or NULL. */
struct mr_stored *mr_ledger_find(const struct mr_ledger *ledger, uint64_t seq);

/* The oldest batch and the newest one, or NULL. */
struct mr_stored *mr_ledger_oldest(const struct mr_ledger *ledger);
struct mr_stored *mr_ledger_newest(const struct mr_ledger *ledger);

/* A batch is being put together behind all others. Errors: MR_ORDER, MR_MEMORY. */
int mr_ledger_open(struct mr_ledger *ledger, uint64_t seq);

/* The batch is encoded and takes so much. Errors: MR_BUG. */
int mr_ledger_measure(struct mr_ledger *ledger, uint64_t seq, uint32_t chunks, uint64_t size);

/* The newest batch was not written after all. Errors: MR_BUG if it is not `seq`. */
int mr_ledger_withdraw(struct mr_ledger *ledger, uint64_t seq);

/* The oldest batch is deleted. Errors: MR_BUG if it still holds something alive. */
int mr_ledger_retire(struct mr_ledger *ledger, struct mr_stored *retired);

/* A batch that was retired last is not deleted after all. Errors: MR_MEMORY, MR_BUG. */
int mr_ledger_restore(struct mr_ledger *ledger, const struct mr_stored *retired);

#endif /* MR_LEDGER_H */
