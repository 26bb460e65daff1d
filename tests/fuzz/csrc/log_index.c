/* The index of a log: any sequence of calls, with sections of any bytes, is taken or refused; what is staged
 * can be undone to exactly what was there before, and what is alive is counted rightly.
 *
 * Input: calls, one after the other. The first byte of each chooses it. */
#include "fuzz.h"

#include "mr_logdump.h"
#include "mr_rescue.h"
#include "mr_rows.h"

enum { CALLS = 24, ROOM = 8, GROUPS = 4 };

/* What can be seen of an index, as a number: undoing must bring it back. */
static uint64_t fingerprint(const struct mr_logindex *index) {
    struct mr_log_totals totals;
    mr_logindex_totals(index, &totals);
    uint64_t sum = totals.replicas * 3 + totals.tombstones * 5 + totals.batches * 7 + totals.live_bytes * 11;
    for (uint64_t group = 1; group <= GROUPS; group++) {
        uint32_t place = mr_logindex_find(index, group);
        struct mr_tombstone stone;
        mr_logindex_tombstone(index, group, &stone);
        sum = sum * 31 + stone.replica + stone.carrier;
        if (place == MR_PLACE_NONE) {
            continue;
        }
        const struct mr_log_head *head = mr_logindex_head(index, place);
        REQUIRE(mr_logindex_group(index, place) == group && head->point_index <= head->last_index);
        const uint64_t *numbers = (const uint64_t *)head;
        for (size_t i = 0; i < sizeof(*head) / sizeof(*numbers); i++) {
            sum = sum * 31 + numbers[i];
        }
        const uint8_t *body;
        sum += mr_logindex_birth(index, place, &body) + mr_logindex_members(index, place, &body);
        sum += *mr_logindex_life(index, place);
    }
    return sum;
}

/* Every entry is in one span, each span in a batch that counts it, and terms do not fall. */
static void require_whole(const struct mr_logindex *index) {
    REQUIRE(mr_logindex_places(index) <= 128);
    uint64_t memory = mr_logindex_memory(index);
    fuzz_observe(&memory, sizeof(memory));
    for (uint64_t group = 1; group <= GROUPS; group++) {
        uint32_t place = mr_logindex_find(index, group);
        if (place == MR_PLACE_NONE) {
            continue;
        }
        const struct mr_log_head *head = mr_logindex_head(index, place);
        uint64_t low = head->point_index + 1;
        while (low <= head->last_index) {
            struct mr_span *spans = fuzz_block(ROOM * sizeof(*spans));
            uint32_t found = mr_logindex_spans(index, place, low, head->last_index + 1, spans, ROOM);
            REQUIRE(found > 0 && found <= ROOM);
            for (uint32_t i = 0; i < found; i++) {
                struct mr_stored stored;
                mr_logindex_batch(index, spans[i].carrier, &stored);
                REQUIRE(stored.seq == spans[i].carrier && stored.live > 0);
                REQUIRE(spans[i].low == low && spans[i].first <= low && spans[i].high > low);
                low = spans[i].high;
            }
        }
        REQUIRE((mr_logindex_log_bytes(index, place) == 0) == (head->last_index == head->point_index));
        fuzz_observe(head, sizeof(*head));
        uint64_t term = mr_logindex_term(index, place, head->last_index);
        fuzz_observe(&term, sizeof(term));
    }
}

/* A section from the input, in memory of its own. */
static int open_section(struct fuzz_input *input, uint64_t base, struct mr_rows *rows) {
    uint64_t count = fuzz_take(input, 1) & 7;
    int rewritten = (int)(fuzz_take(input, 1) & 1);
    uint64_t size = fuzz_least(fuzz_take(input, 1), input->size);
    const uint8_t *section = fuzz_copy(input->data, size);
    input->data += size;
    input->size -= size;
    return mr_rows_open(section, size, base, count, rewritten, rows);
}

static int one_row(uint64_t group, uint64_t replica, uint64_t first, uint64_t terms, uint64_t parts,
                   uint64_t cut, uint64_t base, struct mr_rows *rows) {
    uint64_t count = terms & 3;
    uint64_t run = count == 0 ? 0 : MR_RUN_HEADER + count * MR_RUN_ROW;
    parts &= MR_PART_HARD | MR_PART_TRUNCATION;
    uint64_t size =
        16 + 8 + 8 + mr_padded(run) + (parts & MR_PART_HARD ? 24 : 0) + (parts & MR_PART_TRUNCATION ? 16 : 0);
    uint8_t *section = fuzz_block(size);
    memset(section, 0, size);
    mr_put_u64le(section, group);
    mr_put_u64le(section + 8, replica);
    mr_put_u32le(section + 16, (uint32_t)run);
    section[24] = (uint8_t)parts;
    if (run > 0) {
        mr_put_u64le(section + 32, first);
        mr_put_u32le(section + 40, (uint32_t)count);
        for (uint64_t i = 0; i < count; i++) {
            mr_put_u64le(section + 32 + MR_RUN_HEADER + i * MR_RUN_ROW, 1 + (terms >> (2 + i)) % 3);
        }
    }
    if (parts & MR_PART_TRUNCATION) {
        mr_put_u64le(section + size - 16, cut);
        mr_put_u64le(section + size - 8, 1);
    }
    return mr_rows_open(section, size, base, 1, 0, rows);
}

