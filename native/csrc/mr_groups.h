/* mr_groups: the group table, one row for each replica of a node.
 *
 * A row's place is fixed for its life; free places are used again, the latest first. The table owns its
 * memory. */
#ifndef MR_GROUPS_H
#define MR_GROUPS_H

#include "mr_base.h"

/* cffi: begin */

/* A tick that never comes. */
#define MR_NEVER 0xFFFFFFFFFFFFFFFF

struct mr_groups;

/* NULL: no memory. */
struct mr_groups *mr_groups_new(void);
void mr_groups_free(struct mr_groups *table);

/* Rows in use. */
uint64_t mr_groups_count(const struct mr_groups *table);

/* Gives a group a row, at *place, that never comes due.
 * Errors: MR_EXISTS, MR_TOO_MANY, MR_MEMORY; nothing has changed then. */
int mr_groups_add(struct mr_groups *table, uint64_t group, uint32_t *place);

/* Takes a row back. Errors: MR_ABSENT. */
int mr_groups_remove(struct mr_groups *table, uint64_t group);

/* The row comes due at `tick`. Errors: MR_BUG if the place is free. */
int mr_groups_due_at(struct mr_groups *table, uint32_t place, uint64_t tick);

/* The groups whose tick has come, in the order of their places: at most `room` of them into `groups`, from
 * the row at *place on, which moves behind the last one looked at. Returns how many; less than `room`: there
 * are no more. */
uint64_t mr_groups_due(const struct mr_groups *table, uint64_t tick, uint32_t *place, uint64_t *groups,
                       uint64_t room);

/* cffi: end */

#endif /* MR_GROUPS_H */
