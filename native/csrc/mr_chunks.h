/* mr_chunks: a batch of the log cut into values, each of which says what it is. */
#ifndef MR_CHUNKS_H
#define MR_CHUNKS_H

#include "mr_base.h"

/* A value, little-endian; `engine/logstore/chunks.py` says what it means:
 *
 *   offset  bytes
 *        0      8  magic
 *        8      8  sequence number of the batch
 *       16      4  run
 *       20      4  number of the chunk
 *       24      4  count of chunks
 *       28      4  length of the body
 *       32      4  chain
 *       36      4  CRC32C of the 36 bytes before and of the body
 *       40    ...  body, then zeros up to the least length */

#define MR_CHUNKS_MAX 1048576 /* a batch has fewer */

/* cffi: begin */

#define MR_CHUNK_HEADER 40

/* How a batch is cut. */
struct mr_cut {
    uint64_t seq;
    uint32_t run;
    uint32_t chain;
    uint32_t full;  /* bytes of each value but the last */
    uint32_t least; /* bytes that the last one has at least; at most `full` */
};

/* How many values a batch of `length` bytes is cut into, at least one; 0: it cannot be cut so. */
uint64_t mr_chunks_count(uint64_t length, const struct mr_cut *cut);

/* Bytes that so many values of such a batch take, as mr_chunks_count has told. */
uint64_t mr_chunks_bytes(uint64_t length, uint64_t count, const struct mr_cut *cut);

/* Writes the values one behind the other into `target`, which has room for `room` bytes.
 * Errors: MR_RANGE if the batch cannot be cut so, MR_GROW if `room` is not enough. */
int mr_chunks_cut(const uint8_t *batch, uint64_t length, const struct mr_cut *cut, uint8_t *target,
                  uint64_t room);

/* cffi: end */

#endif /* MR_CHUNKS_H */