/* One change of the newest batch; returns a status. */
static int change(struct mr_logindex *index, uint64_t seq, struct fuzz_input *input) {
    uint64_t kind = fuzz_take(input, 1) % 8;
    uint64_t group = 1 + fuzz_take(input, 1) % GROUPS;
    uint64_t replica = 1 + fuzz_take(input, 1) % 2;
    struct mr_log_failure failure;
    struct mr_rows rows;
    int known = 0;
    int status;
    switch (kind) {
    case 0:
        return mr_logindex_bear(index, group, replica, (const uint8_t *)"birth", 5);
    case 1:
        return mr_logindex_bury(index, group, replica, &known);
    case 2:
        return mr_logindex_reset(index, group, replica, fuzz_take(input, 6), 2, (const uint8_t *)"m", 1);
    case 3:
        status = open_section(input, 64, &rows);
        return status == MR_OK ? mr_logindex_append(index, &rows, rows.rows, &failure) : status;
    case 4: {
        uint32_t place = mr_logindex_find(index, group);
        return place == MR_PLACE_NONE ? MR_OK : mr_logindex_move_state(index, place, (uint32_t)replica);
    }
    case 5: {
        struct mr_stored oldest;
        mr_logindex_batch(index, 0, &oldest);
        return oldest.live == 0 && oldest.seq < seq ? mr_logindex_retire(index) : MR_OK;
    }
    default: {
        uint32_t place = mr_logindex_find(index, group);
        uint64_t last = place == MR_PLACE_NONE ? 1 : mr_logindex_head(index, place)->last_index;
        uint64_t first = last + 1 - fuzz_take(input, 1) % 3;
        uint64_t terms = fuzz_take(input, 1);
        uint64_t parts = fuzz_take(input, 1);
        status = one_row(group, replica, first, terms, parts, last - (parts >> 4), 64, &rows);
        return status == MR_OK ? mr_logindex_append(index, &rows, 1, &failure) : status;
    }
    }
}

/* Finds what lives in a batch that cannot be read: each run of it is put in place of itself by the input. */
static int find_in_wreck(const struct mr_logindex *index, uint64_t seq, struct mr_rescue *rescue,
                         struct fuzz_input *input) {
    struct mr_stored stored;
    mr_logindex_batch(index, seq, &stored);
    struct mr_carried run = {0};
    uint64_t runs = 0;
    int status = mr_rescue_states(rescue, index, seq);
    while (mr_logindex_carried(index, seq, &run)) {
        runs++;
        REQUIRE(run.first < run.end);
        uint64_t size = fuzz_least(fuzz_take(input, 1), input->size);
        const uint8_t *bytes = fuzz_copy(input->data, size);
        if (status == MR_OK) {
            status = mr_rescue_run(rescue, index, seq, run.group, run.at, bytes, size);
        }
    }
    REQUIRE(runs <= stored.live);
    return status;
}

/* Moves what lives in the oldest batch into a new one, by a section of the input. */
static int collect(struct mr_logindex *index, uint64_t seq, struct fuzz_input *input) {
    struct mr_stored oldest;
    mr_logindex_batch(index, 0, &oldest);
    struct mr_rows rows;
    struct mr_rescue *rescue = mr_rescue_new();
    mr_rescue_begin(rescue, index);
    uint64_t bound = 64 * fuzz_take(input, 1);
    int status = MR_OK;
    if (bound == 0) {
        status = find_in_wreck(index, oldest.seq, rescue, input);
    } else {
        status = open_section(input, 64, &rows);
        if (status == MR_OK) {
            status = mr_rescue_rows(rescue, index, oldest.seq, &rows, bound);
        }
    }
    for (uint64_t group = 1; bound > 0 && status == MR_OK && group <= GROUPS; group++) {
        status = mr_rescue_group(rescue, index, oldest.seq, group);
        REQUIRE(mr_rescue_tombstone(rescue, index, oldest.seq, group) == MR_OK);
    }
    if (status == MR_OK) {
        mr_rescue_keep(rescue);
    } else {
        mr_rescue_drop(rescue);
    }
    struct mr_rescue_totals totals;
    mr_rescue_totals(rescue, &totals);
    uint8_t *section = fuzz_block(totals.section);
    int written = oldest.seq < seq ? mr_rescue_write(rescue, index, 64, section) : MR_OK;
    for (uint64_t i = 0; written == MR_OK && oldest.seq < seq && i < totals.metas; i++) {
        struct mr_rescued_meta meta;
        mr_rescue_meta(rescue, i, &meta);
        written = meta.kind == MR_RESCUE_TOMBSTONE ? mr_logindex_move_tombstone(index, meta.group)
                                                   : mr_logindex_move_state(index, meta.place, meta.kind);
    }
    mr_rescue_free(rescue);
    return written;
}

