#include "mr_logdump.h"

#include "mr_logtable.h"

/* A log: this, the body of the birth, that of the members, the segments (each padded to 8), the terms. */
struct log_record {
    uint64_t group;
    uint64_t as_of;
    uint64_t base;
    struct mr_log_head head;
    uint32_t birth;
    uint32_t members;
    uint32_t segments;
    uint32_t terms;
};

/* A batch; what lives in it is counted when it is loaded. */
struct batch_record {
    uint64_t seq;
    uint64_t size;
    uint64_t chunks;
};

_Static_assert(sizeof(struct log_record) == 3 * 8 + sizeof(struct mr_log_head) + 16, "no holes");

enum { BODY_MAX = 1 << 20 };

/* ---- writing ---- */

static uint64_t size_of(const struct log_record *record) {
    return sizeof(*record) + mr_padded(record->birth) + mr_padded(record->members) +
           mr_padded(record->segments * sizeof(struct mr_segment)) +
           record->terms * (uint64_t)sizeof(struct mr_term_run);
}

static struct log_record describe(const struct mr_log *log, uint64_t as_of) {
    return (struct log_record){.group = log->group,
                               .as_of = as_of,
                               .base = log->base,
                               .head = log->head,
                               .birth = mr_body_length(&log->birth),
                               .members = mr_body_length(&log->members),
                               .segments = mr_log_segments(log),
                               .terms = log->terms.count};
}

static uint8_t *put(uint8_t *target, const void *bytes, uint64_t length) {
    uint64_t padding = mr_padded(length) - length;
    if (length > 0) {
        memcpy(target, bytes, length);
    }
    memset(target + length, 0, padding);
    return target + length + padding;
}

static uint8_t *put_segments(uint8_t *target, const struct mr_log *log) {
    uint64_t older = log->older.count * sizeof(*log->tail);
    if (older > 0) {
        memcpy(target, log->older.items, older);
    }
    uint64_t tail = log->tail_count * sizeof(*log->tail);
    memcpy(target + older, log->tail, tail);
    uint64_t padding = mr_padded(older + tail) - older - tail;
    memset(target + older + tail, 0, padding);
    return target + older + tail + padding;
}

static uint8_t *put_log(uint8_t *target, const struct mr_log *log, const struct log_record *record) {
    target = put(target, record, sizeof(*record));
    target = put(target, mr_body_bytes(&log->birth), record->birth);
    target = put(target, mr_body_bytes(&log->members), record->members);
    target = put_segments(target, log);
    return put(target, log->terms.items, record->terms * sizeof(struct mr_term_run));
}

int mr_logdump_logs(const struct mr_logindex *index, uint64_t as_of, struct mr_log_dump *dump,
                    uint8_t *target, uint64_t room) {
    uint8_t *end = target;
    dump->written = 0;
    for (; dump->place < index->used_places; dump->place++) {
        if (mr_logindex_group(index, (uint32_t)dump->place) == 0) {
            continue;
        }
        const struct mr_log *log = mr_log_at(index, (uint32_t)dump->place);
        struct log_record record = describe(log, as_of);
        uint64_t size = size_of(&record);
        if (size > room - dump->written) {
            if (dump->written == 0) {
                dump->written = size;
                return MR_GROW;
            }
            return MR_OK;
        }
        end = put_log(end, log, &record);
        dump->written += size;
    }
    return MR_OK;
}

int mr_logdump_tombstones(const struct mr_logindex *index, struct mr_log_dump *dump, uint8_t *target,
                          uint64_t room) {
    dump->written = 0;
    while (dump->tombstone < index->tombstones.count && room - dump->written >= sizeof(struct mr_tombstone)) {
        put(target + dump->written, &index->tombstones.items[dump->tombstone], sizeof(struct mr_tombstone));
        dump->written += sizeof(struct mr_tombstone);
        dump->tombstone++;
    }
    return MR_OK;
}

int mr_logdump_batches(const struct mr_logindex *index, uint64_t until, struct mr_log_dump *dump,
                       uint8_t *target, uint64_t room) {
    dump->written = 0;
    struct mr_stored stored;
    mr_logindex_batch(index, 0, &stored);
    if (dump->seq >= stored.seq) {
        mr_logindex_batch_after(index, dump->seq, &stored);
    }
    while (stored.seq != 0 && stored.seq <= until && room - dump->written >= sizeof(struct batch_record)) {
        struct batch_record record = {.seq = stored.seq, .size = stored.size, .chunks = stored.chunks};
        put(target + dump->written, &record, sizeof(record));
        dump->written += sizeof(record);
        dump->seq = stored.seq;
        mr_logindex_batch_after(index, stored.seq, &stored);
    }
    return MR_OK;
}

/* ---- loading ---- */

/* The live segments of a record: ascending, in batches that may be. Those of deleted batches are left out.
 * There is room for a quarter more: the scan that follows adds to most logs, and moving each of ten thousand
 * long ones to new pages takes longer than all else. Memory that is not written to costs nothing. */
