#include "mr_messages.h"

#include <string.h>

#include "mr_crc32c.h"
#include "mr_frame.h"

/* Offsets within a message row on the wire. */
enum {
    AT_GROUP = 0,
    AT_TO = 8,
    AT_FROM = 16,
    AT_TERM = 24,
    AT_LOG_TERM = 32,
    AT_INDEX = 40,
    AT_COMMIT = 48,
    AT_REJECT_HINT = 56,
    AT_FLAGS = 64,
    AT_RUN_LENGTH = 68,
    AT_EXTRA_LENGTH = 72,
};

/* Places within the numbers that mr_messages_seal takes for a message. */
enum { GROUP, TO, FROM, FLAGS, TERM, LOG_TERM, INDEX, COMMIT, REJECT_HINT, RUN_LENGTH, EXTRA_LENGTH, FIELDS };

enum { REJECT_BIT = 8, FLAGS_MAX = 0x1FF };

_Static_assert(AT_EXTRA_LENGTH + 4 == MR_MESSAGES_ROW, "a row ends with the length of its extra bytes");
_Static_assert(MR_RUN_ENTRIES_MAX <= MR_MESSAGES_ENTRIES_MAX, "any run fits into a frame by its count");
_Static_assert(FIELDS == MR_MESSAGES_FIELDS, "numbers are taken in this order");
_Static_assert(MR_MESSAGES_PAYLOAD_MAX <= MR_FRAME_PAYLOAD_MAX, "a frame holds the largest payload");
_Static_assert(MR_FRAME_PAYLOAD_MAX <= UINT32_MAX, "offsets into a payload fit into 32 bits");

/* ---- encoding ---- */

static uint64_t number(const uint8_t *numbers, uint64_t row, int field) {
    return mr_get_u64le(numbers + 8 * (row * FIELDS + (uint64_t)field));
}

/* Checks one message to be sent, whose body begins at `*offset` of `body`, and moves on to the next. */
static int check_number_row(const uint8_t *numbers, uint64_t row, const uint8_t *body, uint64_t body_bytes,
                            uint64_t *offset, uint64_t *entries) {
    uint64_t run_length = number(numbers, row, RUN_LENGTH);
    uint64_t extra_length = number(numbers, row, EXTRA_LENGTH);
    struct mr_run run = {0};
    if (number(numbers, row, FLAGS) > FLAGS_MAX) {
        return MR_RANGE;
    }
    if (run_length > body_bytes - *offset || extra_length > body_bytes - *offset - run_length) {
        return MR_LENGTH;
    }
    if (run_length > 0) {
        int status = mr_run_open(body + *offset, run_length, &run);
        if (status != MR_OK) {
            return status;
        }
    }
    *offset += run_length + extra_length;
    *entries += run.count;
    return *entries <= MR_MESSAGES_ENTRIES_MAX ? MR_OK : MR_TOO_MANY;
}

static void write_row(const uint8_t *numbers, uint64_t row, uint8_t *target) {
    mr_put_u64le(target + AT_GROUP, number(numbers, row, GROUP));
    mr_put_u64le(target + AT_TO, number(numbers, row, TO));
    mr_put_u64le(target + AT_FROM, number(numbers, row, FROM));
    mr_put_u64le(target + AT_TERM, number(numbers, row, TERM));
    mr_put_u64le(target + AT_LOG_TERM, number(numbers, row, LOG_TERM));
    mr_put_u64le(target + AT_INDEX, number(numbers, row, INDEX));
    mr_put_u64le(target + AT_COMMIT, number(numbers, row, COMMIT));
    mr_put_u64le(target + AT_REJECT_HINT, number(numbers, row, REJECT_HINT));
    mr_put_u32le(target + AT_FLAGS, (uint32_t)number(numbers, row, FLAGS));
    mr_put_u32le(target + AT_RUN_LENGTH, (uint32_t)number(numbers, row, RUN_LENGTH));
    mr_put_u32le(target + AT_EXTRA_LENGTH, (uint32_t)number(numbers, row, EXTRA_LENGTH));
}

