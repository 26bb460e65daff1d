#include "mr_entries.h"

#include <string.h>

#include "mr_crc32c.h"

enum { LENGTH_MASK = 0xFFFFFF, CHECKED_PREFIX = 20 };

_Static_assert(MR_ENTRY_BYTES_MAX <= LENGTH_MASK, "a payload length fits into its 24 bits");
_Static_assert(MR_RUN_BYTES_MAX >= MR_ENTRY_BYTES_MAX, "the largest entry fits into a run");

/* The checksum of one entry; `word` is type << 24 | payload length. */
static uint32_t entry_checksum(uint64_t index, uint64_t term, uint32_t word, const uint8_t *payload) {
    uint8_t prefix[CHECKED_PREFIX];
    mr_put_u64le(prefix, index);
    mr_put_u64le(prefix + 8, term);
    mr_put_u32le(prefix + 16, word);
    return mr_crc32c(mr_crc32c(0, prefix, sizeof(prefix)), payload, word & LENGTH_MASK);
}

/* ---- encoding ---- */

/* The columns of mr_runs_encode, as one argument. */
struct source {
    const uint8_t *terms;
    const uint8_t *indexes;
    const uint8_t *lengths;
    const uint8_t *types;
};

/* Checks `count` entries from `row` on and adds up their payloads. */
static int check_run(const struct source *source, uint64_t row, uint64_t count, uint64_t *payload_bytes,
                     uint64_t *failed) {
    uint64_t bytes = 0;
    uint64_t first = count == 0 ? 0 : mr_get_u64le(source->indexes + 8 * row);
    *failed = first;
    if (count > MR_RUN_ENTRIES_MAX) {
        return MR_TOO_MANY;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = mr_get_u64le(source->indexes + 8 * (row + i));
        uint64_t length = mr_get_u64le(source->lengths + 8 * (row + i));
        *failed = index;
        if (index - first != i || index < first) {
            return MR_ORDER;
        }
        if (length > MR_ENTRY_BYTES_MAX) {
            return MR_TOO_LARGE;
        }
        bytes += length;
    }
    if (MR_RUN_HEADER + count * MR_RUN_ROW + bytes > MR_RUN_BYTES_MAX) {
        return MR_TOO_LARGE;
    }
    *payload_bytes += bytes;
    return MR_OK;
}

static int check_runs(const struct source *source, const uint8_t *counts, uint64_t runs, uint64_t entries,
                      uint64_t payload_bytes, uint64_t room, uint64_t *failed) {
    uint64_t row = 0;
    uint64_t bytes = 0;
    uint64_t needed = 0;
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t count = mr_get_u32le(counts + 4 * i);
        if (count > entries - row) {
            return MR_LENGTH;
        }
        int status = check_run(source, row, count, &bytes, failed);
        if (status != MR_OK) {
            return status;
        }
        row += count;
        needed += count == 0 ? 0 : MR_RUN_HEADER + count * MR_RUN_ROW;
    }
    if (row != entries || bytes != payload_bytes) {
        return MR_LENGTH;
    }
    return needed + bytes <= room ? MR_OK : MR_GROW;
}

/* Writes one checked run of at least one entry and returns its length. */
static uint64_t write_run(const struct source *source, uint64_t row, uint64_t count, const uint8_t *payload,
                          uint8_t *target) {
    uint64_t first = mr_get_u64le(source->indexes + 8 * row);
    uint64_t head = MR_RUN_HEADER + count * MR_RUN_ROW;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *entry = target + MR_RUN_HEADER + i * MR_RUN_ROW;
        uint64_t term = mr_get_u64le(source->terms + 8 * (row + i));
        uint32_t length = (uint32_t)mr_get_u64le(source->lengths + 8 * (row + i));
        uint32_t word = ((uint32_t)source->types[row + i] << 24) | length;
        mr_put_u64le(entry, term);
        mr_put_u32le(entry + 8, word);
        mr_put_u32le(entry + 12, entry_checksum(first + i, term, word, payload + bytes));
        bytes += length;
    }
    mr_put_u64le(target, first);
    mr_put_u32le(target + 8, (uint32_t)count);
    mr_put_u32le(target + 12, (uint32_t)bytes);
    memcpy(target + head, payload, bytes);
    return head + bytes;
}

