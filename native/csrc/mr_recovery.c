/* Recovery: the index from the stored batches in the order of their sequence numbers.
 *
 * Rewritten items come late in the scan but keep the place of their origin. Why one pass in carrier order is
 * enough: batches are deleted oldest first, and a batch only when everything alive in it has been rewritten.
 * So what a batch cut, truncated or replaced stood in batches before it, and these are gone, or still there
 * in full and scanned before it. A rewritten run was alive when it was written; it is put between its
 * neighbours and cuts nothing, or takes the place of what it was copied from if that batch is still there. If
 * it ever overlapped anything else the store would be inconsistent, which is reported and not resolved. Of
 * small states the one with the greater origin counts. */
#include "mr_logtable.h"

/* ---- small states ---- */

/* Whether a group's log was loaded as of batch `carrier` or a later one: it knows what that one says. */
static int knows(const struct mr_logindex *index, uint64_t group, uint64_t carrier) {
    uint32_t place = mr_logindex_find(index, group);
    return place != MR_NOWHERE && mr_log_at(index, place)->touched >= carrier;
}

/* The log of a replica, a provisional one if only rows of it have been found so far. */
static int provisional(struct mr_logindex *index, uint64_t group, uint64_t replica, struct mr_log **log) {
    if (group == 0 || replica == 0) {
        return MR_ABSENT;
    }
    uint32_t place = mr_logindex_find(index, group);
    if (place != MR_NOWHERE && mr_log_at(index, place)->doubts != 0 &&
        mr_log_at(index, place)->head.replica != replica) {
        mr_map_remove(&index->places, group); /* that it was removed stood in what is missing */
        mr_log_vacate(index, place);
        place = MR_NOWHERE;
    }
    if (place == MR_NOWHERE) {
        int status = mr_log_settle(index, group, replica, &place);
        if (status != MR_OK) {
            return status;
        }
        mr_doubt_begin(index, mr_log_at(index, place));
    }
    *log = mr_log_at(index, place);
    return (*log)->head.replica == replica ? MR_OK : MR_EXISTS;
}

/* Whether a value of this origin counts; if so its carrier and origin are noted. */
static int keeps(struct mr_log *log, int state, uint64_t carrier, uint64_t origin) {
    if (log->head.origin[state] > origin) {
        return 0;
    }
    log->head.carrier[state] = carrier;
    log->head.origin[state] = origin;
    return 1;
}

static void keep_point(struct mr_log *log, uint64_t carrier, uint64_t origin, const uint64_t point[2]) {
    if (keeps(log, MR_STATE_POINT, carrier, origin)) {
        log->head.point_index = point[0];
        log->head.point_term = point[1];
    }
}

static int keep_body(struct mr_log *log, int state, struct mr_body *body, uint64_t carrier, uint64_t origin,
                     const uint8_t *bytes, uint32_t length) {
    if (!keeps(log, state, carrier, origin)) {
        return MR_OK;
    }
    struct mr_body copy;
    int status = mr_body_copy(bytes, length, &copy);
    if (status == MR_OK) {
        free(body->block);
        *body = copy;
    }
    return status;
}

int mr_logindex_recover_batch(struct mr_logindex *index, uint64_t seq, uint32_t chunks, uint64_t size) {
    int status = mr_ledger_open(&index->ledger, seq);
    return status == MR_OK ? mr_ledger_measure(&index->ledger, seq, chunks, size) : status;
}

int mr_logindex_recover_birth(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t carrier,
                              uint64_t origin, const uint8_t *body, uint32_t length) {
    struct mr_log *log;
    if (knows(index, group, carrier)) {
        return MR_OK;
    }
    int status = provisional(index, group, replica, &log);
    if (status == MR_OK && carrier == origin && log->birth.block == NULL) {
        log->doubts = 0; /* nothing can have been said of it before */
    }
    return status == MR_OK ? keep_body(log, MR_STATE_BIRTH, &log->birth, carrier, origin, body, length)
                           : status;
}

