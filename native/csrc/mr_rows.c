#include "mr_rows.h"

#include <string.h>

#include "mr_entries.h"

enum { ROWS_MAX = 1 << 28 };

#define BATCH_MAX UINT64_C(0xFFFFFFFF)

static uint64_t column(const uint8_t *data, uint64_t at, uint64_t row) {
    return mr_get_u64le(data + at + 8 * row);
}

int mr_rows_open(const uint8_t *data, uint64_t length, uint64_t base, uint64_t count, int rewritten,
                 struct mr_rows *rows) {
    if (count > ROWS_MAX || base > BATCH_MAX || length > BATCH_MAX - base) {
        return MR_RANGE;
    }
    struct mr_rows opened = {.data = data, .length = length, .base = base, .rows = count};
    opened.replicas_at = 8 * count;
    opened.origins_at = rewritten ? 16 * count : 0;
    opened.lengths_at = (rewritten ? 24 : 16) * count;
    opened.parts_at = opened.lengths_at + mr_padded(4 * count);
    opened.run_at = opened.parts_at + mr_padded(count);
    if (opened.run_at > length) {
        return MR_LENGTH;
    }
    uint64_t bytes = 0;
    uint64_t hards = 0;
    uint64_t truncations = 0;
    for (uint64_t i = 0; i < count; i++) {
        bytes += mr_get_u32le(data + opened.lengths_at + 4 * i);
        hards += (data[opened.parts_at + i] & MR_PART_HARD) != 0;
        truncations += (data[opened.parts_at + i] & MR_PART_TRUNCATION) != 0;
    }
    opened.hard_at = opened.run_at + mr_padded(bytes);
    opened.truncation_at = opened.hard_at + 24 * hards;
    if (opened.truncation_at + 16 * truncations != length) {
        return MR_LENGTH;
    }
    *rows = opened;
    return MR_OK;
}

uint64_t mr_rows_group(const struct mr_rows *rows, uint64_t row) {
    return column(rows->data, 0, row);
}

void mr_rows_next(struct mr_rows *rows, struct mr_row *row) {
    const uint8_t *data = rows->data;
    uint64_t i = rows->row++;
    *row = (struct mr_row){.group = column(data, 0, i),
                           .replica = column(data, rows->replicas_at, i),
                           .parts = data[rows->parts_at + i],
                           .run = data + rows->run_at,
                           .run_length = mr_get_u32le(data + rows->lengths_at + 4 * i),
                           .run_at = rows->base + rows->run_at};
    if (rows->origins_at != 0) {
        row->origin = column(data, rows->origins_at, i);
    }
    rows->run_at += row->run_length;
    if (row->parts & MR_PART_HARD) {
        for (int k = 0; k < 3; k++) {
            row->hard[k] = column(data, rows->hard_at, (uint64_t)k);
        }
        rows->hard_at += 24;
    }
    if (row->parts & MR_PART_TRUNCATION) {
        for (int k = 0; k < 2; k++) {
            row->truncation[k] = column(data, rows->truncation_at, (uint64_t)k);
        }
        rows->truncation_at += 16;
    }
}

void mr_rows_next_run(struct mr_rows *rows, uint64_t *found) {
    struct mr_row row;
    mr_rows_next(rows, &row);
    found[0] = row.group;
    found[1] = row.run_at;
    found[2] = row.run_length;
}

/* ---- runs ---- */

static uint64_t term_at(const uint8_t *run, uint64_t number) {
    return mr_get_u64le(run + MR_RUN_HEADER + number * MR_RUN_ROW);
}

static uint64_t payload_length(const uint8_t *run, uint64_t number) {
    return mr_get_u32le(run + MR_RUN_HEADER + number * MR_RUN_ROW + 8) & 0xFFFFFF;
}

int mr_run_look(const uint8_t *run, uint64_t length, struct mr_run_shape *shape) {
    struct mr_run opened;
    int status = mr_run_open(run, length, &opened);
    if (status != MR_OK) {
        return status;
    }
    if (opened.first_index + opened.count == 0) {
        return MR_ORDER; /* the last index is the greatest number: there is none behind it */
    }
    uint64_t last = term_at(run, 0);
    for (uint64_t i = 1; i < opened.count; i++) {
        if (term_at(run, i) < last) {
            return MR_ORDER;
        }
        last = term_at(run, i);
    }
    *shape = (struct mr_run_shape){.first = opened.first_index,
                                   .end = opened.first_index + opened.count,
                                   .first_term = term_at(run, 0),
                                   .last_term = last};
    return MR_OK;
}

uint64_t mr_run_term(const uint8_t *run, const struct mr_run_shape *shape, uint64_t index) {
    return term_at(run, index - shape->first);
}

static uint64_t payload_sum(const uint8_t *run, uint64_t from, uint64_t to) {
    uint64_t sum = 0;
    for (uint64_t i = from; i < to; i++) {
        sum += payload_length(run, i);
    }
    return sum;
}

int mr_run_part_size(const uint8_t *run, const struct mr_run_shape *shape, uint64_t length, uint64_t low,
                     uint64_t high, uint64_t *size) {
    uint64_t count = shape->end - shape->first;
    if (MR_RUN_HEADER + count * MR_RUN_ROW + payload_sum(run, 0, count) != length) {
        return MR_LENGTH;
    }
    uint64_t payload = payload_sum(run, low - shape->first, high - shape->first);
    *size = MR_RUN_HEADER + (high - low) * MR_RUN_ROW + payload;
    return MR_OK;
}

void mr_run_part_write(const uint8_t *run, const struct mr_run_shape *shape, uint64_t low, uint64_t high,
                       uint8_t *target) {
    uint64_t skipped = low - shape->first;
    uint64_t kept = high - low;
    uint64_t before = payload_sum(run, 0, skipped);
    uint64_t payload = payload_sum(run, skipped, skipped + kept);
    const uint8_t *payloads = run + MR_RUN_HEADER + (shape->end - shape->first) * MR_RUN_ROW;
    mr_put_u64le(target, low);
    mr_put_u32le(target + 8, (uint32_t)kept);
    mr_put_u32le(target + 12, (uint32_t)payload);
    memcpy(target + MR_RUN_HEADER, run + MR_RUN_HEADER + skipped * MR_RUN_ROW, kept * MR_RUN_ROW);
    memcpy(target + MR_RUN_HEADER + kept * MR_RUN_ROW, payloads + before, payload);
}
