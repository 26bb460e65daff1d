/* mr_inflights: the sliding window of append messages that one follower has not acknowledged yet. */
#ifndef MR_INFLIGHTS_H
#define MR_INFLIGHTS_H

#include "mr_base.h"

/* cffi: begin */

/* One message in flight. */
struct mr_inflight {
    uint64_t index; /* of its last entry */
    uint64_t bytes; /* of its payload */
};

/* The window is a ring: `count` records, the oldest at `start`, indexes strictly increasing.
 * count <= capacity <= size and start < capacity (or both 0); bytes is the sum over the records. */
struct mr_inflights {
    struct mr_inflight *records; /* the caller's memory, for `capacity` records */
    uint32_t capacity;           /* records that the memory holds; 0 while there is none */
    uint32_t size;               /* messages that may be in flight; 0: always full */
    uint32_t start;
    uint32_t count;
    uint64_t bytes;
    uint64_t max_bytes; /* soft: the message that crosses it is still taken; 0: no limit */
};

/* Makes `window` empty and without memory. */
void mr_inflights_init(struct mr_inflights *window, uint32_t size, uint64_t max_bytes);

/* 1 if no further message may be sent, else 0. */
int mr_inflights_full(const struct mr_inflights *window);

/* The capacity that the next mr_inflights_grow should bring: 1, 2, 4, ... up to the size. */
uint32_t mr_inflights_next_capacity(const struct mr_inflights *window);

/* Moves the window into `records`, memory for `capacity` of them. The old memory is the caller's to drop;
 * the new one must live until the next grow, reset or the window's end.
 * Errors: MR_BUG if the new memory is not larger than the old, or larger than the size. */
int mr_inflights_grow(struct mr_inflights *window, struct mr_inflight *records, uint32_t capacity);

/* Notes a message in flight.
 * Errors, all of which leave the window as it was:
 * MR_FULL (ask mr_inflights_full first), MR_ORDER if the index is not above the newest one,
 * MR_GROW if the memory is used up: call mr_inflights_grow and repeat. */
int mr_inflights_add(struct mr_inflights *window, uint64_t index, uint64_t bytes);

/* Forgets all messages up to `index`. Nothing happens if that is left of the window.
 * Errors: MR_BUG if the window is inconsistent; it is left as it was. */
int mr_inflights_free_le(struct mr_inflights *window, uint64_t index);

/* Forgets the oldest message, if there is one. Errors: as mr_inflights_free_le. */
int mr_inflights_free_first_one(struct mr_inflights *window);

/* Forgets everything, the memory too: a replica that rests needs none. */
void mr_inflights_reset(struct mr_inflights *window);

/* cffi: end */

#endif /* MR_INFLIGHTS_H */
