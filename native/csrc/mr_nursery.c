#include "mr_nursery.h"

#include "mr_nursery_rows.h"

/* ---- its life ---- */

static int encode_first_run(uint8_t *run) {
    static const uint8_t counts[4] = {1};
    uint8_t numbers[24] = {0};
    const uint8_t type = 0;
    uint64_t end;
    uint64_t failed;
    mr_put_u64le(numbers, FIRST_TERM);
    mr_put_u64le(numbers + 8, FIRST_INDEX);
    return mr_runs_encode(counts, 1, numbers, &type, 1, &type, 0, run, FIRST_RUN, &end, &failed);
}

struct mr_nursery *mr_nursery_new(struct mr_groups *table, const struct mr_nursery_rules *rules) {
    struct mr_nursery *nursery = calloc(1, sizeof(*nursery));
    if (nursery != NULL) {
        nursery->table = table;
        nursery->rules = *rules;
        if (encode_first_run(nursery->first_run) != MR_OK) {
            free(nursery);
            return NULL;
        }
    }
    return nursery;
}

static void free_writes(struct mr_nursery *nursery) {
    mr_array_free(&nursery->write_groups);
    mr_array_free(&nursery->write_replicas);
    mr_array_free(&nursery->write_lengths);
    mr_array_free(&nursery->write_parts);
    mr_array_free(&nursery->write_hard);
    mr_array_free(&nursery->promises);
    nursery->runs = nursery->hards = 0;
}

static void free_rows(struct mr_nursery *nursery) {
    mr_map_clear(&nursery->places);
    mr_array_free(&nursery->rows);
    mr_array_free(&nursery->freed);
}

void mr_nursery_free(struct mr_nursery *nursery) {
    if (nursery != NULL) {
        for (uint32_t i = 0; i < nursery->neighbours.count; i++) {
            mr_array_free(&nursery->neighbours.items[i].waiting);
        }
        mr_array_free(&nursery->neighbours);
        mr_array_free(&nursery->placements);
        free_rows(nursery);
        free_writes(nursery);
        free(nursery);
    }
}

uint64_t mr_nursery_count(const struct mr_nursery *nursery) {
    return nursery->places.count;
}

const uint8_t *mr_nursery_first_run(const struct mr_nursery *nursery) {
    return nursery->first_run;
}

/* ---- who is where ---- */

/* The number of a node, NOBODY if it has not been met. */
static uint32_t number_of(const struct mr_nursery *nursery, uint64_t node) {
    for (uint32_t i = 0; i < nursery->neighbours.count; i++) {
        if (nursery->neighbours.items[i].node == node) {
            return i;
        }
    }
    return NOBODY;
}

int mr_nursery_meet(struct mr_nursery *nursery, uint64_t node, struct mr_digest *led,
                    struct mr_digest *followed) {
    if (node == nursery->rules.node || number_of(nursery, node) != NOBODY) {
        return MR_EXISTS;
    }
    int status = mr_array_reserve(&nursery->neighbours, 1);
    if (status == MR_OK) {
        nursery->neighbours.items[nursery->neighbours.count++] =
            (struct neighbour){.node = node, .led = led, .followed = followed};
    }
    return status;
}

int mr_nursery_place(struct mr_nursery *nursery, const uint64_t *replicas, const uint64_t *nodes,
                     uint64_t count) {
    struct placement placement = {.count = (uint32_t)count, .own = NOBODY};
    if (count < 2 || count > MR_NURSERY_MEMBERS) {
        return MR_RANGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = number_of(nursery, nodes[i]);
        if (nodes[i] == nursery->rules.node && placement.own == NOBODY) {
            placement.own = i;
        } else if (number == NOBODY) {
            return MR_ABSENT;
        }
        placement.members[i] = (struct member){.replica = replicas[i], .neighbour = number};
    }
    int status = placement.own == NOBODY ? MR_ABSENT : mr_array_reserve(&nursery->placements, 1);
    if (status == MR_OK) {
        nursery->placements.items[nursery->placements.count++] = placement;
    }
    return status;
}

/* ---- who comes and goes ---- */

