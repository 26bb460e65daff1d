/* Changes: one batch as it is handed to the writer, checked against what is there. */
#include "mr_undo.h"

/* ---- the life of a change ---- */

struct mr_change *mr_newest_change(const struct mr_logindex *index) {
    return index->in_flight.items[index->in_flight.count - 1];
}

void mr_change_free(struct mr_change *change) {
    for (uint32_t i = 0; i < change->garbage.count; i++) {
        free(change->garbage.items[i]);
    }
    mr_array_free(&change->undo);
    mr_array_free(&change->died);
    mr_array_free(&change->retired);
    mr_array_free(&change->garbage);
    mr_array_free(&change->buried);
    free(change);
}

/* An empty change in front of `in_flight`'s room. */
static int take_change(struct mr_logindex *index, struct mr_change **change) {
    int status = mr_array_reserve(&index->in_flight, 1);
    if (status == MR_OK) { /* so that it can always be given back */
        status = mr_array_reserve(&index->spare, (uint64_t)index->in_flight.count + 1);
    }
    if (status != MR_OK) {
        return status;
    }
    if (index->spare.count > 0) {
        *change = index->spare.items[--index->spare.count];
        return MR_OK;
    }
    *change = calloc(1, sizeof(**change));
    return *change == NULL ? MR_MEMORY : MR_OK;
}

static void give_change(struct mr_logindex *index, struct mr_change *change) {
    change->undo.count = change->died.count = change->retired.count = 0;
    change->garbage.count = change->buried.count = 0;
    index->spare.items[index->spare.count++] = change;
}

int mr_logindex_begin(struct mr_logindex *index, uint64_t seq) {
    struct mr_change *change;
    int status = take_change(index, &change);
    if (status != MR_OK) {
        return status;
    }
    status = mr_ledger_open(&index->ledger, seq);
    if (status != MR_OK) {
        give_change(index, change);
        return status;
    }
    change->seq = seq;
    change->live_bytes_before = index->ledger.live_bytes;
    index->in_flight.items[index->in_flight.count++] = change;
    return MR_OK;
}

int mr_logindex_measure(struct mr_logindex *index, uint64_t seq, uint32_t chunks, uint64_t size) {
    return mr_ledger_measure(&index->ledger, seq, chunks, size);
}

int mr_logindex_finish(struct mr_logindex *index, uint64_t seq) {
    MR_ASSERT(index->in_flight.count > 0 && index->in_flight.items[0]->seq == seq);
    struct mr_change *change = index->in_flight.items[0];
    for (uint32_t i = 0; i < change->garbage.count; i++) {
        free(change->garbage.items[i]);
    }
    for (uint32_t i = 0; i < change->buried.count; i++) {
        mr_log_vacate(index, change->buried.items[i]);
    }
    index->in_flight.count--;
    memmove(index->in_flight.items, index->in_flight.items + 1,
            index->in_flight.count * sizeof(*index->in_flight.items));
    give_change(index, change);
    return MR_OK;
}

int mr_logindex_undo(struct mr_logindex *index, uint64_t seq) {
    MR_ASSERT(index->in_flight.count > 0 && mr_newest_change(index)->seq == seq);
    struct mr_change *change = mr_newest_change(index);
    int status = mr_undo_all(index, change);
    if (status == MR_OK) {
        status = mr_ledger_withdraw(&index->ledger, seq);
    }
    if (status == MR_OK) {
        index->in_flight.count--;
        give_change(index, change);
    }
    return status;
}

/* ---- the account ---- */

int mr_change_die(struct mr_logindex *index, struct mr_change *change, uint64_t carrier) {
    if (carrier == 0) {
        return MR_OK;
    }
    int status = mr_array_reserve(&change->died, 1);
    if (status == MR_OK) {
        status = mr_logindex_count(index, carrier, -1);
    }
    if (status == MR_OK) {
        change->died.items[change->died.count++] = carrier;
    }
    return status;
}

int mr_change_forget(struct mr_logindex *index, struct mr_change *change, const struct mr_log *log,
                     uint32_t position, uint32_t count) {
    for (uint32_t i = position; i < position + count; i++) {
        int status = mr_change_die(index, change, mr_segment_at(log, i)->carrier);
        if (status != MR_OK) {
            return status;
        }
        index->ledger.live_bytes -= mr_segment_at(log, i)->length;
    }
    return MR_OK;
}

