/* mr_digest: the resting groups of one pair of nodes, where each rests, and a sum over all of them by which
 * both sides see whether they agree.
 *
 * A list of such groups, as it travels: 24 bytes for each, by ascending group: group, term, commit, 8 bytes
 * each, little-endian. The digest owns its memory. */
#ifndef MR_DIGEST_H
#define MR_DIGEST_H

#include "mr_base.h"

/* cffi: begin */

/* Bytes of a group in a list. */
#define MR_LISTED_SIZE 24

struct mr_digest;

/* NULL: no memory. */
struct mr_digest *mr_digest_new(void);
void mr_digest_free(struct mr_digest *digest);

/* How many groups rest. */
uint64_t mr_digest_count(const struct mr_digest *digest);

/* The sum over all of them of 64 bits in which every bit of group, term and commit counts; modulo 2^64, so
 * that the order in which they came does not. */
uint64_t mr_digest_total(const struct mr_digest *digest);

/* A group rests that did not. Errors: MR_TWICE, MR_TOO_MANY, MR_MEMORY; nothing has changed then. */
int mr_digest_add(struct mr_digest *digest, uint64_t group, uint64_t term, uint64_t commit);

/* A group does not rest any more. Errors: MR_ABSENT. */
int mr_digest_remove(struct mr_digest *digest, uint64_t group);

/* 1 and the term and the commit at `point` if the group rests, else 0. */
int mr_digest_find(const struct mr_digest *digest, uint64_t group, uint64_t *point);

/* Lists the groups in [low, high), the first `room` of them. Returns how many. */
uint64_t mr_digest_list(const struct mr_digest *digest, uint64_t low, uint64_t high, uint8_t *list,
                        uint64_t room);

/* Whether `length` bytes are a list. Errors: MR_LENGTH, MR_ORDER if the groups do not ascend. */
int mr_listed_check(const uint8_t *list, uint64_t length);

/* The groups in [low, high) that a list of `count` does not have, or has at another point: the first `room`
 * of them. Returns how many. */
uint64_t mr_digest_unlike(const struct mr_digest *digest, uint64_t low, uint64_t high, const uint8_t *list,
                          uint64_t count, uint64_t *groups, uint64_t room);

/* The groups of a list of `count` that do not rest here; there is room for `count`. Returns how many. */
uint64_t mr_digest_strange(const struct mr_digest *digest, const uint8_t *list, uint64_t count,
                           uint64_t *groups);

/* cffi: end */

#endif /* MR_DIGEST_H */