static int reserve_rows(struct mr_nursery *nursery, uint64_t count) {
    int status = mr_array_reserve(&nursery->rows, count);
    if (status == MR_OK) { /* room for all rows, so that freeing cannot fail */
        status = mr_array_reserve(&nursery->freed, (uint64_t)nursery->rows.count + count);
    }
    return status == MR_OK ? mr_newborn_reserve(nursery, count) : status;
}

static uint32_t take_row(struct mr_nursery *nursery) {
    return nursery->freed.count > 0 ? nursery->freed.items[--nursery->freed.count] : nursery->rows.count++;
}

int mr_nursery_take_in(struct mr_nursery *nursery, uint32_t placement, const uint64_t *groups, uint64_t count,
                       uint64_t tick) {
    MR_ASSERT(placement < nursery->placements.count);
    int status = reserve_rows(nursery, count);
    for (uint64_t i = 0; status == MR_OK && i < count; i++) {
        if (groups[i] == 0 || mr_map_get(&nursery->places, groups[i]) != MR_NOWHERE) {
            return MR_EXISTS;
        }
        status = mr_map_reserve(&nursery->places, groups[i]);
        if (status != MR_OK) {
            return status;
        }
        uint32_t place = take_row(nursery);
        nursery->moved = tick;
        nursery->rows.items[place] = (struct newborn){
            .group = groups[i], .since = tick, .committed = MR_NEVER, .placement = placement};
        mr_map_put(&nursery->places, groups[i], place);
        if (nursery->placements.items[placement].own == 0) {
            status = mr_newborn_campaign(nursery, &nursery->rows.items[place], tick);
        }
    }
    return status;
}

void mr_newborn_forget(struct mr_nursery *nursery, struct newborn *one) {
    mr_map_remove(&nursery->places, one->group);
    nursery->freed.items[nursery->freed.count++] = (uint32_t)(one - nursery->rows.items);
    one->group = 0;
    if (nursery->places.count == 0) {
        free_rows(nursery);
    }
}

int mr_nursery_remove(struct mr_nursery *nursery, uint64_t group) {
    uint32_t place = mr_map_get(&nursery->places, group);
    if (place == MR_NOWHERE) {
        return MR_ABSENT;
    }
    MR_ASSERT(nursery->rows.items[place].in_flight == 0);
    mr_newborn_forget(nursery, &nursery->rows.items[place]);
    return MR_OK;
}

static uint64_t replica_at(const struct mr_nursery *nursery, const struct newborn *one, uint8_t member) {
    return member == 0 ? 0 : nursery->placements.items[one->placement].members[member - 1].replica;
}

int mr_nursery_find(const struct mr_nursery *nursery, uint64_t group, struct mr_newborn *found) {
    uint32_t place = mr_map_get(&nursery->places, group);
    if (place == MR_NOWHERE) {
        return MR_ABSENT;
    }
    const struct newborn *one = &nursery->rows.items[place];
    *found = (struct mr_newborn){.vote = replica_at(nursery, one, one->vote),
                                 .lead = replica_at(nursery, one, one->lead),
                                 .since = one->since,
                                 .placement = one->placement,
                                 .approving = one->approving,
                                 .stage = one->stage,
                                 .in_flight = one->in_flight,
                                 .committed = one->committed != MR_NEVER};
    return MR_OK;
}

/* ---- who waits ---- */

void mr_nursery_alive(struct mr_nursery *nursery, uint32_t number, int alive) {
    if (number < nursery->neighbours.count) {
        nursery->neighbours.items[number].alive = alive;
    }
}

/* Whether a newborn cannot go on without this member. */
static int waits_for(const struct newborn *one, uint32_t member) {
    switch (one->stage) {
    case MR_STAGE_NEW:
        return member == 0;
    case MR_STAGE_VOTED:
        return member + 1 == one->vote;
    case MR_STAGE_FOLLOWER:
        return member + 1 == one->lead;
    default:
        return !(one->approving >> member & 1);
    }
}

static int waits_for_living(const struct mr_nursery *nursery, const struct newborn *one) {
    const struct placement *placement = &nursery->placements.items[one->placement];
    for (uint32_t i = 0; i < placement->count; i++) {
        uint32_t number = placement->members[i].neighbour;
        if (number != NOBODY && nursery->neighbours.items[number].alive && waits_for(one, i)) {
            return 1;
        }
    }
    return 0;
}

