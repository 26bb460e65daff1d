#include "mr_rescue.h"

#include "mr_logtable.h"

struct rescued_run {
    uint32_t place;
    uint32_t position;
    uint64_t low;
    uint64_t high;
    uint64_t origin;
    uint32_t at; /* in the copied bytes */
    uint32_t length;
};

struct rescued_state {
    uint32_t place;
    uint32_t state;
};

/* How much of each kind there was at the last mr_rescue_keep. */
struct kept {
    uint32_t runs;
    uint32_t states;
    uint32_t metas;
    uint32_t bytes;
};

struct mr_rescue {
    uint64_t id; /* marks the logs that were looked at for small states */
    MR_ARRAY(struct rescued_run) runs;
    MR_ARRAY(struct rescued_state) states;
    MR_ARRAY(struct mr_rescued_meta) metas;
    MR_ARRAY(uint8_t) bytes;
    struct kept kept;
};

struct mr_rescue *mr_rescue_new(void) {
    return calloc(1, sizeof(struct mr_rescue));
}

void mr_rescue_free(struct mr_rescue *rescue) {
    if (rescue == NULL) {
        return;
    }
    mr_array_free(&rescue->runs);
    mr_array_free(&rescue->states);
    mr_array_free(&rescue->metas);
    mr_array_free(&rescue->bytes);
    free(rescue);
}

void mr_rescue_begin(struct mr_rescue *rescue, struct mr_logindex *index) {
    rescue->id = index->rescues += 1;
    rescue->kept = (struct kept){0};
    mr_rescue_drop(rescue);
}

void mr_rescue_keep(struct mr_rescue *rescue) {
    rescue->kept = (struct kept){.runs = rescue->runs.count,
                                 .states = rescue->states.count,
                                 .metas = rescue->metas.count,
                                 .bytes = rescue->bytes.count};
}

void mr_rescue_drop(struct mr_rescue *rescue) {
    rescue->runs.count = rescue->kept.runs;
    rescue->states.count = rescue->kept.states;
    rescue->metas.count = rescue->kept.metas;
    rescue->bytes.count = rescue->kept.bytes;
}

/* ---- finding ---- */

/* The segment that lives in the run of a row, or its absence as the count of segments. */
static uint32_t position_of(const struct mr_log *log, uint64_t first, uint64_t seq, uint64_t run_at) {
    uint32_t position = mr_log_position(log, first);
    if (position < mr_log_segments(log) && mr_segment_first(log, position) == first) {
        const struct mr_segment *segment = mr_segment_at(log, position);
        if (segment->carrier == seq && segment->at == run_at) {
            return position;
        }
    }
    return mr_log_segments(log);
}

static int find_run(struct mr_rescue *rescue, const struct mr_logindex *index, uint32_t place, uint64_t seq,
                    const struct mr_row *row) {
    const struct mr_log *log = mr_log_at(index, place);
    struct mr_run_shape shape;
    int status = mr_run_look(row->run, row->run_length, &shape);
    if (status != MR_OK) {
        return status;
    }
    uint32_t position = position_of(log, shape.first, seq, row->run_at);
    if (position == mr_log_segments(log)) {
        return MR_OK;
    }
    struct rescued_run found = {.place = place, .position = position, .at = rescue->bytes.count};
    found.low = shape.first > log->head.point_index ? shape.first : log->head.point_index + 1;
    found.high = mr_segment_end(log, position);
    found.origin = row->origin == 0 ? seq : row->origin;
    uint64_t size;
    status = mr_run_part_size(row->run, &shape, row->run_length, found.low, found.high, &size);
    if (status == MR_OK) {
        status = mr_array_reserve(&rescue->bytes, size);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&rescue->runs, 1);
    }
    if (status != MR_OK) {
        return status;
    }
    found.length = (uint32_t)size;
    mr_run_part_write(row->run, &shape, found.low, found.high, rescue->bytes.items + found.at);
    rescue->bytes.count += found.length;
    rescue->runs.items[rescue->runs.count++] = found;
    return MR_OK;
}

