#include "fuzz.h"

#include <sanitizer/asan_interface.h>

#include "mr_crc32c.h"

enum { ARENA = 1 << 22, BLOCK_MAX = 1 << 18, BORDER = 16, LENGTH_MASK = 0xFFFFFF };

static volatile uint8_t sink;
static uint8_t untouched[BLOCK_MAX];
static _Alignas(16) uint8_t arena[ARENA];
static size_t used = ARENA; /* before the first reset, which poisons all of it */

void fuzz_reset(void) {
    __asan_poison_memory_region(arena, used);
    if (used == ARENA) {
        memset(untouched, FUZZ_UNTOUCHED, sizeof(untouched));
    }
    used = BORDER;
}

void *fuzz_block(size_t size) {
    size_t taken = (size + BORDER - 1) / BORDER * BORDER;
    uint8_t *block = arena + used;
    REQUIRE(size <= BLOCK_MAX && taken + BORDER <= ARENA - used);
    used += taken + BORDER;
    __asan_unpoison_memory_region(block, size);
    memset(block, FUZZ_UNTOUCHED, size);
    return block;
}

uint8_t *fuzz_copy(const void *data, size_t size) {
    uint8_t *block = fuzz_block(size);
    if (size > 0) {
        memcpy(block, data, size);
    }
    return block;
}

int fuzz_untouched(const void *block, size_t size) {
    return memcmp(block, untouched, size) == 0;
}

void fuzz_observe(const void *data, size_t size) {
    const uint8_t *bytes = data;
    REQUIRE(size == 0 || __asan_region_is_poisoned((void *)(uintptr_t)data, size) == NULL);
    for (size_t i = 0; i < size; i += 8) {
        sink ^= bytes[i];
    }
}

struct mr_entry_columns fuzz_entry_columns(uint64_t room) {
    return (struct mr_entry_columns){.room = room,
                                     .term = fuzz_block(8 * room),
                                     .index = fuzz_block(8 * room),
                                     .type = fuzz_block(room),
                                     .start = fuzz_block(4 * room),
                                     .end = fuzz_block(4 * room)};
}

int fuzz_entry_columns_untouched(const struct mr_entry_columns *columns) {
    uint64_t room = columns->room;
    return fuzz_untouched(columns->term, 8 * room) && fuzz_untouched(columns->index, 8 * room) &&
           fuzz_untouched(columns->type, room) && fuzz_untouched(columns->start, 4 * room) &&
           fuzz_untouched(columns->end, 4 * room);
}

/* Written anew from the description of the format: the checksum that the decoder should find. */
static void mend_entry(uint8_t *row, uint64_t index, const uint8_t *payload) {
    uint8_t prefix[20];
    mr_put_u64le(prefix, index);
    memcpy(prefix + 8, row, 12);
    uint32_t length = mr_get_u32le(row + 8) & LENGTH_MASK;
    mr_put_u32le(row + 12, mr_crc32c(mr_crc32c(0, prefix, 20), payload, length));
}

void fuzz_mend_run(uint8_t *run, uint64_t length) {
    if (length < MR_RUN_HEADER) {
        return;
    }
    uint64_t count = mr_get_u32le(run + 8) % (length / MR_RUN_ROW);
    uint64_t start = MR_RUN_HEADER + count * MR_RUN_ROW;
    mr_put_u32le(run + 8, (uint32_t)count);
    mr_put_u32le(run + 12, (uint32_t)(length - start));
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *row = run + MR_RUN_HEADER + i * MR_RUN_ROW;
        uint64_t left = length - start;
        uint64_t bytes = mr_get_u32le(row + 8) & LENGTH_MASK;
        bytes = i + 1 == count ? left : bytes % (left + 1);
        mr_put_u32le(row + 8, (uint32_t)row[11] << 24 | (uint32_t)bytes);
        mend_entry(row, mr_get_u64le(run) + i, run + start);
        start += bytes;
    }
}

void fuzz_require_run(const uint8_t *data, uint64_t length, uint64_t base, const uint8_t *source,
                      const struct mr_entry_columns *columns, uint64_t first, uint64_t count) {
    uint8_t *numbers = fuzz_block(24 * count);
    uint8_t *counts = fuzz_block(4);
    uint8_t *encoded = fuzz_block(length);
    uint64_t payload_start = base + MR_RUN_HEADER + count * MR_RUN_ROW;
    uint64_t ends[1] = {0};
    uint64_t failed = 0;
    REQUIRE(count > 0 && count <= MR_RUN_ENTRIES_MAX && length <= MR_RUN_BYTES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t row = first + i;
        uint64_t start = columns->start[row];
        uint64_t end = columns->end[row];
        REQUIRE(start == (i == 0 ? payload_start : columns->end[row - 1]));
        REQUIRE(start <= end && end <= base + length && end - start <= MR_ENTRY_BYTES_MAX);
        fuzz_observe(source + start, end - start);
        mr_put_u64le(numbers + 8 * i, columns->term[row]);
        mr_put_u64le(numbers + 8 * (count + i), columns->index[row]);
        mr_put_u64le(numbers + 8 * (2 * count + i), end - start);
    }
    REQUIRE(columns->end[first + count - 1] == base + length);
    mr_put_u32le(counts, (uint32_t)count);
    REQUIRE(mr_runs_encode(counts, 1, numbers, columns->type + first, count, source + payload_start,
                           base + length - payload_start, encoded, length, ends, &failed) == MR_OK);
    REQUIRE(ends[0] == length && memcmp(encoded, data, length) == 0);
}
