/* The rare part of a change: births, snapshot points, removals, and what collection moves. */
#include "mr_undo.h"

int mr_logindex_bear(struct mr_logindex *index, uint64_t group, uint64_t replica, const uint8_t *body,
                     uint32_t length) {
    MR_ASSERT(index->in_flight.count > 0 && group != 0 && replica != 0);
    struct mr_change *change = mr_newest_change(index);
    const struct mr_tombstone *removed = mr_tombstone_find(index, group);
    if (mr_logindex_find(index, group) != MR_NOWHERE) {
        return MR_EXISTS;
    }
    if (removed != NULL && replica <= removed->replica) {
        return MR_REMOVED;
    }
    struct mr_body copy;
    int status = mr_body_copy(body, length, &copy);
    if (status != MR_OK) {
        return status;
    }
    uint32_t place;
    status = mr_log_settle(index, group, replica, &place);
    if (status != MR_OK) {
        free(copy.block);
        return status;
    }
    struct mr_log *log = mr_log_at(index, place);
    log->birth = copy;
    status = mr_undo_born(change, place);
    if (status != MR_OK) { /* nothing would take it back */
        mr_map_remove(&index->places, group);
        mr_log_vacate(index, place);
        return status;
    }
    for (int state = 0; state < MR_STATES; state++) {
        log->head.origin[state] = change->seq;
    }
    return mr_change_carry(index, change, log, MR_STATE_BIRTH);
}

int mr_logindex_reset(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t point_index,
                      uint64_t point_term, const uint8_t *members, uint32_t length) {
    MR_ASSERT(index->in_flight.count > 0);
    struct mr_change *change = mr_newest_change(index);
    uint32_t place;
    struct mr_log *log = mr_log_of(index, group, replica, &place);
    if (log == NULL) {
        return MR_ABSENT;
    }
    int status = mr_undo_head(change, place, log);
    if (status == MR_OK) {
        status = mr_array_reserve(&change->garbage, 1);
    }
    if (status == MR_OK) {
        status = mr_change_empty(index, change, place, log, point_index);
    }
    struct mr_body copy = {0};
    if (status == MR_OK) {
        status = mr_body_copy(members, length, &copy);
    }
    if (status == MR_OK) {
        status = mr_undo_members(change, place, log);
    }
    if (status != MR_OK) {
        free(copy.block);
        return status;
    }
    if (log->members.block != NULL) {
        change->garbage.items[change->garbage.count++] = log->members.block;
    }
    log->members = copy;
    log->head.point_index = point_index;
    log->head.point_term = point_term;
    log->head.origin[MR_STATE_POINT] = log->head.origin[MR_STATE_MEMBERS] = change->seq;
    status = mr_change_carry(index, change, log, MR_STATE_POINT);
    return status == MR_OK ? mr_change_carry(index, change, log, MR_STATE_MEMBERS) : status;
}

static int set_tombstone(struct mr_logindex *index, struct mr_change *change,
                         const struct mr_tombstone *tombstone) {
    const struct mr_tombstone *before = mr_tombstone_find(index, tombstone->group);
    uint64_t carrier = before == NULL ? 0 : before->carrier;
    int status = mr_undo_tombstone(change, tombstone->group, before);
    if (status == MR_OK && before == NULL) {
        index->ledger.live_bytes += MR_STATE_BYTES;
    }
    if (status == MR_OK) {
        status = mr_tombstone_put(index, tombstone);
    }
    if (status == MR_OK) {
        status = mr_change_die(index, change, carrier);
    }
    return status == MR_OK ? mr_logindex_count(index, change->seq, 1) : status;
}