/* Whether something that began in tick `since` has taken `ticks`, or `most` as long as others move. */
static int takes_too_long(const struct mr_nursery *nursery, const struct newborn *one, uint64_t since,
                          uint64_t ticks, uint64_t most, uint64_t tick) {
    uint64_t half = nursery->rules.election_ticks / 2;
    int others_move = nursery->moved + (ticks > half ? ticks : half) > tick;
    int may_wait = since + most > tick && others_move;
    return since + ticks <= tick && !(may_wait && waits_for_living(nursery, one));
}

uint64_t mr_nursery_late(const struct mr_nursery *nursery, uint64_t tick, uint32_t *place, uint64_t *groups,
                         uint64_t room) {
    const struct mr_nursery_rules *rules = &nursery->rules;
    uint64_t timeout = rules->election_ticks;
    uint64_t found = 0;
    uint32_t at = *place;
    for (; at < nursery->rows.count && found < room; at++) {
        const struct newborn *one = &nursery->rows.items[at];
        if (one->group == 0 || one->in_flight > 0) {
            continue;
        }
        if (takes_too_long(nursery, one, one->since, timeout, PATIENCE * timeout, tick) ||
            (one->committed != MR_NEVER &&
             takes_too_long(nursery, one, one->committed, rules->committed_ticks, timeout, tick))) {
            groups[found++] = one->group;
        }
    }
    *place = at;
    return found;
}

/* ---- what goes out ---- */

void mr_nursery_writes(const struct mr_nursery *nursery, struct mr_first_writes *writes) {
    *writes = (struct mr_first_writes){.rows = nursery->promises.count,
                                       .groups = nursery->write_groups.items,
                                       .replicas = nursery->write_replicas.items,
                                       .lengths = nursery->write_lengths.items,
                                       .parts = nursery->write_parts.items,
                                       .runs = nursery->runs,
                                       .hards = nursery->hards,
                                       .hard = nursery->write_hard.items,
                                       .promises = nursery->promises.items};
}

void mr_nursery_written(struct mr_nursery *nursery) {
    free_writes(nursery);
}

uint64_t mr_nursery_waiting(const struct mr_nursery *nursery, uint32_t number) {
    if (number >= nursery->neighbours.count) {
        return 0;
    }
    const struct neighbour *to = &nursery->neighbours.items[number];
    return to->waiting.count / MESSAGE_BYTES - to->sealed;
}

int mr_nursery_seal(struct mr_nursery *nursery, uint32_t number, uint64_t kind, uint64_t directory_index,
                    uint8_t *target, uint64_t room, uint64_t *groups, uint64_t *rows, uint64_t *length) {
    MR_ASSERT(mr_nursery_waiting(nursery, number) > 0);
    struct neighbour *to = &nursery->neighbours.items[number];
    uint64_t waiting = mr_nursery_waiting(nursery, number);
    uint64_t count = waiting < MR_MESSAGES_ROWS_MAX ? waiting : MR_MESSAGES_ROWS_MAX;
    const uint8_t *numbers = to->waiting.items + (uint64_t)to->sealed * MESSAGE_BYTES;
    uint64_t head = MR_FRAME_HEADER + MR_MESSAGES_HEADER + count * MR_MESSAGES_ROW;
    if (room < head + count * FIRST_RUN) {
        return MR_GROW;
    }
    uint8_t *body = target + head;
    for (uint64_t i = 0; i < count; i++) {
        groups[i] = mr_get_u64le(numbers + i * MESSAGE_BYTES);
        if (mr_get_u64le(numbers + i * MESSAGE_BYTES + RUN_LENGTH_AT) > 0) {
            memcpy(body, nursery->first_run, FIRST_RUN);
            body += FIRST_RUN;
        }
    }
    uint64_t failed;
    uint64_t body_bytes = (uint64_t)(body - target) - head;
    int status = mr_messages_seal(kind, MR_MESSAGES_PAYLOAD_MAX, directory_index, numbers, count,
                                  target + head, body_bytes, target, head, &failed);
    if (status == MR_OK) {
        *rows = count;
        *length = head + body_bytes;
        to->sealed += (uint32_t)count;
        if (count == waiting) {
            mr_array_free(&to->waiting);
            to->sealed = 0;
        }
    }
    return status;
}
