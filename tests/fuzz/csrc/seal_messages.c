/* The encoder of messages, on numbers that contradict each other: refused without a byte written, or
 * readable.
 *
 * Input: rows 1 | limit 2 | room 2 | kind 1 | mode 1, then for each row flags 2, run length 1, extra length
 * 1, and the body. Bit 0 of the mode makes lengths add up and runs right, bit 1 makes a number larger than it
 * may be. */
#include "messages_shared.h"

#include "mr_frame.h"

enum { ROWS = 5, LIMIT = 1500, ROOM = 600, BODY = 400, HONEST = 1, HUGE_NUMBER = 2, FLAGS = 3, LENGTHS = 9 };

struct sealing {
    uint64_t rows, limit, room, kind, mode, body_bytes;
    uint8_t *numbers, *body;
};

static uint8_t *number(const struct sealing *given, uint64_t row, uint64_t field) {
    return given->numbers + 8 * (row * MR_MESSAGES_FIELDS + field);
}

static void fill_row(const struct sealing *given, uint64_t row, uint64_t *at, struct fuzz_input *input) {
    uint64_t left = given->body_bytes - *at;
    uint64_t flags = fuzz_take(input, 2);
    uint64_t run_length = fuzz_take(input, 1);
    uint64_t extra_length = fuzz_take(input, 1);
    if (given->mode & HONEST) {
        flags &= 0x1FF;
        run_length %= left + 1;
        run_length = run_length < MR_RUN_HEADER + MR_RUN_ROW ? 0 : run_length;
        extra_length = row + 1 == given->rows ? left - run_length : extra_length % (left - run_length + 1);
        fuzz_mend_run(given->body + *at, run_length);
        *at += run_length + extra_length;
    }
    for (uint64_t field = 0; field < LENGTHS; field++) {
        mr_put_u64le(number(given, row, field), row * 1000 + field);
    }
    mr_put_u64le(number(given, row, FLAGS), flags);
    mr_put_u64le(number(given, row, LENGTHS), run_length);
    mr_put_u64le(number(given, row, LENGTHS + 1), extra_length);
}

static struct sealing read_sealing(struct fuzz_input *input) {
    struct sealing given = {0};
    given.rows = fuzz_take(input, 1) % ROWS;
    given.limit = fuzz_take(input, 2) % LIMIT;
    given.room = fuzz_take(input, 2) % ROOM;
    given.kind = fuzz_take(input, 1);
    given.mode = fuzz_take(input, 1);
    uint64_t at = 0;
    uint64_t row_bytes = fuzz_least(input->size, 4 * given.rows);
    struct fuzz_input body = {input->data + row_bytes, input->size - row_bytes};
    given.body_bytes = fuzz_least(body.size, BODY);
    given.body = fuzz_copy(body.data, given.body_bytes);
    given.numbers = fuzz_block(8 * MR_MESSAGES_FIELDS * given.rows);
    for (uint64_t row = 0; row < given.rows; row++) {
        fill_row(&given, row, &at, input);
    }
    if ((given.mode & HUGE_NUMBER) && given.rows > 0) {
        uint64_t field = fuzz_take(&body, 1) % (MR_MESSAGES_FIELDS * given.rows);
        mr_put_u64le(given.numbers + 8 * field, fuzz_take(&body, 8));
    }
    return given;
}

/* What was sealed opens as a frame, and decodes unless the checksums of its entries are wrong. */
static void require_readable(const struct sealing *given, const uint8_t *sealed) {
    uint64_t head = MR_MESSAGES_HEADER + given->rows * MR_MESSAGES_ROW;
    uint64_t length = head + given->body_bytes;
    uint8_t *payload = fuzz_block(length);
    struct mr_frame frame = {0};
    struct mr_messages found = {0};
    struct mr_message_columns columns = message_columns(length / MR_MESSAGES_ROW);
    struct mr_entry_columns entries = fuzz_entry_columns(length / MR_RUN_ROW);
    memcpy(payload, sealed + MR_FRAME_HEADER, head);
    memcpy(payload + head, given->body, given->body_bytes);
    REQUIRE(given->room >= MR_FRAME_HEADER + head && length <= given->limit);
    REQUIRE(mr_frame_open(sealed, MR_FRAME_HEADER, &frame) == MR_OK);
    REQUIRE(frame.kind == given->kind && frame.length == length);
    int status = mr_messages_decode(payload, length, given->limit, &found, &columns, &entries);
    int damaged = status == MR_CHECKSUM || status == MR_LENGTH || status == MR_TOO_LARGE;
    REQUIRE(status == MR_OK || (damaged && !(given->mode & HONEST)) || (given->mode & HUGE_NUMBER));
    for (uint64_t row = 0; status == MR_OK && row < found.rows; row++) {
        uint8_t *again = fuzz_block(8 * MR_MESSAGES_FIELDS * found.rows);
        put_numbers(again, row, &columns);
        REQUIRE(memcmp(again + 8 * MR_MESSAGES_FIELDS * row, number(given, row, 0), 8 * MR_MESSAGES_FIELDS) ==
                0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    fuzz_reset();
    struct sealing given = read_sealing(&input);
    uint8_t *sealed = fuzz_block(given.room);
    uint64_t failed = 0;
    int status = mr_messages_seal(given.kind, given.limit, 77, given.numbers, given.rows, given.body,
                                  given.body_bytes, sealed, given.room, &failed);
    REQUIRE((status == MR_BUG) == (given.kind == 0) && failed <= given.rows);
    if (status == MR_OK) {
        require_readable(&given, sealed);
    } else {
        REQUIRE(fuzz_untouched(sealed, given.room));
    }
    return 0;
}