static int add_meta(struct mr_rescue *rescue, struct mr_rescued_meta meta) {
    int status = mr_array_reserve(&rescue->metas, 1);
    if (status == MR_OK) {
        rescue->metas.items[rescue->metas.count++] = meta;
    }
    return status;
}

static int find_state(struct mr_rescue *rescue, const struct mr_log *log, uint32_t place, uint32_t state) {
    if (state == MR_STATE_BIRTH || state == MR_STATE_MEMBERS) {
        struct mr_rescued_meta meta = {.group = log->group,
                                       .replica = log->head.replica,
                                       .origin = log->head.origin[state],
                                       .place = place,
                                       .kind = state};
        return add_meta(rescue, meta);
    }
    int status = mr_array_reserve(&rescue->states, 1);
    if (status == MR_OK) {
        rescue->states.items[rescue->states.count++] = (struct rescued_state){place, state};
    }
    return status;
}

int mr_rescue_group(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq, uint64_t group) {
    uint32_t place = mr_logindex_find(index, group);
    if (place == MR_NOWHERE) {
        return MR_OK;
    }
    struct mr_log *log = mr_log_at(index, place);
    if (log->rescue == rescue->id && log->rescued_from == seq) {
        return MR_OK; /* another row of the group in this batch */
    }
    for (uint32_t state = 0; state < MR_STATES; state++) {
        int status = log->head.carrier[state] == seq ? find_state(rescue, log, place, state) : MR_OK;
        if (status != MR_OK) {
            return status;
        }
    }
    log->rescue = rescue->id;
    log->rescued_from = seq;
    return MR_OK;
}

int mr_rescue_tombstone(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq,
                        uint64_t group) {
    const struct mr_tombstone *found = mr_tombstone_find(index, group);
    if (found == NULL || found->carrier != seq) {
        return MR_OK;
    }
    struct mr_rescued_meta meta = {.group = group,
                                   .replica = found->replica,
                                   .origin = found->origin,
                                   .place = MR_PLACE_NONE,
                                   .kind = MR_RESCUE_TOMBSTONE};
    return add_meta(rescue, meta);
}

static uint64_t live_bytes(const struct mr_rescue *rescue) {
    return rescue->bytes.count + MR_STATE_BYTES * ((uint64_t)rescue->states.count + rescue->metas.count);
}

