#include "mr_undo.h"

enum undo_kind {
    UNDO_HEAD,
    UNDO_STEP,
    UNDO_SEGMENTS_REMOVED,
    UNDO_SEGMENT_REPLACED,
    UNDO_TERMS_ADDED,
    UNDO_TERMS_REMOVED,
    UNDO_BORN,
    UNDO_BURIED,
    UNDO_MEMBERS,
    UNDO_TOMBSTONE,
};

/* Stands behind its payload, because records are read from the end. */
struct footer {
    uint32_t kind;
    uint32_t place;
    uint32_t position;
    uint32_t count;
    uint64_t length; /* of the payload */
};

/* The payload of UNDO_HEAD. */
struct old_head {
    uint64_t touched;
    struct mr_log_head head;
};

/* The payload of UNDO_STEP. */
struct old_step {
    uint64_t last_index;
    uint64_t hard_term;
    uint64_t hard_vote;
    uint64_t hard_commit;
    uint64_t carrier; /* of the hard state, as below */
    uint64_t origin;
};

/* A whole record, at any address. */
struct step_record {
    struct old_step old;
    struct footer footer;
} __attribute__((packed));

/* ---- noting ---- */

static int note(struct mr_change *change, struct footer footer, const void *first, size_t first_length,
                const void *second, size_t second_length) {
    footer.length = first_length + second_length;
    int status = mr_array_reserve(&change->undo, footer.length + sizeof(footer));
    if (status != MR_OK) {
        return status;
    }
    uint8_t *target = change->undo.items + change->undo.count;
    if (first_length > 0) {
        memcpy(target, first, first_length);
    }
    if (second_length > 0) {
        memcpy(target + first_length, second, second_length);
    }
    memcpy(target + footer.length, &footer, sizeof(footer));
    change->undo.count += (uint32_t)(footer.length + sizeof(footer));
    return MR_OK;
}

static int note_bare(struct mr_change *change, enum undo_kind kind, uint32_t place, uint32_t count) {
    return note(change, (struct footer){.kind = kind, .place = place, .count = count}, NULL, 0, NULL, 0);
}

int mr_undo_head(struct mr_change *change, uint32_t place, struct mr_log *log) {
    if (log->touched == change->seq) {
        return MR_OK;
    }
    struct old_head old = {.touched = log->touched, .head = log->head};
    int status = note(change, (struct footer){.kind = UNDO_HEAD, .place = place}, &old, sizeof(old), NULL, 0);
    if (status == MR_OK) {
        log->touched = change->seq;
    }
    return status;
}

/* Written field by field where it is kept: a copy of what was put together elsewhere would wait until all
 * stores before it are through, many of them to cold memory. */
int mr_undo_step(struct mr_change *change, uint32_t place, const struct mr_log *log, uint32_t adds) {
    const struct mr_log_head *head = &log->head;
    int status = mr_array_reserve(&change->undo, sizeof(struct step_record));
    if (status != MR_OK) {
        return status;
    }
    struct step_record *record = (struct step_record *)(change->undo.items + change->undo.count);
    record->old.last_index = head->last_index;
    record->old.hard_term = head->hard_term;
    record->old.hard_vote = head->hard_vote;
    record->old.hard_commit = head->hard_commit;
    record->old.carrier = head->carrier[MR_STATE_HARD];
    record->old.origin = head->origin[MR_STATE_HARD];
    record->footer.kind = UNDO_STEP;
    record->footer.place = place;
    record->footer.position = 0;
    record->footer.count = adds;
    record->footer.length = sizeof(record->old);
    change->undo.count += (uint32_t)sizeof(*record);
    return MR_OK;
}

int mr_undo_terms_added(struct mr_change *change, uint32_t place, uint32_t count) {
    return note_bare(change, UNDO_TERMS_ADDED, place, count);
}

