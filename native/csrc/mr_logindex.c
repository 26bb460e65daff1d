#include "mr_logtable.h"

_Static_assert(MR_PLACE_NONE == MR_NOWHERE, "the map and Python mean the same by no place");

enum { BODY_MAX = 1 << 20 };

/* ---- the whole ---- */

struct mr_logindex *mr_logindex_new(void) {
    return calloc(1, sizeof(struct mr_logindex));
}

void mr_logindex_free(struct mr_logindex *index) {
    if (index == NULL) {
        return;
    }
    for (uint32_t i = 0; i < index->used_places; i++) {
        mr_log_end(mr_log_at(index, i));
    }
    for (uint32_t i = 0; i < index->slabs.count; i++) {
        free(index->slabs.items[i]);
    }
    for (uint32_t i = 0; i < index->in_flight.count; i++) {
        mr_change_free(index->in_flight.items[i]);
    }
    for (uint32_t i = 0; i < index->spare.count; i++) {
        mr_change_free(index->spare.items[i]);
    }
    mr_array_free(&index->slabs);
    mr_array_free(&index->free_places);
    mr_array_free(&index->tombstones);
    mr_array_free(&index->in_flight);
    mr_array_free(&index->spare);
    mr_array_free(&index->doubted);
    mr_array_free(&index->missed);
    mr_map_clear(&index->places);
    mr_map_clear(&index->tombstone_places);
    mr_ledger_clear(&index->ledger);
    free(index);
}

void mr_logindex_totals(const struct mr_logindex *index, struct mr_log_totals *totals) {
    const struct mr_stored *oldest = mr_ledger_oldest(&index->ledger);
    *totals = (struct mr_log_totals){.replicas = index->places.count,
                                     .tombstones = index->tombstones.count,
                                     .batches = index->ledger.batches,
                                     .stored_bytes = index->ledger.stored_bytes,
                                     .live_bytes = index->ledger.live_bytes,
                                     .oldest = oldest == NULL ? 0 : oldest->seq,
                                     .chunks = index->ledger.chunks,
                                     .entries = index->entries};
}

uint64_t mr_logindex_memory(const struct mr_logindex *index) {
    uint64_t bytes = (uint64_t)index->slabs.count * MR_SLAB * sizeof(struct mr_log) +
                     mr_map_memory(&index->places) + mr_map_memory(&index->tombstone_places) +
                     index->ledger.room * sizeof(struct mr_stored) +
                     (uint64_t)index->tombstones.room * sizeof(struct mr_tombstone);
    for (uint32_t i = 0; i < index->used_places; i++) {
        bytes += mr_log_memory(mr_log_at(index, i));
    }
    return bytes;
}

/* ---- looking at a log ---- */

uint32_t mr_logindex_find(const struct mr_logindex *index, uint64_t group) {
    return mr_map_get(&index->places, group);
}

uint32_t mr_logindex_places(const struct mr_logindex *index) {
    return index->used_places;
}

uint64_t mr_logindex_group(const struct mr_logindex *index, uint32_t place) {
    const struct mr_log *log = mr_log_at(index, place);
    return log->group != 0 && mr_map_get(&index->places, log->group) == place ? log->group : 0;
}

const uint64_t *mr_logindex_life(const struct mr_logindex *index, uint32_t place) {
    return &mr_log_at(index, place)->life;
}

const struct mr_log_head *mr_logindex_head(const struct mr_logindex *index, uint32_t place) {
    return &mr_log_at(index, place)->head;
}

uint32_t mr_logindex_birth(const struct mr_logindex *index, uint32_t place, const uint8_t **body) {
    const struct mr_log *log = mr_log_at(index, place);
    *body = mr_body_bytes(&log->birth);
    return mr_body_length(&log->birth);
}

uint32_t mr_logindex_members(const struct mr_logindex *index, uint32_t place, const uint8_t **body) {
    const struct mr_log *log = mr_log_at(index, place);
    *body = mr_body_bytes(&log->members);
    return mr_body_length(&log->members);
}

uint64_t mr_logindex_term(const struct mr_logindex *index, uint32_t place, uint64_t entry) {
    return mr_log_term(mr_log_at(index, place), entry);
}