/* Checks all messages to be sent and counts their entries. */
static int check_numbers(const uint8_t *numbers, uint64_t rows, const uint8_t *body, uint64_t body_bytes,
                         uint64_t payload_max, uint64_t *entries, uint64_t *failed_row) {
    uint64_t offset = 0;
    *failed_row = 0;
    if (rows > MR_MESSAGES_ROWS_MAX) {
        return MR_TOO_MANY;
    }
    uint64_t head = MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW;
    if (head > payload_max || body_bytes > payload_max - head) {
        return MR_TOO_LARGE;
    }
    for (uint64_t row = 0; row < rows; row++) {
        *failed_row = row;
        int status = check_number_row(numbers, row, body, body_bytes, &offset, entries);
        if (status != MR_OK) {
            return status;
        }
    }
    return offset == body_bytes ? MR_OK : MR_LENGTH;
}

int mr_messages_seal(uint64_t kind, uint64_t payload_max, uint64_t directory_index, const uint8_t *numbers,
                     uint64_t rows, const uint8_t *body, uint64_t body_bytes, uint8_t *target, uint64_t room,
                     uint64_t *failed_row) {
    uint64_t entries = 0;
    MR_ASSERT(payload_max <= MR_FRAME_PAYLOAD_MAX);
    MR_ASSERT(kind > 0 && kind <= UINT8_MAX);
    int status = check_numbers(numbers, rows, body, body_bytes, payload_max, &entries, failed_row);
    if (status != MR_OK) {
        return status;
    }
    uint64_t head = MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW;
    if (room < MR_FRAME_HEADER + head) {
        return MR_GROW;
    }
    uint8_t *payload = target + MR_FRAME_HEADER;
    mr_put_u64le(payload, directory_index);
    mr_put_u32le(payload + 8, (uint32_t)rows);
    mr_put_u32le(payload + 12, (uint32_t)entries);
    for (uint64_t row = 0; row < rows; row++) {
        write_row(numbers, row, payload + MR_MESSAGES_HEADER + row * MR_MESSAGES_ROW);
    }
    uint32_t crc = mr_crc32c(mr_crc32c(0, payload, head), body, body_bytes);
    return mr_frame_seal(kind, head + body_bytes, crc, target);
}

/* ---- decoding ---- */

static const uint8_t *row_of(const uint8_t *payload, uint64_t row) {
    return payload + MR_MESSAGES_HEADER + row * MR_MESSAGES_ROW;
}

/* Reads the payload's header into `messages`; the rows are there if it succeeds. */
static int open_payload(const uint8_t *payload, uint64_t length, uint64_t payload_max,
                        struct mr_messages *messages) {
    if (length < MR_MESSAGES_HEADER) {
        return MR_SHORT;
    }
    if (length > payload_max) {
        return MR_TOO_LARGE;
    }
    messages->directory_index = mr_get_u64le(payload);
    messages->rows = mr_get_u32le(payload + 8);
    messages->entries = mr_get_u32le(payload + 12);
    if (messages->rows > MR_MESSAGES_ROWS_MAX || messages->entries > MR_MESSAGES_ENTRIES_MAX) {
        return MR_TOO_MANY;
    }
    return messages->rows * MR_MESSAGES_ROW <= length - MR_MESSAGES_HEADER ? MR_OK : MR_SHORT;
}

/* Checks one received message, whose body begins at `*offset`, and moves on to the next. */
static int verify_row(const uint8_t *payload, uint64_t length, uint64_t row, uint64_t *offset,
                      uint64_t *entries, uint64_t *extra_bytes) {
    const uint8_t *source = row_of(payload, row);
    uint64_t run_length = mr_get_u32le(source + AT_RUN_LENGTH);
    uint64_t extra_length = mr_get_u32le(source + AT_EXTRA_LENGTH);
    struct mr_run run = {0};
    if (mr_get_u32le(source + AT_FLAGS) > FLAGS_MAX) {
        return MR_RESERVED;
    }
    if (run_length > length - *offset || extra_length > length - *offset - run_length) {
        return MR_LENGTH;
    }
    if (run_length > 0) {
        int status = mr_run_verify(payload + *offset, run_length, &run);
        if (status != MR_OK) {
            return status;
        }
    }
    *offset += run_length + extra_length;
    *entries += run.count;
    *extra_bytes += extra_length;
    return MR_OK;
}

