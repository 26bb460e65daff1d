/* The encoder of runs, on columns that contradict each other: refused without a byte written, or decodable.
 *
 * Input: runs 1 | entries 1 | payload bytes 1 | room 2 | mode 1, then for each run its count 1, for each
 * entry type 1, length 1, term 1, then payload. Bit 0 of the mode makes counts and lengths add up, bit 1
 * makes a number of the columns larger than it may be. */
#include "fuzz.h"

enum { RUNS = 5, ENTRIES = 12, PAYLOAD = 200, ROOM = 600, HONEST = 1, HUGE_NUMBER = 2 };

struct columns {
    uint64_t runs, entries, payload_bytes, room, mode;
    uint8_t *counts, *numbers, *types, *payload;
};

static uint8_t *number(const struct columns *columns, int field, uint64_t row) {
    return columns->numbers + 8 * ((uint64_t)field * columns->entries + row);
}

static void fill_counts(struct columns *columns, struct fuzz_input *input) {
    uint64_t left = columns->entries;
    for (uint64_t i = 0; i < columns->runs; i++) {
        uint64_t count = fuzz_take(input, 1);
        if (columns->mode & HONEST) {
            count = i + 1 == columns->runs ? left : count % (left + 1);
        }
        left -= fuzz_least(left, count);
        mr_put_u32le(columns->counts + 4 * i, (uint32_t)count);
    }
}

static void fill_numbers(struct columns *columns, struct fuzz_input *input) {
    uint64_t left = columns->payload_bytes;
    uint64_t first = fuzz_take(input, 1) % 4 == 0 ? UINT64_MAX - 3 : 1;
    for (uint64_t i = 0; i < columns->entries; i++) {
        uint64_t length = fuzz_take(input, 1);
        if (columns->mode & HONEST) {
            length = i + 1 == columns->entries ? left : length % (left + 1);
        }
        left -= fuzz_least(left, length);
        columns->types[i] = (uint8_t)fuzz_take(input, 1);
        mr_put_u64le(number(columns, 0, i), fuzz_take(input, 1));
        mr_put_u64le(number(columns, 1, i), first + i);
        mr_put_u64le(number(columns, 2, i), length);
    }
    if ((columns->mode & HUGE_NUMBER) && columns->entries > 0) {
        uint64_t place = fuzz_take(input, 1) % (3 * columns->entries);
        mr_put_u64le(columns->numbers + 8 * place, fuzz_take(input, 8));
    }
}

static struct columns read_columns(struct fuzz_input *input) {
    struct columns columns = {0};
    columns.runs = fuzz_take(input, 1) % RUNS;
    columns.entries = fuzz_take(input, 1) % ENTRIES;
    columns.payload_bytes = fuzz_take(input, 1) % PAYLOAD;
    columns.room = fuzz_take(input, 2) % ROOM;
    columns.mode = fuzz_take(input, 1);
    columns.counts = fuzz_block(4 * columns.runs);
    columns.numbers = fuzz_block(24 * columns.entries);
    columns.types = fuzz_block(columns.entries);
    fill_counts(&columns, input);
    fill_numbers(&columns, input);
    columns.payload = fuzz_block(columns.payload_bytes);
    for (uint64_t i = 0; i < columns.payload_bytes; i++) {
        columns.payload[i] = (uint8_t)fuzz_take(input, 1);
    }
    return columns;
}

/* Each run decodes to the rows that it was made of. */
static void require_decodes(const struct columns *columns, const uint8_t *target, const uint64_t *ends) {
    uint64_t row = 0;
    uint64_t at = 0;
    const uint8_t *payload = columns->payload;
    for (uint64_t i = 0; i < columns->runs; i++) {
        uint64_t count = mr_get_u32le(columns->counts + 4 * i);
        uint64_t length = ends[i] - at;
        struct mr_run run = {0};
        struct mr_entry_columns found = fuzz_entry_columns(count);
        REQUIRE(ends[i] >= at && ends[i] <= columns->room && (count == 0) == (length == 0));
        if (count > 0) {
            REQUIRE(mr_run_decode(target + at, length, &run, &found) == MR_OK && run.count == count);
        }
        for (uint64_t k = 0; k < count; k++, row++) {
            uint64_t bytes = found.end[k] - found.start[k];
            REQUIRE(found.term[k] == mr_get_u64le(number(columns, 0, row)));
            REQUIRE(found.index[k] == mr_get_u64le(number(columns, 1, row)));
            REQUIRE(bytes == mr_get_u64le(number(columns, 2, row)));
            REQUIRE(found.type[k] == columns->types[row]);
            REQUIRE(memcmp(target + at + found.start[k], payload, bytes) == 0);
            payload += bytes;
        }
        at = ends[i];
    }
    REQUIRE(row == columns->entries && payload == columns->payload + columns->payload_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    fuzz_reset();
    struct columns columns = read_columns(&input);
    uint8_t *target = fuzz_block(columns.room);
    uint64_t *ends = fuzz_block(8 * columns.runs);
    uint64_t failed = 0;
    int status = mr_runs_encode(columns.counts, columns.runs, columns.numbers, columns.types, columns.entries,
                                columns.payload, columns.payload_bytes, target, columns.room, ends, &failed);
    REQUIRE(status != MR_BUG);
    if (status == MR_OK) {
        require_decodes(&columns, target, ends);
        fuzz_observe(target, columns.runs == 0 ? 0 : ends[columns.runs - 1]);
    } else {
        REQUIRE(fuzz_untouched(target, columns.room) && fuzz_untouched(ends, 8 * columns.runs));
    }
    return 0;
}
