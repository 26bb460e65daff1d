#include "mr_groups.h"

#include "mr_array.h"
#include "mr_map.h"

/* Columns: a tick looks at every row's due tick and at little else. A free row has group 0, which no replica
 * has, never comes due, and names the place that was freed before it. */
struct mr_groups {
    struct mr_map places;
    MR_ARRAY(uint64_t) due;
    MR_ARRAY(uint64_t) group;
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
        status = mr_array_reserve(&table->freed, (uint64_t)table->due.count + 1);
    }
    return status;
}

int mr_groups_add(struct mr_groups *table, uint64_t group, uint32_t *place) {
    MR_ASSERT(group != 0);
    if (mr_map_get(&table->places, group) != MR_NOWHERE) {
        return MR_EXISTS;
    }
    int status = mr_map_reserve(&table->places);
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
        table->due.items[*place] = MR_NEVER;
    }
    table->group.items[*place] = group;
    mr_map_put(&table->places, group, *place);
    return MR_OK;
}

int mr_groups_remove(struct mr_groups *table, uint64_t group) {
    uint32_t place = mr_map_get(&table->places, group);
    if (place == MR_NOWHERE) {
        return MR_ABSENT;
    }
    mr_map_remove(&table->places, group);
    table->group.items[place] = 0;
    table->due.items[place] = MR_NEVER;
    table->freed.items[table->freed.count++] = place;
    return MR_OK;
}

int mr_groups_due_at(struct mr_groups *table, uint32_t place, uint64_t tick) {
    MR_ASSERT(place < table->due.count && table->group.items[place] != 0);
    table->due.items[place] = tick;
    return MR_OK;
}

uint64_t mr_groups_due(const struct mr_groups *table, uint64_t tick, uint32_t *place, uint64_t *groups,
                       uint64_t room) {
    uint64_t found = 0;
    uint32_t at = *place;
    for (; at < table->due.count && found < room; at++) {
        if (table->due.items[at] <= tick) {
            groups[found++] = table->group.items[at];
        }
    }
    *place = at;
    return found;
}