int mr_change_carry(struct mr_logindex *index, struct mr_change *change, struct mr_log *log, int state) {
    uint64_t before = log->head.carrier[state];
    int status = mr_change_die(index, change, before);
    if (status == MR_OK) {
        status = mr_logindex_count(index, change->seq, 1);
    }
    if (status == MR_OK) {
        index->ledger.live_bytes += before == 0 ? MR_STATE_BYTES : 0;
        log->head.carrier[state] = change->seq;
    }
    return status;
}

/* ---- entries ---- */

static int remove_segments(struct mr_logindex *index, struct mr_change *change, uint32_t place,
                           struct mr_log *log, uint32_t position, uint32_t count) {
    int status = mr_undo_segments_removed(change, place, log, position, count);
    if (status == MR_OK) {
        status = mr_change_forget(index, change, log, position, count);
    }
    if (status == MR_OK) {
        mr_log_remove(log, position, count);
    }
    return status;
}

static int remove_terms(struct mr_change *change, uint32_t place, struct mr_log *log, uint32_t position,
                        uint32_t count) {
    int status = mr_undo_terms_removed(change, place, log, position, count);
    if (status == MR_OK) {
        mr_log_remove_terms(log, position, count);
    }
    return status;
}

int mr_change_empty(struct mr_logindex *index, struct mr_change *change, uint32_t place, struct mr_log *log,
                    uint64_t entry) {
    int status = remove_segments(index, change, place, log, 0, mr_log_segments(log));
    if (status == MR_OK) {
        status = remove_terms(change, place, log, 0, log->terms.count);
    }
    log->head.last_index = entry;
    return status;
}

/* Entries from `first` on are replaced: drops them. */
static int cut_log(struct mr_logindex *index, struct mr_change *change, uint32_t place, struct mr_log *log,
                   uint64_t first) {
    if (first <= log->head.point_index) {
        return MR_COMPACTED;
    }
    if (first == log->head.point_index + 1) { /* also a segment that begins before, in its dead part */
        return mr_change_empty(index, change, place, log, first - 1);
    }
    uint32_t position = mr_log_position(log, first);
    int status = remove_segments(index, change, place, log, position, mr_log_segments(log) - position);
    if (status == MR_OK && position > 0 && mr_segment_end(log, position - 1) > first) {
        status = mr_undo_segment_replaced(change, place, log, position - 1);
        if (status == MR_OK) {
            mr_segment_at(log, position - 1)->live = first - mr_segment_first(log, position - 1);
        }
    }
    uint32_t kept = mr_log_term_position(log, first - 1);
    if (status == MR_OK) {
        status = remove_terms(change, place, log, kept, log->terms.count - kept);
    }
    log->head.last_index = first - 1;
    return status;
}

/* Records where terms begin in a run that is appended. */
static int append_terms(struct mr_change *change, uint32_t place, struct mr_log *log, const uint8_t *run,
                        const struct mr_run_shape *shape) {
    uint64_t known = log->terms.count > 0 ? log->terms.items[log->terms.count - 1].term : 0;
    if (log->terms.count > 0 && known == shape->first_term && known == shape->last_term) {
        return MR_OK;
    }
    for (uint64_t entry = shape->first; entry < shape->end; entry++) {
        uint64_t term = mr_run_term(run, shape, entry);
        if (log->terms.count > 0 && term == known) {
            continue;
        }
        int status = mr_log_reserve_terms(log, 1);
        if (status == MR_OK) {
            status = mr_undo_terms_added(change, place, 1);
        }
        if (status != MR_OK) {
            return status;
        }
        log->terms.items[log->terms.count++] = (struct mr_term_run){entry, term};
        known = term;
    }
    return MR_OK;
}