/* Dumps an index without batches in flight, in slices of some room, into one that is being recovered. */
static void copy_by_slices(const struct mr_logindex *index, uint64_t newest, uint64_t room,
                           struct mr_logindex *copy) {
    struct mr_log_dump dump = {0};
    uint8_t *target = fuzz_block(room);
    for (;;) {
        int status = mr_logdump_logs(index, newest, &dump, target, room);
        if (status == MR_GROW) {
            room = dump.written;
            target = fuzz_block(room);
            continue;
        }
        REQUIRE(status == MR_OK && dump.written <= room);
        if (dump.written == 0) {
            break;
        }
        REQUIRE(mr_logload_logs(copy, target, dump.written, 0, newest) == MR_OK);
    }
    do {
        REQUIRE(mr_logdump_tombstones(index, &dump, target, room) == MR_OK);
        REQUIRE(mr_logload_tombstones(copy, target, dump.written) == MR_OK);
    } while (dump.written > 0);
    do {
        REQUIRE(mr_logdump_batches(index, newest, &dump, target, room) == MR_OK);
        REQUIRE(mr_logload_batches(copy, target, dump.written, 0) == MR_OK);
    } while (dump.written > 0);
}

/* What is dumped is loaded, and shows the same. */
static void require_copy(const struct mr_logindex *index, uint64_t newest, uint64_t room) {
    struct mr_logindex *copy = mr_logindex_new();
    struct mr_log_failure failure;
    copy_by_slices(index, newest, room, copy);
    REQUIRE(mr_logindex_recovered(copy, &failure) == MR_OK);
    require_whole(copy);
    for (uint64_t group = 1; group <= GROUPS; group++) {
        uint32_t place = mr_logindex_find(index, group);
        uint32_t other = mr_logindex_find(copy, group);
        REQUIRE((place == MR_PLACE_NONE) == (other == MR_PLACE_NONE));
        if (place != MR_PLACE_NONE) {
            const struct mr_log_head *one = mr_logindex_head(index, place);
            REQUIRE(memcmp(one, mr_logindex_head(copy, other), sizeof(*one)) == 0);
        }
    }
    struct mr_log_totals mine;
    struct mr_log_totals found;
    mr_logindex_totals(index, &mine);
    mr_logindex_totals(copy, &found);
    found.entries = mine.entries;
    REQUIRE(memcmp(&mine, &found, sizeof(mine)) == 0);
    mr_logindex_free(copy);
}

/* Loads slices of the input, and recovers from there. */
static void load(struct mr_logindex *index, struct fuzz_input *input) {
    struct mr_log_failure failure;
    int status = MR_OK;
    while (status == MR_OK && input->size > 0) {
        uint64_t kind = fuzz_take(input, 1) % 3;
        uint64_t size = fuzz_least(fuzz_take(input, 2), input->size);
        const uint8_t *slice = fuzz_copy(input->data, size);
        input->data += size;
        input->size -= size;
        status = kind == 0   ? mr_logload_logs(index, slice, size, 2, 1000)
                 : kind == 1 ? mr_logload_tombstones(index, slice, size)
                             : mr_logload_batches(index, slice, size, 2);
        REQUIRE(status != MR_BUG && status != MR_MEMORY);
    }
    status = status == MR_OK ? mr_logindex_recovered(index, &failure) : status;
    REQUIRE(status != MR_BUG);
    if (status == MR_OK) {
        require_whole(index);
    }
}