int mr_logindex_recover_members(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t carrier,
                                uint64_t origin, const uint8_t *members, uint32_t length) {
    struct mr_log *log;
    if (knows(index, group, carrier)) {
        return MR_OK;
    }
    int status = provisional(index, group, replica, &log);
    return status == MR_OK ? keep_body(log, MR_STATE_MEMBERS, &log->members, carrier, origin, members, length)
                           : status;
}

int mr_logindex_recover_point(struct mr_logindex *index, uint64_t group, uint64_t replica, uint64_t seq,
                              uint64_t point_index, uint64_t point_term, const uint8_t *members,
                              uint32_t length) {
    struct mr_log *log;
    if (knows(index, group, seq)) {
        return MR_OK;
    }
    int status = provisional(index, group, replica, &log);
    if (status != MR_OK) {
        return status;
    }
    mr_log_remove(log, 0, mr_log_segments(log));
    mr_log_remove_terms(log, 0, log->terms.count);
    mr_doubt_point(log, point_index, 1);
    const uint64_t point[2] = {point_index, point_term};
    keep_point(log, seq, seq, point);
    return keep_body(log, MR_STATE_MEMBERS, &log->members, seq, seq, members, length);
}

int mr_logindex_recover_tombstone(struct mr_logindex *index, uint64_t group, uint64_t replica,
                                  uint64_t carrier, uint64_t origin) {
    uint32_t place = mr_logindex_find(index, group);
    if (carrier == origin && place != MR_NOWHERE &&
        !knows(index, group, carrier)) { /* a rewritten one says what is, and acts on nothing */
        mr_map_remove(&index->places, group);
        mr_log_vacate(index, place);
    }
    const struct mr_tombstone *known = mr_tombstone_find(index, group);
    if (known != NULL && known->origin > origin) {
        return MR_OK;
    }
    struct mr_tombstone found = {.group = group, .replica = replica, .carrier = carrier, .origin = origin};
    return mr_tombstone_put(index, &found);
}

/* ---- entries ---- */

/* Records the terms of a run in a log whose segments may have holes: one at each segment that does not
 * follow the one before it, and wherever the term changes. */
static int recover_terms(struct mr_log *log, const uint8_t *run, const struct mr_run_shape *shape,
                         int follows) {
    uint32_t position = mr_log_term_position(log, shape->first);
    uint64_t known = follows && position > 0 ? log->terms.items[position - 1].term : 0;
    int must = !follows || position == 0;
    if (!must && shape->first_term == known && shape->last_term == known) {
        return MR_OK;
    }
    for (uint64_t entry = shape->first; entry < shape->end; entry++) {
        uint64_t term = mr_run_term(run, shape, entry);
        if (must || term != known) {
            int status = mr_log_insert_term(log, position++, (struct mr_term_run){entry, term});
            if (status != MR_OK) {
                return status;
            }
        }
        must = 0;
        known = term;
    }
    return MR_OK;
}

static int put_segment(struct mr_log *log, uint32_t position, const struct mr_row *row,
                       const struct mr_run_shape *shape, uint64_t seq) {
    struct mr_span span = {.low = shape->first,
                           .high = shape->end,
                           .first = shape->first,
                           .carrier = seq,
                           .at = row->run_at,
                           .length = row->run_length};
    struct mr_segment segment;
    int status = mr_log_segment(log, &span, &segment);
    return status == MR_OK ? mr_log_insert(log, position, &segment) : status;
}

/* A run in the batch that wrote it first: it replaces everything from its first entry on. */
static int recover_appended(struct mr_log *log, const struct mr_row *row, const struct mr_run_shape *shape,
                            uint64_t seq) {
    uint32_t position = mr_log_position(log, shape->first);
    mr_log_remove(log, position, mr_log_segments(log) - position);
    uint32_t kept = shape->first == 0 ? 0 : mr_log_term_position(log, shape->first - 1);
    mr_log_remove_terms(log, kept, log->terms.count - kept);
    if (position > 0 && mr_segment_end(log, position - 1) > shape->first) {
        mr_segment_at(log, position - 1)->live = shape->first - mr_segment_first(log, position - 1);
    }
    int follows = position > 0 && mr_segment_end(log, position - 1) == shape->first;
    int status = put_segment(log, position, row, shape, seq);
    return status == MR_OK ? recover_terms(log, row->run, shape, follows) : status;
}