static int verify_payload(const uint8_t *payload, uint64_t length, struct mr_messages *messages) {
    uint64_t offset = MR_MESSAGES_HEADER + messages->rows * MR_MESSAGES_ROW;
    uint64_t entries = 0;
    messages->extra_bytes = 0;
    for (uint64_t row = 0; row < messages->rows; row++) {
        messages->failed_row = row;
        int status = verify_row(payload, length, row, &offset, &entries, &messages->extra_bytes);
        if (status != MR_OK) {
            return status;
        }
    }
    return offset == length && entries == messages->entries ? MR_OK : MR_LENGTH;
}

static void fill_row(const uint8_t *source, const struct mr_message_columns *columns, uint64_t row) {
    uint32_t flags = mr_get_u32le(source + AT_FLAGS);
    columns->group[row] = mr_get_u64le(source + AT_GROUP);
    columns->to[row] = mr_get_u64le(source + AT_TO);
    columns->from[row] = mr_get_u64le(source + AT_FROM);
    columns->term[row] = mr_get_u64le(source + AT_TERM);
    columns->log_term[row] = mr_get_u64le(source + AT_LOG_TERM);
    columns->index[row] = mr_get_u64le(source + AT_INDEX);
    columns->commit[row] = mr_get_u64le(source + AT_COMMIT);
    columns->reject_hint[row] = mr_get_u64le(source + AT_REJECT_HINT);
    columns->type[row] = (uint8_t)flags;
    columns->reject[row] = (uint8_t)(flags >> REJECT_BIT);
}

/* Puts a verified payload into the columns. */
static void fill(const uint8_t *payload, uint64_t rows, const struct mr_message_columns *columns,
                 const struct mr_entry_columns *entries) {
    uint64_t offset = MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW;
    uint64_t entry = 0;
    for (uint64_t row = 0; row < rows; row++) {
        const uint8_t *source = row_of(payload, row);
        uint64_t run_length = mr_get_u32le(source + AT_RUN_LENGTH);
        fill_row(source, columns, row);
        if (run_length > 0) {
            mr_run_fill(payload + offset, offset, entries, entry);
            entry += mr_run_count(payload + offset);
        }
        columns->run_start[row] = (uint32_t)offset;
        offset += run_length;
        columns->extra_start[row] = (uint32_t)offset;
        offset += mr_get_u32le(source + AT_EXTRA_LENGTH);
        columns->extra_end[row] = (uint32_t)offset;
        columns->entries_end[row] = (uint32_t)entry;
    }
}

int mr_messages_verify(const uint8_t *payload, uint64_t length, uint64_t payload_max,
                       struct mr_messages *messages) {
    struct mr_messages found = {0};
    MR_ASSERT(payload_max <= MR_FRAME_PAYLOAD_MAX);
    int status = open_payload(payload, length, payload_max, &found);
    if (status == MR_OK) {
        status = verify_payload(payload, length, &found);
    }
    messages->failed_row = found.failed_row;
    if (status == MR_OK) {
        *messages = found;
    }
    return status;
}

void mr_message_read(const uint8_t *payload, uint64_t row, struct mr_message *message) {
    const uint8_t *source = row_of(payload, row);
    *message = (struct mr_message){.group = mr_get_u64le(source + AT_GROUP),
                                   .to = mr_get_u64le(source + AT_TO),
                                   .from = mr_get_u64le(source + AT_FROM),
                                   .term = mr_get_u64le(source + AT_TERM),
                                   .log_term = mr_get_u64le(source + AT_LOG_TERM),
                                   .index = mr_get_u64le(source + AT_INDEX),
                                   .commit = mr_get_u64le(source + AT_COMMIT),
                                   .reject_hint = mr_get_u64le(source + AT_REJECT_HINT),
                                   .flags = mr_get_u32le(source + AT_FLAGS),
                                   .run_length = mr_get_u32le(source + AT_RUN_LENGTH),
                                   .extra_length = mr_get_u32le(source + AT_EXTRA_LENGTH)};
}

int mr_messages_decode(const uint8_t *payload, uint64_t length, uint64_t payload_max,
                       struct mr_messages *messages, const struct mr_message_columns *columns,
                       const struct mr_entry_columns *entries) {
    struct mr_messages found = {0};
    int status = mr_messages_verify(payload, length, payload_max, &found);
    messages->failed_row = found.failed_row;
    if (status != MR_OK) {
        return status;
    }
    if (found.rows > columns->room || found.entries > entries->room) {
        return MR_GROW;
    }
    fill(payload, found.rows, columns, entries);
    *messages = found;
    return MR_OK;
}
