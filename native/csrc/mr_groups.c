#include "mr_groups.h"

#include "mr_array.h"
#include "mr_map.h"

/* Columns: a tick looks at every row's due tick and at little else. A free row has group 0, which no replica
 * has, never comes due, and names the place that was freed before it. */
struct mr_groups {
    struct mr_map places;
    MR_ARRAY(uint64_t) due;
    MR_ARRAY(uint64_t) group;
    MR_ARRAY(struct mr_dormant) dormant; /* term 0: the row is not put away */
    uint64_t put_away;
    uint64_t soonest;         /* no row comes due before this tick */
    uint64_t least;           /* the same of the rows that a pass over them has looked at */
    MR_ARRAY(uint32_t) freed; /* places, the latest last; room for all rows, so that freeing cannot fail */
};

struct mr_groups *mr_groups_new(void) {
    return calloc(1, sizeof(struct mr_groups));
}

void mr_groups_free(struct mr_groups *table) {
    if (table != NULL) {
        mr_map_clear(&table->places);
        mr_array_free(&table->due);
        mr_array_free(&table->group);
        mr_array_free(&table->dormant);
        mr_array_free(&table->freed);
        free(table);
    }
}

uint64_t mr_groups_count(const struct mr_groups *table) {
    return table->places.count;
}

static int reserve_row(struct mr_groups *table) {
    int status = mr_array_reserve(&table->due, 1);
    if (status == MR_OK) {
        status = mr_array_reserve(&table->group, 1);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&table->dormant, 1);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&table->freed, (uint64_t)table->due.count + 1);
    }
    return status;
}

int mr_groups_add(struct mr_groups *table, uint64_t group, uint32_t *place) {
    MR_ASSERT(group != 0);
    if (mr_map_get(&table->places, group) != MR_NOWHERE) {
        return MR_EXISTS;
    }
    int status = mr_map_reserve(&table->places, group);
    if (status == MR_OK && table->freed.count == 0) {
        status = reserve_row(table);
    }
    if (status != MR_OK) {
        return status;
    }
    if (table->freed.count > 0) {
        *place = table->freed.items[--table->freed.count];
    } else {
        *place = table->due.count++;
        table->group.count++;
        table->dormant.count++;
        table->due.items[*place] = MR_NEVER;
    }
    table->group.items[*place] = group;
    table->dormant.items[*place].term = 0;
    mr_map_put(&table->places, group, *place);
    return MR_OK;
}

int mr_groups_remove(struct mr_groups *table, uint64_t group) {
    uint32_t place = mr_map_get(&table->places, group);
    if (place == MR_NOWHERE) {
        return MR_ABSENT;
    }
    mr_map_remove(&table->places, group);
    if (table->dormant.items[place].term != 0) {
        table->dormant.items[place].term = 0;
        table->put_away--;
    }
    table->group.items[place] = 0;
    table->due.items[place] = MR_NEVER;
    table->freed.items[table->freed.count++] = place;
    return MR_OK;
}

int mr_groups_due_at(struct mr_groups *table, uint32_t place, uint64_t tick) {
    MR_ASSERT(place < table->due.count && table->group.items[place] != 0);
    MR_ASSERT(table->dormant.items[place].term == 0);
    table->due.items[place] = tick;
    table->soonest = tick < table->soonest ? tick : table->soonest;
    table->least = tick < table->least ? tick : table->least;
    return MR_OK;
}

int mr_groups_put_away(struct mr_groups *table, uint32_t place, const struct mr_dormant *dormant) {
    MR_ASSERT(place < table->due.count && table->group.items[place] != 0);
    MR_ASSERT(table->dormant.items[place].term == 0 && dormant->term != 0);
    table->due.items[place] = MR_NEVER;
    table->dormant.items[place] = *dormant;
    table->put_away++;
    return MR_OK;
}

int mr_groups_look(const struct mr_groups *table, uint64_t group, uint32_t *place,
                   struct mr_dormant *dormant) {
    uint32_t found = mr_map_get(&table->places, group);
    if (found == MR_NOWHERE || table->dormant.items[found].term == 0) {
        return MR_ABSENT;
    }
    *place = found;
    *dormant = table->dormant.items[found];
    return MR_OK;
}

int mr_groups_take_up(struct mr_groups *table, uint32_t place) {
    MR_ASSERT(place < table->due.count && table->dormant.items[place].term != 0);
    table->dormant.items[place].term = 0;
    table->put_away--;
    return MR_OK;
}

uint64_t mr_groups_dormant(const struct mr_groups *table) {
    return table->put_away;
}

void mr_groups_sum_dormant(const struct mr_groups *table, struct mr_dormant_totals *totals) {
    *totals = (struct mr_dormant_totals){0};
    for (uint32_t at = 0; at < table->dormant.count; at++) {
        const struct mr_dormant *one = &table->dormant.items[at];
        if (one->term == 0) {
            continue;
        }
        int ready = one->index > 1;
        totals->leading += one->leads;
        totals->ready += (uint64_t)ready;
        totals->led_ready += (uint64_t)(ready && one->leads);
        totals->entries += ready ? one->index - 1 : 0;
        totals->max_term = one->term > totals->max_term ? one->term : totals->max_term;
    }
}

uint64_t mr_groups_list_dormant(const struct mr_groups *table, uint32_t *place, uint64_t *groups,
                                uint64_t room) {
    uint64_t found = 0;
    uint32_t at = *place;
    for (; at < table->due.count && found < room; at++) {
        if (table->dormant.items[at].term != 0) {
            groups[found++] = table->group.items[at];
        }
    }
    *place = at;
    return found;
}

uint64_t mr_groups_soonest(const struct mr_groups *table) {
    return table->soonest;
}

uint64_t mr_groups_due(struct mr_groups *table, uint64_t tick, uint32_t *place, uint64_t *groups,
                       uint64_t room) {
    uint64_t found = 0;
    uint32_t at = *place;
    if (at == 0 && tick < table->soonest) {
        *place = table->due.count;
        return 0;
    }
    uint64_t least = at == 0 ? MR_NEVER : table->least;
    for (; at < table->due.count && found < room; at++) {
        uint64_t due = table->due.items[at];
        least = due < least ? due : least;
        if (due <= tick) {
            groups[found++] = table->group.items[at];
        }
    }
    table->least = least;
    if (at == table->due.count) {
        table->soonest = least;
    }
    *place = at;
    return found;
}