static int remove_replica(struct mr_logindex *index, struct mr_change *change, uint32_t place) {
    struct mr_log *log = mr_log_at(index, place);
    int status = mr_array_reserve(&change->buried, 1);
    if (status == MR_OK) {
        status = mr_undo_buried(change, place);
    }
    if (status != MR_OK) {
        return status;
    }
    mr_map_remove(&index->places, log->group);
    log->life++;
    change->buried.items[change->buried.count++] = place;
    status = mr_change_forget(index, change, log, 0, mr_log_segments(log));
    for (int state = 0; status == MR_OK && state < MR_STATES; state++) {
        index->ledger.live_bytes -= log->head.carrier[state] == 0 ? 0 : MR_STATE_BYTES;
        status = mr_change_die(index, change, log->head.carrier[state]);
    }
    return status;
}

int mr_logindex_bury(struct mr_logindex *index, uint64_t group, uint64_t replica, int *known) {
    MR_ASSERT(index->in_flight.count > 0);
    struct mr_change *change = mr_newest_change(index);
    uint32_t place = mr_logindex_find(index, group);
    if (place != MR_NOWHERE && mr_log_at(index, place)->head.replica != replica) {
        return MR_EXISTS;
    }
    int status = place == MR_NOWHERE ? MR_OK : remove_replica(index, change, place);
    const struct mr_tombstone *before = mr_tombstone_find(index, group);
    *known = before != NULL && before->replica >= replica;
    if (status != MR_OK || *known) {
        return status;
    }
    struct mr_tombstone tombstone = {
        .group = group, .replica = replica, .carrier = change->seq, .origin = change->seq};
    return set_tombstone(index, change, &tombstone);
}

/* ---- collection ---- */

int mr_logindex_move_state(struct mr_logindex *index, uint32_t place, uint32_t state) {
    MR_ASSERT(index->in_flight.count > 0 && place < index->used_places && state < MR_STATES);
    struct mr_change *change = mr_newest_change(index);
    struct mr_log *log = mr_log_at(index, place);
    int status = mr_undo_head(change, place, log);
    return status == MR_OK ? mr_change_carry(index, change, log, (int)state) : status;
}

int mr_logindex_move_tombstone(struct mr_logindex *index, uint64_t group) {
    MR_ASSERT(index->in_flight.count > 0 && mr_tombstone_find(index, group) != NULL);
    struct mr_change *change = mr_newest_change(index);
    struct mr_tombstone moved = *mr_tombstone_find(index, group);
    moved.carrier = change->seq;
    return set_tombstone(index, change, &moved);
}

int mr_change_move_run(struct mr_logindex *index, uint32_t place, uint32_t position,
                       const struct mr_span *span) {
    struct mr_change *change = mr_newest_change(index);
    struct mr_log *log = mr_log_at(index, place);
    struct mr_segment moved;
    int status = mr_log_segment(log, span, &moved);
    if (status == MR_OK) {
        status = mr_undo_segment_replaced(change, place, log, position);
    }
    if (status == MR_OK) {
        status = mr_change_forget(index, change, log, position, 1);
    }
    if (status == MR_OK) {
        *mr_segment_at(log, position) = moved;
        index->ledger.live_bytes += span->length;
        status = mr_logindex_count(index, change->seq, 1);
    }
    return status;
}

int mr_logindex_retire(struct mr_logindex *index) {
    MR_ASSERT(index->in_flight.count > 0);
    struct mr_change *change = mr_newest_change(index);
    int status = mr_array_reserve(&change->retired, 1);
    if (status == MR_OK) {
        status = mr_ledger_retire(&index->ledger, &change->retired.items[change->retired.count]);
    }
    change->retired.count += status == MR_OK;
    return status;
}

void mr_logindex_retired(const struct mr_logindex *index, uint64_t seq, uint64_t number,
                         struct mr_stored *stored) {
    *stored = (struct mr_stored){0};
    for (uint32_t i = 0; i < index->in_flight.count; i++) {
        const struct mr_change *change = index->in_flight.items[i];
        if (change->seq == seq && number < change->retired.count) {
            *stored = change->retired.items[number];
        }
    }
}