/* The run at `position` was moved, what is alive of it, before its batch could go: this is the copy, which
 * begins behind what had been truncated. Its terms are known. Errors: MR_TWICE if it is anything else. */
static int recover_copy(struct mr_log *log, uint32_t position, const struct mr_row *row,
                        const struct mr_run_shape *shape, uint64_t seq) {
    uint32_t term = mr_log_term_position(log, shape->end - 1);
    uint64_t first = mr_segment_first(log, position);
    if (first <= log->head.point_index) {
        first = log->head.point_index + 1;
    }
    if (first != shape->first || mr_segment_end(log, position) != shape->end ||
        mr_segment_at(log, position)->carrier >= seq || term == 0 ||
        log->terms.items[term - 1].term != shape->last_term) {
        return MR_TWICE;
    }
    mr_log_remove(log, position, 1);
    return put_segment(log, position, row, shape, seq);
}

/* A run moved to this batch: it goes where it was and cuts nothing. */
static int recover_rewritten(struct mr_log *log, const struct mr_row *row, const struct mr_run_shape *shape,
                             uint64_t seq) {
    uint32_t position = mr_log_position(log, shape->first);
    if (position > 0 && mr_segment_end(log, position - 1) > shape->first) {
        return recover_copy(log, position - 1, row, shape, seq);
    }
    if (position < mr_log_segments(log) && mr_segment_first(log, position) < shape->end) {
        return recover_copy(log, position, row, shape, seq);
    }
    int status = put_segment(log, position, row, shape, seq);
    return status == MR_OK ? recover_terms(log, row->run, shape, 0) : status;
}

/* Drops the segments that end before `entry` + 2, which a truncation at `entry` leaves nothing of. */
static void drop_truncated(struct mr_log *log, uint64_t entry) {
    uint32_t gone = 0;
    while (gone < mr_log_segments(log) && mr_segment_end(log, gone) <= entry + 1) {
        gone++;
    }
    mr_log_remove(log, 0, gone);
}

static int recover_row(struct mr_logindex *index, uint64_t seq, const struct mr_row *row,
                       struct mr_log_failure *failure) {
    *failure = (struct mr_log_failure){.group = row->group};
    if ((row->run_length == 0 && row->parts == 0) || knows(index, row->group, seq)) {
        return MR_OK;
    }
    uint64_t origin = row->origin == 0 ? seq : row->origin;
    struct mr_log *log;
    int status = provisional(index, row->group, row->replica, &log);
    if (status == MR_OK && row->run_length > 0) {
        struct mr_run_shape shape;
        status = mr_run_look(row->run, row->run_length, &shape);
        if (status != MR_OK) {
            return status;
        }
        failure->index = shape.first;
        index->entries += shape.end - shape.first;
        mr_doubt_run(index, log, &shape, row->origin);
        status = row->origin == 0 ? recover_appended(log, row, &shape, seq)
                                  : recover_rewritten(log, row, &shape, seq);
        if (status == MR_TWICE && log->doubts != 0) {
            mr_doubt_misfit(log);
            status = MR_OK;
        }
    }
    if (status != MR_OK) {
        return status;
    }
    if (row->parts & MR_PART_TRUNCATION) {
        keep_point(log, seq, origin, row->truncation);
        mr_doubt_point(log, row->truncation[0], 0);
        if (row->origin == 0) {
            drop_truncated(log, row->truncation[0]);
        }
    }
    if (row->parts & MR_PART_HARD && keeps(log, MR_STATE_HARD, seq, origin)) {
        log->doubts &= ~(uint32_t)MR_DOUBT_HARD;
        log->head.hard_term = row->hard[0];
        log->head.hard_vote = row->hard[1];
        log->head.hard_commit = row->hard[2];
    }
    return MR_OK;
}