uint32_t mr_logindex_spans(const struct mr_logindex *index, uint32_t place, uint64_t low, uint64_t high,
                           struct mr_span *spans, uint32_t room) {
    const struct mr_log *log = mr_log_at(index, place);
    uint32_t position = mr_log_position(log, low);
    if (position == mr_log_segments(log) || mr_segment_first(log, position) > low) {
        position--; /* it begins before */
    }
    uint32_t found = 0;
    for (; found < room && position < mr_log_segments(log) && low < high; found++, position++) {
        const struct mr_segment *segment = mr_segment_at(log, position);
        uint64_t end = mr_segment_end(log, position);
        spans[found] = (struct mr_span){.low = low,
                                        .high = end < high ? end : high,
                                        .first = mr_segment_first(log, position),
                                        .carrier = segment->carrier,
                                        .at = segment->at,
                                        .length = segment->length};
        low = end;
    }
    return found;
}

uint64_t mr_logindex_log_bytes(const struct mr_logindex *index, uint32_t place) {
    const struct mr_log *log = mr_log_at(index, place);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < mr_log_segments(log); i++) {
        bytes += mr_segment_at(log, i)->length;
    }
    return bytes;
}

int mr_logindex_carried(const struct mr_logindex *index, uint64_t seq, struct mr_carried *found) {
    for (; found->place < index->used_places; found->place++, found->position = 0) {
        const struct mr_log *log = mr_log_at(index, found->place);
        uint32_t count = mr_logindex_group(index, found->place) == 0 ? 0 : mr_log_segments(log);
        while (found->position < count) {
            uint32_t position = found->position++;
            const struct mr_segment *segment = mr_segment_at(log, position);
            if (segment->carrier == seq) {
                found->group = log->group;
                found->first = mr_segment_first(log, position);
                found->end = mr_segment_end(log, position);
                found->at = segment->at;
                found->length = segment->length;
                return 1;
            }
        }
    }
    return 0;
}

/* ---- places ---- */

struct mr_log *mr_log_of(const struct mr_logindex *index, uint64_t group, uint64_t replica, uint32_t *place) {
    *place = mr_map_get(&index->places, group);
    if (*place == MR_NOWHERE) {
        return NULL;
    }
    struct mr_log *log = mr_log_at(index, *place);
    return log->head.replica == replica ? log : NULL;
}

/* The group's log, NULL if there is none: it may belong to another replica. */
static const struct mr_log *glance(const struct mr_logindex *index, const struct mr_rows *rows,
                                   uint64_t row) {
    if (row >= rows->rows) {
        return NULL;
    }
    uint32_t place = mr_map_get(&index->places, mr_rows_group(rows, row));
    return place == MR_NOWHERE ? NULL : mr_log_at(index, place);
}

void mr_logindex_look_ahead(const struct mr_logindex *index, const struct mr_rows *rows) {
    enum { STEP = 6 };
    if (rows->row + 3 * STEP < rows->rows) {
        mr_map_fetch(&index->places, mr_rows_group(rows, rows->row + 3 * STEP));
    }
    const struct mr_log *log = glance(index, rows, rows->row + 2 * STEP);
    for (size_t at = 0; log != NULL && at < offsetof(struct mr_log, life); at += MR_LINE) {
        __builtin_prefetch((const char *)log + at, 1);
    }
    log = glance(index, rows, rows->row + STEP);
    if (log != NULL) {
        if (log->tail_count == MR_TAIL) {
            __builtin_prefetch(log->older.items + log->older.count, 1);
        }
        if (log->terms.items != &log->first_term && log->terms.count > 0) {
            __builtin_prefetch(log->terms.items + log->terms.count - 1);
        }
    }
}

static int take_place(struct mr_logindex *index, uint32_t *place) {
    if (index->free_places.count > 0) {
        *place = index->free_places.items[--index->free_places.count];
        return MR_OK;
    }
    if (index->used_places == (uint64_t)index->slabs.count * MR_SLAB) {
        int status = mr_array_reserve(&index->slabs, 1);
        if (status != MR_OK) {
            return status;
        }
        struct mr_log *slab = aligned_alloc(MR_LINE, MR_SLAB * sizeof(*slab));
        if (slab == NULL) {
            return MR_MEMORY;
        }
        memset(slab, 0, MR_SLAB * sizeof(*slab));
        index->slabs.items[index->slabs.count++] = slab;
    }
    *place = index->used_places++;
    return MR_OK;
}

/* Room for all places: giving one back must not need memory. */
static int reserve_free_places(struct mr_logindex *index) {
    uint64_t places = (uint64_t)index->used_places + 1;
    return mr_array_reserve(&index->free_places, places - index->free_places.count);
}