int mr_runs_encode(const uint8_t *counts, uint64_t runs, const uint8_t *numbers, const uint8_t *types,
                   uint64_t entries, const uint8_t *payload, uint64_t payload_bytes, uint8_t *target,
                   uint64_t room, uint64_t *ends, uint64_t *failed) {
    struct source source = {.terms = numbers,
                            .indexes = numbers + 8 * entries,
                            .lengths = numbers + 16 * entries,
                            .types = types};
    int status = check_runs(&source, counts, runs, entries, payload_bytes, room, failed);
    if (status != MR_OK) {
        return status;
    }
    uint64_t row = 0;
    uint64_t written = 0;
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t count = mr_get_u32le(counts + 4 * i);
        if (count > 0) {
            uint64_t length = write_run(&source, row, count, payload, target + written);
            payload += length - MR_RUN_HEADER - count * MR_RUN_ROW;
            written += length;
        }
        row += count;
        ends[i] = written;
    }
    return MR_OK;
}

/* ---- decoding ---- */

static const uint8_t *row_of(const uint8_t *data, uint64_t i) {
    return data + MR_RUN_HEADER + i * MR_RUN_ROW;
}

int mr_run_open(const uint8_t *data, uint64_t length, struct mr_run *run) {
    run->damaged_index = 0;
    if (length < MR_RUN_HEADER) {
        return MR_SHORT;
    }
    uint64_t first_index = mr_get_u64le(data);
    uint64_t count = mr_run_count(data);
    uint64_t payload_bytes = mr_get_u32le(data + 12);
    run->damaged_index = first_index;
    if (length > MR_RUN_BYTES_MAX) {
        return MR_TOO_LARGE;
    }
    if (count > MR_RUN_ENTRIES_MAX) {
        return MR_TOO_MANY;
    }
    if (count == 0 || length != MR_RUN_HEADER + count * MR_RUN_ROW + payload_bytes) {
        return MR_LENGTH;
    }
    if (first_index > UINT64_MAX - (count - 1)) {
        return MR_ORDER;
    }
    run->first_index = first_index;
    run->count = count;
    run->last_term = mr_get_u64le(row_of(data, count - 1));
    run->damaged_index = 0;
    return MR_OK;
}

int mr_run_verify(const uint8_t *data, uint64_t length, struct mr_run *run) {
    struct mr_run opened;
    int status = mr_run_open(data, length, &opened);
    run->damaged_index = opened.damaged_index;
    if (status != MR_OK) {
        return status;
    }
    uint64_t start = MR_RUN_HEADER + opened.count * MR_RUN_ROW;
    for (uint64_t i = 0; i < opened.count; i++) {
        const uint8_t *row = row_of(data, i);
        uint32_t word = mr_get_u32le(row + 8);
        uint64_t bytes = word & LENGTH_MASK;
        run->damaged_index = opened.first_index + i;
        if (bytes > length - start) {
            return MR_LENGTH;
        }
        if (bytes > MR_ENTRY_BYTES_MAX) {
            return MR_TOO_LARGE;
        }
        uint32_t found = entry_checksum(opened.first_index + i, mr_get_u64le(row), word, data + start);
        if (found != mr_get_u32le(row + 12)) {
            return MR_CHECKSUM;
        }
        start += bytes;
    }
    if (start != length) {
        return MR_LENGTH;
    }
    *run = opened;
    return MR_OK;
}

void mr_run_fill(const uint8_t *data, uint64_t base, const struct mr_entry_columns *columns, uint64_t row) {
    uint64_t first_index = mr_get_u64le(data);
    uint64_t count = mr_run_count(data);
    uint64_t start = base + MR_RUN_HEADER + count * MR_RUN_ROW;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t word = mr_get_u32le(row_of(data, i) + 8);
        columns->term[row + i] = mr_get_u64le(row_of(data, i));
        columns->index[row + i] = first_index + i;
        columns->type[row + i] = (uint8_t)(word >> 24);
        columns->start[row + i] = (uint32_t)start;
        start += word & LENGTH_MASK;
        columns->end[row + i] = (uint32_t)start;
    }
}

int mr_run_decode(const uint8_t *data, uint64_t length, struct mr_run *run,
                  const struct mr_entry_columns *columns) {
    struct mr_run verified;
    int status = mr_run_verify(data, length, &verified);
    run->damaged_index = verified.damaged_index;
    if (status != MR_OK) {
        return status;
    }
    if (verified.count > columns->room) {
        return MR_GROW;
    }
    mr_run_fill(data, 0, columns, 0);
    *run = verified;
    return MR_OK;
}