int mr_rescue_rows(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq,
                   struct mr_rows *rows, uint64_t bound) {
    while (rows->row < rows->rows && live_bytes(rescue) < bound) {
        struct mr_row row;
        mr_logindex_look_ahead(index, rows);
        mr_rows_next(rows, &row);
        uint32_t place = mr_logindex_find(index, row.group);
        if (place == MR_NOWHERE) {
            continue;
        }
        int status = row.run_length == 0 ? MR_OK : find_run(rescue, index, place, seq, &row);
        if (status == MR_OK) {
            status = mr_rescue_group(rescue, index, seq, row.group);
        }
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

int mr_rescue_run(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq, uint64_t group,
                  uint64_t at, const uint8_t *run, uint64_t length) {
    uint32_t place = mr_logindex_find(index, group);
    struct mr_row row = {.group = group, .run = run, .run_length = length, .run_at = at};
    return place == MR_NOWHERE ? MR_OK : find_run(rescue, index, place, seq, &row);
}

int mr_rescue_states(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq) {
    for (uint32_t place = 0; place < index->used_places; place++) {
        uint64_t group = mr_logindex_group(index, place);
        int status = group == 0 ? MR_OK : mr_rescue_group(rescue, index, seq, group);
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < index->tombstones.count; i++) {
        int status = mr_rescue_tombstone(rescue, index, seq, index->tombstones.items[i].group);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* ---- writing ---- */

/* Where the parts of the section begin: states come first, then runs. */
struct layout {
    uint64_t rows;
    uint64_t lengths_at;
    uint64_t parts_at;
    uint64_t runs_at;
    uint64_t hard_at;
    uint64_t truncation_at;
    uint64_t length;
};

static struct layout lay_out(const struct mr_rescue *rescue) {
    uint64_t hards = 0;
    for (uint32_t i = 0; i < rescue->states.count; i++) {
        hards += rescue->states.items[i].state == MR_STATE_HARD;
    }
    struct layout layout = {.rows = (uint64_t)rescue->states.count + rescue->runs.count};
    layout.lengths_at = 24 * layout.rows;
    layout.parts_at = layout.lengths_at + mr_padded(4 * layout.rows);
    layout.runs_at = layout.parts_at + mr_padded(layout.rows);
    layout.hard_at = layout.runs_at + mr_padded(rescue->bytes.count);
    layout.truncation_at = layout.hard_at + 24 * hards;
    layout.length = layout.truncation_at + 16 * (rescue->states.count - hards);
    return layout;
}

void mr_rescue_totals(const struct mr_rescue *rescue, struct mr_rescue_totals *totals) {
    struct layout layout = lay_out(rescue);
    *totals = (struct mr_rescue_totals){.runs = rescue->runs.count,
                                        .states = rescue->states.count,
                                        .metas = rescue->metas.count,
                                        .section = layout.rows == 0 ? 0 : layout.length};
    totals->bytes = live_bytes(rescue);
}

void mr_rescue_meta(const struct mr_rescue *rescue, uint64_t number, struct mr_rescued_meta *meta) {
    *meta = number < rescue->metas.count ? rescue->metas.items[number] : (struct mr_rescued_meta){0};
}

static void write_row(uint8_t *target, const struct layout *layout, uint64_t row, const struct mr_log *log,
                      uint64_t origin, uint32_t run_length, uint8_t parts) {
    mr_put_u64le(target + 8 * row, log->group);
    mr_put_u64le(target + 8 * (layout->rows + row), log->head.replica);
    mr_put_u64le(target + 8 * (2 * layout->rows + row), origin);
    mr_put_u32le(target + layout->lengths_at + 4 * row, run_length);
    target[layout->parts_at + row] = parts;
}

static int write_state(const struct rescued_state *state, struct mr_logindex *index, struct layout *layout,
                       uint64_t row, uint8_t *target) {
    const struct mr_log *log = mr_log_at(index, state->place);
    uint64_t origin = log->head.origin[state->state];
    if (state->state == MR_STATE_HARD) {
        write_row(target, layout, row, log, origin, 0, MR_PART_HARD);
        mr_put_u64le(target + layout->hard_at, log->head.hard_term);
        mr_put_u64le(target + layout->hard_at + 8, log->head.hard_vote);
        mr_put_u64le(target + layout->hard_at + 16, log->head.hard_commit);
        layout->hard_at += 24;
    } else {
        write_row(target, layout, row, log, origin, 0, MR_PART_TRUNCATION);
        mr_put_u64le(target + layout->truncation_at, log->head.point_index);
        mr_put_u64le(target + layout->truncation_at + 8, log->head.point_term);
        layout->truncation_at += 16;
    }
    return mr_logindex_move_state(index, state->place, state->state);
}

int mr_rescue_write(struct mr_rescue *rescue, struct mr_logindex *index, uint64_t base, uint8_t *target) {
    struct layout layout = lay_out(rescue);
    memset(target, 0, layout.length);
    uint64_t row = 0;
    for (uint32_t i = 0; i < rescue->states.count; i++) {
        int status = write_state(&rescue->states.items[i], index, &layout, row++, target);
        if (status != MR_OK) {
            return status;
        }
    }
    if (rescue->bytes.count > 0) {
        memcpy(target + layout.runs_at, rescue->bytes.items, rescue->bytes.count);
    }
    for (uint32_t i = 0; i < rescue->runs.count; i++) {
        const struct rescued_run *run = &rescue->runs.items[i];
        write_row(target, &layout, row++, mr_log_at(index, run->place), run->origin, run->length, 0);
        struct mr_span span = {.low = run->low,
                               .high = run->high,
                               .first = run->low,
                               .carrier = mr_newest_change(index)->seq,
                               .at = base + layout.runs_at + run->at,
                               .length = run->length};
        int status = mr_change_move_run(index, run->place, run->position, &span);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}
