#include "mr_log.h"

_Static_assert(sizeof(struct mr_segment) == 20, "a segment takes 20 bytes");
_Static_assert(sizeof(struct mr_log_head) == 15 * 8, "a head is numbers and nothing between them");

#define CARRIER_MAX ((UINT64_C(1) << 44) - 1)
#define LIVE_MAX ((UINT64_C(1) << 20) - 1)

void mr_log_begin(struct mr_log *log, uint64_t group, uint64_t replica) {
    uint64_t life = log->life + 1;
    *log = (struct mr_log){.group = group, .life = life};
    log->head = (struct mr_log_head){
        .replica = replica, .point_index = 1, .point_term = 1, .hard_commit = 1, .last_index = 1};
}

void mr_log_end(struct mr_log *log) {
    free(log->birth.block);
    free(log->members.block);
    mr_array_free(&log->older);
    if (log->terms.items != &log->first_term) {
        free(log->terms.items);
    }
    uint64_t life = log->life + 1;
    *log = (struct mr_log){.life = life};
}

/* As mr_reserve, of an array whose first item may stand in `inside`. */
static int reserve(void **items, uint32_t *room, uint32_t count, uint64_t more, size_t size, void *inside) {
    if (*items == NULL && more == 1) {
        *items = inside;
        *room = 1;
    }
    if (*items != inside || count + more <= 1) {
        return mr_reserve(items, room, count, more, size);
    }
    void *moved = NULL;
    int status = mr_reserve(&moved, room, count, more, size);
    if (status == MR_OK) {
        memcpy(moved, inside, count * size);
        *items = moved;
    }
    return status;
}

int mr_log_reserve(struct mr_log *log, uint64_t more) {
    uint64_t more_than_tail = log->tail_count + more;
    return more_than_tail <= MR_TAIL ? MR_OK : mr_array_reserve(&log->older, more_than_tail);
}

/* The tail joins the older ones, where there is room for it. */
static void spill(struct mr_log *log) {
    memcpy(log->older.items + log->older.count, log->tail, log->tail_count * sizeof(*log->tail));
    log->older.count += log->tail_count;
    log->tail_count = 0;
}

struct mr_segment *mr_log_slot(struct mr_log *log) {
    if (log->tail_count == MR_TAIL) {
        spill(log);
    }
    return &log->tail[log->tail_count];
}

int mr_log_reserve_terms(struct mr_log *log, uint64_t more) {
    return reserve((void **)&log->terms.items, &log->terms.room, log->terms.count, more,
                   sizeof(log->first_term), &log->first_term);
}

static uint64_t body_memory(const struct mr_body *body) {
    return body->block == NULL ? 0 : sizeof(uint32_t) + mr_body_length(body);
}

uint64_t mr_log_memory(const struct mr_log *log) {
    uint64_t bytes = body_memory(&log->birth) + body_memory(&log->members);
    bytes += log->older.room * sizeof(*log->tail);
    if (log->terms.items != &log->first_term) {
        bytes += log->terms.room * sizeof(log->first_term);
    }
    return bytes;
}

uint32_t mr_log_position(const struct mr_log *log, uint64_t index) {
    uint32_t low = 0;
    uint32_t high = mr_log_segments(log);
    if (high > 0 && mr_segment_first(log, high - 1) < index) {
        return high; /* mostly: entries come at the end, and a search would touch cold memory ten times */
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mr_segment_first(log, middle) < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t mr_log_term_position(const struct mr_log *log, uint64_t index) {
    uint32_t low = 0;
    uint32_t high = log->terms.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->terms.items[middle].first <= index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t mr_log_term(const struct mr_log *log, uint64_t index) {
    if (index == log->head.point_index) {
        return log->head.point_term;
    }
    if (index < log->head.point_index || index > log->head.last_index) {
        return 0;
    }
    uint32_t position = mr_log_term_position(log, index);
    return position == 0 ? 0 : log->terms.items[position - 1].term;
}

/* Counts all segments from the first one's index, or from `index` if that is lower or there are none. */
static int rebase(struct mr_log *log, uint64_t index) {
    uint64_t base = index;
    uint32_t count = mr_log_segments(log);
    if (count > 0 && mr_segment_first(log, 0) < base) {
        base = mr_segment_first(log, 0);
    }
    uint64_t last = count > 0 ? mr_segment_first(log, count - 1) : base;
    if ((last > index ? last : index) - base > UINT32_MAX) {
        return MR_RANGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        mr_segment_at(log, i)->first = (uint32_t)(mr_segment_first(log, i) - base);
    }
    log->base = base;
    return MR_OK;
}

int mr_log_segment(struct mr_log *log, const struct mr_span *span, struct mr_segment *made) {
    if (span->carrier > CARRIER_MAX || span->high - span->low > LIVE_MAX || span->at > UINT32_MAX ||
        span->length > UINT32_MAX || span->high < span->low) {
        return MR_RANGE;
    }
    if (span->low < log->base || span->low - log->base > UINT32_MAX) {
        int status = rebase(log, span->low);
        if (status != MR_OK) {
            return status;
        }
    }
    *made = (struct mr_segment){.carrier = span->carrier,
                                .live = span->high - span->low,
                                .first = (uint32_t)(span->low - log->base),
                                .at = (uint32_t)span->at,
                                .length = (uint32_t)span->length};
    return MR_OK;
}

int mr_log_put_back(struct mr_log *log, uint32_t position, const struct mr_segment *segments,
                    uint32_t count) {
    if (count == 0) {
        return MR_OK;
    }
    int status = mr_array_reserve(&log->older, (uint64_t)log->tail_count + count);
    if (status != MR_OK) {
        return status;
    }
    spill(log);
    struct mr_segment *place = log->older.items + position;
    memmove(place + count, place, (log->older.count - position) * sizeof(*place));
    memcpy(place, segments, count * sizeof(*place));
    log->older.count += count;
    return MR_OK;
}

int mr_log_put_back_terms(struct mr_log *log, uint32_t position, const struct mr_term_run *terms,
                          uint32_t count) {
    int status = mr_log_reserve_terms(log, count);
    if (status != MR_OK || count == 0) {
        return status;
    }
    struct mr_term_run *place = log->terms.items + position;
    memmove(place + count, place, (log->terms.count - position) * sizeof(*place));
    memcpy(place, terms, count * sizeof(*place));
    log->terms.count += count;
    return MR_OK;
}

int mr_log_insert(struct mr_log *log, uint32_t position, const struct mr_segment *segment) {
    return mr_log_put_back(log, position, segment, 1);
}

int mr_log_insert_term(struct mr_log *log, uint32_t position, struct mr_term_run term) {
    return mr_log_put_back_terms(log, position, &term, 1);
}

void mr_log_remove(struct mr_log *log, uint32_t position, uint32_t count) {
    uint32_t older = log->older.count;
    uint32_t from = position < older ? position : older;
    uint32_t to = position + count < older ? position + count : older;
    if (from < to) {
        memmove(log->older.items + from, log->older.items + to, (older - to) * sizeof(*log->tail));
        log->older.count -= to - from;
    }
    from = position > older ? position - older : 0;
    to = position + count > older ? position + count - older : 0;
    memmove(log->tail + from, log->tail + to, (log->tail_count - to) * sizeof(*log->tail));
    log->tail_count -= to - from;
}

void mr_log_remove_terms(struct mr_log *log, uint32_t position, uint32_t count) {
    if (count == 0) {
        return;
    }
    struct mr_term_run *place = log->terms.items + position;
    memmove(place, place + count, (log->terms.count - position - count) * sizeof(*place));
    log->terms.count -= count;
}