static void stage(struct mr_logindex *index, struct fuzz_input *input) {
    uint64_t flying[CALLS];
    uint64_t prints[CALLS];
    uint32_t first = 0;
    uint32_t last = 0;
    uint64_t seq = 0;
    for (int call = 0; call < CALLS && input->size > 0; call++) {
        uint64_t kind = fuzz_take(input, 1);
        if ((kind & 3) == 0 && first < last) {
            last--;
            REQUIRE(mr_logindex_undo(index, flying[last]) == MR_OK);
            REQUIRE(fingerprint(index) == prints[last]);
        } else if ((kind & 3) == 1 && first < last) {
            REQUIRE(mr_logindex_finish(index, flying[first++]) == MR_OK);
        } else {
            uint64_t before = fingerprint(index);
            REQUIRE(mr_logindex_begin(index, ++seq) == MR_OK);
            int status = kind & 4 ? collect(index, seq, input) : change(index, seq, input);
            REQUIRE(status != MR_BUG && status != MR_MEMORY);
            REQUIRE(mr_logindex_measure(index, seq, 1, 100) == MR_OK);
            if (status != MR_OK) {
                REQUIRE(mr_logindex_undo(index, seq) == MR_OK);
                REQUIRE(fingerprint(index) == before);
            } else {
                flying[last] = seq;
                prints[last++] = before;
            }
        }
        require_whole(index);
    }
    while (first < last) {
        REQUIRE(mr_logindex_finish(index, flying[first++]) == MR_OK);
    }
    require_copy(index, seq, 64 + 8 * (input->size & 63));
}

/* Who is in doubt is named once, and is there unless its birth is missing. */
static void require_doubts(const struct mr_logindex *index) {
    struct mr_doubted found;
    for (uint64_t number = 0; number == 0 || found.group != 0; number++) {
        REQUIRE(number <= GROUPS + CALLS);
        mr_logindex_doubted(index, number, &found);
        uint32_t place = found.group == 0 ? MR_PLACE_NONE : mr_logindex_find(index, found.group);
        REQUIRE(found.group == 0 || (found.doubts & MR_DOUBT_BIRTH) != 0 || place != MR_PLACE_NONE);
        fuzz_observe(&found, sizeof(found));
    }
}

static void recover(struct mr_logindex *index, struct fuzz_input *input) {
    struct mr_log_failure failure;
    for (uint64_t seq = 1; seq < CALLS && input->size > 0; seq++) {
        REQUIRE(mr_logindex_recover_batch(index, seq, 1, 100) == MR_OK);
        uint64_t kind = fuzz_take(input, 1) % 8;
        uint64_t group = fuzz_take(input, 1) % (GROUPS + 1);
        uint64_t replica = fuzz_take(input, 1) % 3;
        uint64_t origin = 1 + fuzz_take(input, 1) % seq;
        struct mr_rows rows;
        int status;
        if (kind == 6) {
            mr_logindex_recover_gap(index, seq, seq);
            status = MR_OK;
        } else if (kind == 7) {
            status = mr_logindex_recover_gap_of(index, seq, seq, group);
        } else if (kind == 0) {
            status = mr_logindex_recover_birth(index, group, replica, seq, origin, (const uint8_t *)"b", 1);
        } else if (kind == 1) {
            status = mr_logindex_recover_tombstone(index, group, replica, seq, origin);
        } else if (kind == 2) {
            status = mr_logindex_recover_point(index, group, replica, seq, fuzz_take(input, 6), 2,
                                               (const uint8_t *)"m", 1);
        } else if (kind == 3) {
            status = mr_logindex_recover_members(index, group, replica, seq, origin, (const uint8_t *)"m", 1);
        } else {
            status = kind == 4 ? open_section(input, 64, &rows)
                               : one_row(group, replica, fuzz_take(input, 1) % 8, fuzz_take(input, 1),
                                         fuzz_take(input, 1), fuzz_take(input, 1) % 8, 64, &rows);
            if (status == MR_OK) {
                status = mr_logindex_recover_rows(index, seq, &rows, rows.rows, &failure);
            }
        }
        REQUIRE(status != MR_BUG && status != MR_MEMORY);
    }
    int status = mr_logindex_recovered(index, &failure);
    REQUIRE(status != MR_BUG && status != MR_MEMORY);
    if (status == MR_OK) {
        require_whole(index);
        require_doubts(index);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    fuzz_reset();
    struct mr_logindex *index = mr_logindex_new();
    REQUIRE(index != NULL);
    uint64_t way = fuzz_take(&input, 1);
    if (way & 1) {
        recover(index, &input);
    } else if (way & 2) {
        load(index, &input);
    } else {
        stage(index, &input);
    }
    struct mr_stored stored;
    struct mr_tombstone stone;
    uint64_t run[3] = {0};
    struct mr_rows rows;
    mr_logindex_batch_after(index, 1, &stored);
    mr_logindex_retired(index, 1, 0, &stored);
    mr_logindex_tombstone_at(index, 0, &stone);
    if (one_row(1, 1, 2, 1, 0, 0, 64, &rows) == MR_OK) {
        mr_rows_next_run(&rows, run);
        REQUIRE(run[0] == 1 && run[2] > 0);
    }
    mr_logindex_free(index);
    return 0;
}
