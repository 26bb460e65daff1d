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

/* The row comes due at `tick`. Errors: MR_BUG if the place is free, or its replica put away. */
int mr_groups_due_at(struct mr_groups *table, uint32_t place, uint64_t tick);

/* What a replica is that rests and has no object: its row says all of it. */
struct mr_dormant {
    uint64_t term;
    uint64_t vote;
    uint64_t lead;
    uint64_t index;    /* the end of its log */
    uint64_t commands; /* applied since the node started */
    uint32_t timeout;  /* in ticks */
    uint32_t leads;    /* 0 or 1 */
};

/* Puts the replica of the row away: it never comes due. Errors: MR_BUG if the place is free, or put away. */
int mr_groups_put_away(struct mr_groups *table, uint32_t place, const struct mr_dormant *dormant);

/* Looks at a group's row. Errors: MR_ABSENT if there is none, or it is not put away. */
int mr_groups_look(const struct mr_groups *table, uint64_t group, uint32_t *place,
                   struct mr_dormant *dormant);

/* The row at this place is put away no more. Errors: MR_BUG if it is free, or not put away. */
int mr_groups_take_up(struct mr_groups *table, uint32_t place);

/* Rows that are put away. */
uint64_t mr_groups_dormant(const struct mr_groups *table);

/* What the rows that are put away say, all together. */
struct mr_dormant_totals {
    uint64_t leading;
    uint64_t ready;     /* their log holds an entry: it ends behind index 1, where every group is born */
    uint64_t led_ready; /* both */
    uint64_t entries;   /* behind that index */
    uint64_t max_term;  /* 0 if there are none */
};
void mr_groups_sum_dormant(const struct mr_groups *table, struct mr_dormant_totals *totals);

/* The groups that are put away, as mr_groups_due hands out those that are due. */
uint64_t mr_groups_list_dormant(const struct mr_groups *table, uint32_t *place, uint64_t *groups,
                                uint64_t room);

/* The groups whose tick has come, in the order of their places: at most `room` of them into `groups`, from
 * the row at *place on, which moves behind the last one looked at. Returns how many; less than `room`: there
 * are no more. */
uint64_t mr_groups_due(struct mr_groups *table, uint64_t tick, uint32_t *place, uint64_t *groups,
                       uint64_t room);

/* No group's tick comes before this one, as far as is known without a pass over all rows. */
uint64_t mr_groups_soonest(const struct mr_groups *table);

/* cffi: end */

#endif /* MR_GROUPS_H */
