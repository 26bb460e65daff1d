/* Payloads under every limit: any bytes are messages or refused; messages are those bytes again when they
 * are sealed.
 *
 * Input: a byte whose bit 0 asks for right counts, lengths and checksums and whose bits 1 and 2 choose the
 * limit (of messages, of all frames, a tiny one, over all limits), then the payload. */
#include "messages_shared.h"

#include "mr_crc32c.h"
#include "mr_frame.h"

enum { MEND = 1, AT_FLAGS = 64, AT_RUN_LENGTH = 68, AT_EXTRA_LENGTH = 72, TINY = 200 };

static const uint64_t LIMITS[4] = {MR_MESSAGES_PAYLOAD_MAX, MR_FRAME_PAYLOAD_MAX, TINY,
                                   MR_FRAME_PAYLOAD_MAX + 1};

/* Makes what claims to be a payload right: as many rows as fit, bodies that fill it, runs that hold. */
static void mend(uint8_t *payload, uint64_t length) {
    if (length < MR_MESSAGES_HEADER) {
        return;
    }
    uint64_t fit = (length - MR_MESSAGES_HEADER) / MR_MESSAGES_ROW;
    uint64_t rows = mr_get_u32le(payload + 8) % (fit + 1);
    uint64_t offset = MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW;
    uint64_t entries = 0;
    for (uint64_t i = 0; i < rows; i++) {
        uint8_t *row = payload + MR_MESSAGES_HEADER + i * MR_MESSAGES_ROW;
        uint64_t left = length - offset;
        uint64_t run_length = mr_get_u32le(row + AT_RUN_LENGTH) % (left + 1);
        run_length = run_length < MR_RUN_HEADER + MR_RUN_ROW ? 0 : run_length;
        uint64_t extra_length = mr_get_u32le(row + AT_EXTRA_LENGTH) % (left - run_length + 1);
        extra_length = i + 1 == rows ? left - run_length : extra_length;
        mr_put_u32le(row + AT_FLAGS, mr_get_u32le(row + AT_FLAGS) & 0x1FF);
        mr_put_u32le(row + AT_RUN_LENGTH, (uint32_t)run_length);
        mr_put_u32le(row + AT_EXTRA_LENGTH, (uint32_t)extra_length);
        if (run_length > 0) {
            fuzz_mend_run(payload + offset, run_length);
            entries += mr_run_count(payload + offset);
        }
        offset += run_length + extra_length;
    }
    mr_put_u32le(payload + 8, (uint32_t)rows);
    mr_put_u32le(payload + 12, (uint32_t)entries);
}

/* Rows follow each other, and each one's run and extra bytes lie within the payload. */
static void require_rows(const uint8_t *payload, uint64_t length, const struct mr_messages *found,
                         const struct mr_message_columns *columns, const struct mr_entry_columns *entries) {
    uint64_t offset = MR_MESSAGES_HEADER + found->rows * MR_MESSAGES_ROW;
    uint64_t entry = 0;
    uint64_t extra_bytes = 0;
    for (uint64_t row = 0; row < found->rows; row++) {
        uint64_t start = columns->run_start[row];
        uint64_t extra = columns->extra_start[row];
        uint64_t end = columns->extra_end[row];
        uint64_t last = columns->entries_end[row];
        REQUIRE(start == offset && start <= extra && extra <= end && end <= length);
        REQUIRE(columns->reject[row] <= 1 && entry <= last && last <= found->entries);
        REQUIRE((extra == start) == (last == entry));
        if (extra > start) {
            fuzz_require_run(payload + start, extra - start, start, payload, entries, entry, last - entry);
        }
        fuzz_observe(payload + extra, end - extra);
        extra_bytes += end - extra;
        offset = end;
        entry = last;
    }
    REQUIRE(offset == length && entry == found->entries && extra_bytes == found->extra_bytes);
}

static void require_seals_again(const uint8_t *payload, uint64_t length, uint64_t limit,
                                const struct mr_messages *found, const struct mr_message_columns *columns) {
    uint64_t head = MR_MESSAGES_HEADER + found->rows * MR_MESSAGES_ROW;
    uint8_t *numbers = fuzz_block(8 * MR_MESSAGES_FIELDS * found->rows);
    uint8_t *sealed = fuzz_block(MR_FRAME_HEADER + head);
    struct mr_frame frame = {0};
    uint64_t failed = 0;
    for (uint64_t row = 0; row < found->rows; row++) {
        put_numbers(numbers, row, columns);
    }
    REQUIRE(mr_messages_seal(2, limit, found->directory_index, numbers, found->rows, payload + head,
                             length - head, sealed, MR_FRAME_HEADER + head, &failed) == MR_OK);
    REQUIRE(memcmp(sealed + MR_FRAME_HEADER, payload, head) == 0);
    REQUIRE(mr_frame_open(sealed, MR_FRAME_HEADER, &frame) == MR_OK);
    REQUIRE(frame.length == length && frame.payload_crc == mr_crc32c(0, payload, length));
}

static void require_no_room(const uint8_t *payload, uint64_t length, uint64_t limit,
                            const struct mr_messages *found) {
    struct mr_messages again = {0};
    if (found->rows > 0) {
        struct mr_message_columns columns = message_columns(found->rows - 1);
        struct mr_entry_columns entries = fuzz_entry_columns(found->entries);
        REQUIRE(mr_messages_decode(payload, length, limit, &again, &columns, &entries) == MR_GROW);
        REQUIRE(message_columns_untouched(&columns) && fuzz_entry_columns_untouched(&entries));
    }
    if (found->entries > 0) {
        struct mr_message_columns columns = message_columns(found->rows);
        struct mr_entry_columns entries = fuzz_entry_columns(found->entries - 1);
        REQUIRE(mr_messages_decode(payload, length, limit, &again, &columns, &entries) == MR_GROW);
        REQUIRE(message_columns_untouched(&columns) && fuzz_entry_columns_untouched(&entries));
    }
}

static void decode(const uint8_t *payload, uint64_t length, uint64_t limit) {
    struct mr_messages found = {0};
    uint64_t room = fuzz_least(MR_MESSAGES_ROWS_MAX, length / MR_MESSAGES_ROW);
    struct mr_message_columns columns = message_columns(room);
    struct mr_entry_columns entries =
        fuzz_entry_columns(fuzz_least(MR_MESSAGES_ENTRIES_MAX, length / MR_RUN_ROW));
    int status = mr_messages_decode(payload, length, limit, &found, &columns, &entries);
    REQUIRE((status == MR_BUG) == (limit > MR_FRAME_PAYLOAD_MAX) && status != MR_GROW);
    if (status != MR_OK) {
        REQUIRE(found.rows == 0 && found.entries == 0 && found.directory_index == 0);
        REQUIRE(message_columns_untouched(&columns) && fuzz_entry_columns_untouched(&entries));
        return;
    }
    REQUIRE(length <= limit && found.rows <= room && found.entries <= entries.room);
    require_rows(payload, length, &found, &columns, &entries);
    require_seals_again(payload, length, limit, &found, &columns);
    require_no_room(payload, length, limit, &found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint64_t mode = fuzz_take(&input, 1);
    fuzz_reset();
    uint8_t *payload = fuzz_copy(input.data, input.size);
    if (mode & MEND) {
        mend(payload, input.size);
    }
    decode(payload, input.size, LIMITS[(mode >> 1) % 4]);
    return 0;
}