int mr_logindex_recover_rows(struct mr_logindex *index, uint64_t seq, struct mr_rows *rows, uint64_t until,
                             struct mr_log_failure *failure) {
    MR_ASSERT(until <= rows->rows);
    while (rows->row < until) {
        struct mr_row row;
        mr_logindex_look_ahead(index, rows);
        mr_rows_next(rows, &row);
        int status = recover_row(index, seq, &row, failure);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* ---- the end ---- */

/* Keeps one record for each term, from the one that holds at the first entry. */
static void settle_terms(struct mr_log *log) {
    uint32_t from = mr_log_term_position(log, log->head.point_index + 1);
    uint32_t kept = 0;
    for (uint32_t i = from == 0 ? 0 : from - 1; i < log->terms.count; i++) {
        if (kept == 0 || log->terms.items[kept - 1].term != log->terms.items[i].term) {
            log->terms.items[kept++] = log->terms.items[i];
        }
    }
    log->terms.count = mr_log_segments(log) == 0 ? 0 : kept;
}

/* Checks a log: it was born, and has no hole. Errors: MR_ABSENT, MR_GAP. */
static int settle_log(struct mr_log *log, struct mr_log_failure *failure) {
    *failure = (struct mr_log_failure){.group = log->group};
    if (log->birth.block == NULL) {
        return MR_ABSENT;
    }
    /* A cut may have left only what had been truncated before. */
    drop_truncated(log, log->head.point_index);
    uint64_t first = log->head.point_index + 1;
    uint64_t expected = first;
    if (mr_log_segments(log) > 0 && mr_segment_first(log, 0) < first) {
        expected = mr_segment_first(log, 0);
    }
    for (uint32_t i = 0; i < mr_log_segments(log); i++) {
        if (mr_segment_first(log, i) != expected) {
            failure->index = expected;
            return MR_GAP;
        }
        expected = mr_segment_end(log, i);
    }
    if (expected < first) {
        failure->index = expected;
        return MR_GAP;
    }
    log->head.last_index = expected - 1;
    for (int state = 0; state < MR_STATES; state++) {
        if (log->head.carrier[state] == 0) { /* as the birth says */
            log->head.origin[state] = log->head.origin[MR_STATE_BIRTH];
        }
    }
    settle_terms(log);
    return MR_OK;
}

/* An item in batch `carrier` lives. Errors: MR_NO_ENTRY if there is no such batch (a bad checkpoint). */
static int alive_in(struct mr_logindex *index, uint64_t carrier) {
    if (carrier != 0 && mr_ledger_find(&index->ledger, carrier) == NULL) {
        return MR_NO_ENTRY;
    }
    return mr_logindex_count(index, carrier, 1);
}

static int count_alive(struct mr_logindex *index, const struct mr_log *log) {
    for (uint32_t i = 0; i < mr_log_segments(log); i++) {
        int status = alive_in(index, mr_segment_at(log, i)->carrier);
        if (status != MR_OK) {
            return status;
        }
        index->ledger.live_bytes += mr_segment_at(log, i)->length;
    }
    for (int state = 0; state < MR_STATES; state++) {
        int status = alive_in(index, log->head.carrier[state]);
        if (status != MR_OK) {
            return status;
        }
        index->ledger.live_bytes += log->head.carrier[state] == 0 ? 0 : MR_STATE_BYTES;
    }
    return MR_OK;
}

int mr_logindex_recovered(struct mr_logindex *index, struct mr_log_failure *failure) {
    for (uint32_t place = 0; place < index->used_places; place++) {
        if (mr_logindex_group(index, place) == 0) {
            continue;
        }
        struct mr_log *log = mr_log_at(index, place);
        int gone = 0;
        int status = index->gap == 0 ? MR_OK : mr_doubt_settle(index, log, &gone);
        if (gone) {
            mr_map_remove(&index->places, log->group);
            mr_log_vacate(index, place);
            continue;
        }
        if (status == MR_OK) {
            status = settle_log(log, failure);
        }
        if (status == MR_OK) {
            status = count_alive(index, log);
        }
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < index->tombstones.count; i++) {
        int status = alive_in(index, index->tombstones.items[i].carrier);
        if (status != MR_OK) {
            return status;
        }
        index->ledger.live_bytes += MR_STATE_BYTES;
    }
    return MR_OK;
}