static int load_segments(struct mr_log *log, const uint8_t *data, uint32_t count, uint64_t oldest,
                         uint64_t newest) {
    int status = mr_log_reserve(log, (uint64_t)count + count / 4);
    uint64_t end = 0;
    for (uint32_t i = 0; status == MR_OK && i < count; i++) {
        struct mr_segment segment;
        memcpy(&segment, data + i * sizeof(segment), sizeof(segment));
        if (segment.live == 0 || segment.first < end || segment.carrier == 0 || segment.carrier > newest) {
            return MR_RANGE;
        }
        end = (uint64_t)segment.first + segment.live;
        if (segment.carrier >= oldest) {
            *mr_log_slot(log) = segment;
            log->tail_count++;
        }
    }
    return status;
}

static int load_terms(struct mr_log *log, const uint8_t *data, uint32_t count) {
    int status = mr_log_reserve_terms(log, count);
    for (uint32_t i = 0; status == MR_OK && i < count; i++) {
        struct mr_term_run term;
        memcpy(&term, data + i * sizeof(term), sizeof(term));
        if (i > 0 && term.first <= log->terms.items[i - 1].first) {
            return MR_RANGE;
        }
        log->terms.items[log->terms.count++] = term;
    }
    return status;
}

static int load_bodies(struct mr_log *log, const uint8_t *data, const struct log_record *record) {
    int status = mr_body_copy(data, record->birth, &log->birth);
    if (status == MR_OK && record->members > 0) {
        status = mr_body_copy(data + mr_padded(record->birth), record->members, &log->members);
    }
    return status;
}

/* A group whose replica was removed while the dump went on, and another one born, may stand in it twice. */
static int forget_former(struct mr_logindex *index, const struct log_record *record) {
    uint32_t place = mr_logindex_find(index, record->group);
    if (place == MR_NOWHERE) {
        return 1;
    }
    if (mr_log_at(index, place)->touched >= record->as_of) {
        return 0;
    }
    mr_map_remove(&index->places, record->group);
    mr_log_vacate(index, place);
    return 1;
}

static int load_log(struct mr_logindex *index, const struct log_record *record, const uint8_t *data,
                    uint64_t oldest, uint64_t newest) {
    uint32_t place;
    if (record->group == 0 || record->head.replica == 0 || record->as_of > newest ||
        record->base > UINT64_MAX / 2 || record->head.point_index > UINT64_MAX / 2) {
        return MR_RANGE;
    }
    if (!forget_former(index, record)) {
        return MR_EXISTS;
    }
    int status = mr_log_settle(index, record->group, record->head.replica, &place);
    if (status != MR_OK) {
        return status;
    }
    struct mr_log *log = mr_log_at(index, place);
    log->head = record->head;
    log->base = record->base;
    log->touched = record->as_of;
    status = load_bodies(log, data, record);
    data += mr_padded(record->birth) + mr_padded(record->members);
    if (status == MR_OK) {
        status = load_segments(log, data, record->segments, oldest, newest);
    }
    data += mr_padded(record->segments * sizeof(struct mr_segment));
    return status == MR_OK ? load_terms(log, data, record->terms) : status;
}

int mr_logload_logs(struct mr_logindex *index, const uint8_t *data, uint64_t length, uint64_t oldest,
                    uint64_t newest) {
    while (length > 0) {
        struct log_record record;
        if (length < sizeof(record)) {
            return MR_LENGTH;
        }
        memcpy(&record, data, sizeof(record));
        if (record.birth > BODY_MAX || record.members > BODY_MAX || size_of(&record) > length) {
            return MR_LENGTH;
        }
        int status = load_log(index, &record, data + sizeof(record), oldest, newest);
        if (status != MR_OK) {
            return status;
        }
        data += size_of(&record);
        length -= size_of(&record);
    }
    return MR_OK;
}

int mr_logload_tombstones(struct mr_logindex *index, const uint8_t *data, uint64_t length) {
    struct mr_tombstone tombstone;
    if (length % sizeof(tombstone) != 0) {
        return MR_LENGTH;
    }
    for (; length > 0; data += sizeof(tombstone), length -= sizeof(tombstone)) {
        memcpy(&tombstone, data, sizeof(tombstone));
        int status =
            tombstone.group == 0 || tombstone.carrier == 0 ? MR_RANGE : mr_tombstone_put(index, &tombstone);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

int mr_logload_batches(struct mr_logindex *index, const uint8_t *data, uint64_t length, uint64_t oldest) {
    struct batch_record record;
    if (length % sizeof(record) != 0) {
        return MR_LENGTH;
    }
    for (; length > 0; data += sizeof(record), length -= sizeof(record)) {
        memcpy(&record, data, sizeof(record));
        if (record.seq < oldest) {
            continue;
        }
        if (record.size == 0 || record.chunks > UINT32_MAX) {
            return MR_RANGE;
        }
        int status = mr_logindex_recover_batch(index, record.seq, (uint32_t)record.chunks, record.size);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}