static int note_segments(struct mr_change *change, enum undo_kind kind, uint32_t place,
                         const struct mr_log *log, uint32_t position, uint32_t count) {
    uint32_t older = log->older.count;
    if (position < older && position + count > older) { /* taken back in the opposite order */
        int status = note_segments(change, kind, place, log, older, position + count - older);
        return status == MR_OK ? note_segments(change, kind, place, log, position, older - position) : status;
    }
    if (count == 0) {
        return MR_OK;
    }
    struct footer footer = {.kind = kind, .place = place, .position = position, .count = count};
    const struct mr_segment *segments = mr_segment_at(log, position);
    /* Their indexes count from the log's base, which may move until they are put back. */
    return note(change, footer, &log->base, sizeof(log->base), segments, count * sizeof(*segments));
}

int mr_undo_segments_removed(struct mr_change *change, uint32_t place, const struct mr_log *log,
                             uint32_t position, uint32_t count) {
    return note_segments(change, UNDO_SEGMENTS_REMOVED, place, log, position, count);
}

int mr_undo_segment_replaced(struct mr_change *change, uint32_t place, const struct mr_log *log,
                             uint32_t position) {
    return note_segments(change, UNDO_SEGMENT_REPLACED, place, log, position, 1);
}

int mr_undo_terms_removed(struct mr_change *change, uint32_t place, const struct mr_log *log,
                          uint32_t position, uint32_t count) {
    if (count == 0) {
        return MR_OK;
    }
    struct footer footer = {.kind = UNDO_TERMS_REMOVED, .place = place, .position = position, .count = count};
    const struct mr_term_run *terms = log->terms.items + position;
    return note(change, footer, terms, count * sizeof(*terms), NULL, 0);
}

int mr_undo_born(struct mr_change *change, uint32_t place) {
    return note_bare(change, UNDO_BORN, place, 0);
}

int mr_undo_buried(struct mr_change *change, uint32_t place) {
    return note_bare(change, UNDO_BURIED, place, 0);
}

int mr_undo_members(struct mr_change *change, uint32_t place, const struct mr_log *log) {
    struct footer footer = {.kind = UNDO_MEMBERS, .place = place};
    return note(change, footer, &log->members, sizeof(log->members), NULL, 0);
}

int mr_undo_tombstone(struct mr_change *change, uint64_t group, const struct mr_tombstone *before) {
    struct mr_tombstone old = before == NULL ? (struct mr_tombstone){.group = group} : *before;
    struct footer footer = {.kind = UNDO_TOMBSTONE, .count = before == NULL ? 0 : 1};
    return note(change, footer, &old, sizeof(old), NULL, 0);
}

/* ---- taking back ---- */

/* A segment as it was noted, with indexes counted from `base`, made one of the log as it is now. */
static int renewed(struct mr_log *log, uint64_t base, struct mr_segment segment, struct mr_segment *made) {
    uint64_t first = base + segment.first;
    struct mr_span span = {.low = first,
                           .high = first + segment.live,
                           .first = first,
                           .carrier = segment.carrier,
                           .at = segment.at,
                           .length = segment.length};
    return mr_log_segment(log, &span, made);
}