static int append_run(struct mr_logindex *index, struct mr_change *change, uint32_t place, struct mr_log *log,
                      const struct mr_row *row, struct mr_log_failure *failure) {
    struct mr_run_shape shape;
    int status = mr_run_look(row->run, row->run_length, &shape);
    if (status != MR_OK) {
        return status;
    }
    failure->index = shape.first;
    if (shape.first > log->head.last_index + 1) {
        return MR_GAP;
    }
    if (shape.first <= log->head.last_index) {
        status = mr_undo_head(change, place, log);
        if (status == MR_OK) {
            status = cut_log(index, change, place, log, shape.first);
        }
    }
    struct mr_span span = {.low = shape.first,
                           .high = shape.end,
                           .first = shape.first,
                           .carrier = change->seq,
                           .at = row->run_at,
                           .length = row->run_length};
    if (status == MR_OK) {
        status = mr_log_reserve(log, 1);
    }
    if (status == MR_OK) {
        status = mr_log_segment(log, &span, mr_log_slot(log));
    }
    if (status == MR_OK) {
        status = mr_undo_step(change, place, log, 1);
    }
    if (status != MR_OK) {
        return status;
    }
    log->tail_count++;
    log->head.last_index = shape.end - 1;
    index->ledger.live_bytes += row->run_length;
    index->entries += shape.end - shape.first;
    status = mr_logindex_count(index, change->seq, 1);
    return status == MR_OK ? append_terms(change, place, log, row->run, &shape) : status;
}

/* Entries up to the one named are dropped; nothing happens if they are gone already. */
static int truncate_log(struct mr_logindex *index, struct mr_change *change, uint32_t place,
                        struct mr_log *log, const uint64_t point[2], struct mr_log_failure *failure) {
    uint64_t entry = point[0];
    failure->index = entry;
    if (entry <= log->head.point_index) {
        return MR_OK;
    }
    if (entry > log->head.last_index || mr_log_term(log, entry) != point[1]) {
        return MR_NO_ENTRY;
    }
    uint32_t gone = mr_log_segments(log);
    uint32_t past = log->terms.count;
    if (entry < log->head.last_index) {
        gone = mr_log_position(log, entry + 2) - 1;
        past = mr_log_term_position(log, entry + 1) - 1;
    }
    int status = remove_segments(index, change, place, log, 0, gone);
    if (status == MR_OK) {
        status = remove_terms(change, place, log, 0, past);
    }
    if (status == MR_OK) {
        log->head.point_index = entry;
        log->head.point_term = point[1];
        log->head.origin[MR_STATE_POINT] = change->seq;
        status = mr_change_carry(index, change, log, MR_STATE_POINT);
    }
    return status;
}

static int append_row(struct mr_logindex *index, struct mr_change *change, const struct mr_row *row,
                      struct mr_log_failure *failure) {
    *failure = (struct mr_log_failure){.group = row->group};
    if (row->run_length == 0 && row->parts == 0) {
        return MR_OK; /* its write had rare parts only, a removal for instance */
    }
    uint32_t place;
    struct mr_log *log = mr_log_of(index, row->group, row->replica, &place);
    if (log == NULL) {
        return MR_ABSENT;
    }
    int status = row->parts & MR_PART_TRUNCATION ? mr_undo_head(change, place, log) : MR_OK;
    if (status == MR_OK) {
        status = row->run_length > 0 ? append_run(index, change, place, log, row, failure)
                                     : mr_undo_step(change, place, log, 0);
    }
    if (status == MR_OK && row->parts & MR_PART_TRUNCATION) {
        status = truncate_log(index, change, place, log, row->truncation, failure);
    }
    if (status == MR_OK && row->parts & MR_PART_HARD) {
        log->head.hard_term = row->hard[0];
        log->head.hard_vote = row->hard[1];
        log->head.hard_commit = row->hard[2];
        log->head.origin[MR_STATE_HARD] = change->seq;
        status = mr_change_carry(index, change, log, MR_STATE_HARD);
    }
    return status;
}

int mr_logindex_append(struct mr_logindex *index, struct mr_rows *rows, uint64_t until,
                       struct mr_log_failure *failure) {
    MR_ASSERT(index->in_flight.count > 0 && until <= rows->rows);
    struct mr_change *change = mr_newest_change(index);
    while (rows->row < until) {
        struct mr_row row;
        mr_logindex_look_ahead(index, rows);
        mr_rows_next(rows, &row);
        int status = append_row(index, change, &row, failure);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}