int mr_log_settle(struct mr_logindex *index, uint64_t group, uint64_t replica, uint32_t *place) {
    int status = mr_map_reserve(&index->places, group);
    if (status == MR_OK) {
        status = reserve_free_places(index);
    }
    if (status == MR_OK) {
        status = take_place(index, place);
    }
    if (status != MR_OK) {
        return status;
    }
    mr_map_put(&index->places, group, *place);
    mr_log_begin(mr_log_at(index, *place), group, replica);
    return MR_OK;
}

void mr_log_vacate(struct mr_logindex *index, uint32_t place) {
    mr_log_end(mr_log_at(index, place));
    index->free_places.items[index->free_places.count++] = place;
}

int mr_body_copy(const uint8_t *bytes, uint32_t length, struct mr_body *copy) {
    if (length > BODY_MAX) {
        return MR_TOO_LARGE;
    }
    copy->block = malloc(sizeof(length) + length);
    if (copy->block == NULL) {
        return MR_MEMORY;
    }
    memcpy(copy->block, &length, sizeof(length));
    memcpy(copy->block + sizeof(length), bytes, length);
    return MR_OK;
}

/* ---- tombstones ---- */

struct mr_tombstone *mr_tombstone_find(const struct mr_logindex *index, uint64_t group) {
    uint32_t place = mr_map_get(&index->tombstone_places, group);
    return place == MR_NOWHERE ? NULL : &index->tombstones.items[place];
}

int mr_tombstone_put(struct mr_logindex *index, const struct mr_tombstone *tombstone) {
    struct mr_tombstone *found = mr_tombstone_find(index, tombstone->group);
    if (found != NULL) {
        *found = *tombstone;
        return MR_OK;
    }
    int status = mr_map_reserve(&index->tombstone_places, tombstone->group);
    if (status == MR_OK) {
        status = mr_array_reserve(&index->tombstones, 1);
    }
    if (status != MR_OK) {
        return status;
    }
    mr_map_put(&index->tombstone_places, tombstone->group, index->tombstones.count);
    index->tombstones.items[index->tombstones.count++] = *tombstone;
    return MR_OK;
}

/* The last one takes the place of the one removed. */
void mr_tombstone_remove(struct mr_logindex *index, uint64_t group) {
    uint32_t place = mr_map_get(&index->tombstone_places, group);
    if (place == MR_NOWHERE) {
        return;
    }
    struct mr_tombstone last = index->tombstones.items[--index->tombstones.count];
    mr_map_remove(&index->tombstone_places, group);
    if (last.group != group) {
        mr_map_remove(&index->tombstone_places, last.group);
        mr_map_put(&index->tombstone_places, last.group, place);
        index->tombstones.items[place] = last;
    }
}

void mr_logindex_tombstone(const struct mr_logindex *index, uint64_t group, struct mr_tombstone *found) {
    const struct mr_tombstone *tombstone = mr_tombstone_find(index, group);
    *found = tombstone == NULL ? (struct mr_tombstone){0} : *tombstone;
}

void mr_logindex_tombstone_at(const struct mr_logindex *index, uint64_t number, struct mr_tombstone *found) {
    *found = number < index->tombstones.count ? index->tombstones.items[number] : (struct mr_tombstone){0};
}

/* ---- batches ---- */

void mr_logindex_batch(const struct mr_logindex *index, uint64_t seq, struct mr_stored *stored) {
    const struct mr_ledger *ledger = &index->ledger;
    const struct mr_stored *found = seq == 0 ? mr_ledger_oldest(ledger) : mr_ledger_find(ledger, seq);
    *stored = found == NULL ? (struct mr_stored){0} : *found;
}

void mr_logindex_batch_after(const struct mr_logindex *index, uint64_t seq, struct mr_stored *stored) {
    const struct mr_stored *newest = mr_ledger_newest(&index->ledger);
    *stored = (struct mr_stored){0};
    uint64_t next = seq < index->ledger.oldest ? index->ledger.oldest : seq + 1;
    for (; newest != NULL && next <= newest->seq && stored->seq == 0; next++) {
        mr_logindex_batch(index, next, stored);
    }
}

int mr_logindex_count(struct mr_logindex *index, uint64_t carrier, int64_t items) {
    if (carrier == 0) {
        return MR_OK;
    }
    struct mr_stored *stored = mr_ledger_find(&index->ledger, carrier);
    MR_ASSERT(stored != NULL && (int64_t)stored->live + items >= 0);
    stored->live = (uint32_t)((int64_t)stored->live + items);
    return MR_OK;
}