static int put_back_segments(struct mr_log *log, const struct footer *footer, const uint8_t *payload) {
    uint64_t base;
    memcpy(&base, payload, sizeof(base));
    for (uint32_t i = 0; i < footer->count; i++) {
        struct mr_segment segment;
        memcpy(&segment, payload + sizeof(base) + i * sizeof(segment), sizeof(segment));
        struct mr_segment made;
        int status = renewed(log, base, segment, &made);
        if (status != MR_OK) {
            return status;
        }
        if (footer->kind == UNDO_SEGMENT_REPLACED) {
            *mr_segment_at(log, footer->position) = made;
        } else {
            status = mr_log_insert(log, footer->position + i, &made);
        }
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

static int put_back_terms(struct mr_log *log, const struct footer *footer, const uint8_t *payload) {
    for (uint32_t i = 0; i < footer->count; i++) {
        struct mr_term_run term;
        memcpy(&term, payload + i * sizeof(term), sizeof(term));
        int status = mr_log_insert_term(log, footer->position + i, term);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

static int put_back_tombstone(struct mr_logindex *index, const struct footer *footer,
                              const uint8_t *payload) {
    struct mr_tombstone old;
    memcpy(&old, payload, sizeof(old));
    if (footer->count == 0) {
        mr_tombstone_remove(index, old.group);
        return MR_OK;
    }
    return mr_tombstone_put(index, &old);
}

static void put_back_members(struct mr_log *log, const uint8_t *payload) {
    free(log->members.block);
    memcpy(&log->members, payload, sizeof(log->members));
}

static void step_back(struct mr_log *log, const struct footer *footer, const uint8_t *payload) {
    struct old_step old;
    memcpy(&old, payload, sizeof(old));
    mr_log_remove(log, mr_log_segments(log) - footer->count, footer->count);
    log->head.last_index = old.last_index;
    log->head.hard_term = old.hard_term;
    log->head.hard_vote = old.hard_vote;
    log->head.hard_commit = old.hard_commit;
    log->head.carrier[MR_STATE_HARD] = old.carrier;
    log->head.origin[MR_STATE_HARD] = old.origin;
}

static void unbear(struct mr_logindex *index, uint32_t place) {
    mr_map_remove(&index->places, mr_log_at(index, place)->group);
    mr_log_vacate(index, place);
}

static int unbury(struct mr_logindex *index, uint32_t place) {
    int status = mr_map_reserve(&index->places, mr_log_at(index, place)->group);
    if (status == MR_OK) {
        struct mr_log *log = mr_log_at(index, place);
        log->life--;
        mr_map_put(&index->places, log->group, place);
    }
    return status;
}

static int take_back(struct mr_logindex *index, const struct footer *footer, const uint8_t *payload) {
    if (footer->kind == UNDO_TOMBSTONE) {
        return put_back_tombstone(index, footer, payload);
    }
    struct mr_log *log = mr_log_at(index, footer->place);
    switch (footer->kind) {
    case UNDO_HEAD: {
        struct old_head old;
        memcpy(&old, payload, sizeof(old));
        log->touched = old.touched;
        log->head = old.head;
        return MR_OK;
    }
    case UNDO_STEP:
        step_back(log, footer, payload);
        return MR_OK;
    case UNDO_SEGMENTS_REMOVED:
    case UNDO_SEGMENT_REPLACED:
        return put_back_segments(log, footer, payload);
    case UNDO_TERMS_ADDED:
        mr_log_remove_terms(log, log->terms.count - footer->count, footer->count);
        return MR_OK;
    case UNDO_TERMS_REMOVED:
        return put_back_terms(log, footer, payload);
    case UNDO_BORN:
        unbear(index, footer->place);
        return MR_OK;
    case UNDO_BURIED:
        return unbury(index, footer->place);
    default:
        put_back_members(log, payload);
        return MR_OK;
    }
}

int mr_undo_all(struct mr_logindex *index, struct mr_change *change) {
    for (uint32_t i = change->retired.count; i > 0; i--) {
        int status = mr_ledger_restore(&index->ledger, &change->retired.items[i - 1]);
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < change->died.count; i++) {
        int status = mr_logindex_count(index, change->died.items[i], 1);
        if (status != MR_OK) {
            return status;
        }
    }
    while (change->undo.count > 0) {
        struct footer footer;
        const uint8_t *end = change->undo.items + change->undo.count;
        memcpy(&footer, end - sizeof(footer), sizeof(footer));
        int status = take_back(index, &footer, end - sizeof(footer) - footer.length);
        if (status != MR_OK) {
            return status;
        }
        change->undo.count -= (uint32_t)(footer.length + sizeof(footer));
    }
    index->ledger.live_bytes = change->live_bytes_before;
    return MR_OK;
}
