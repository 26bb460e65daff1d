/* mr_messages: the payload of a frame of Raft messages, of many groups, encoded and decoded in one call. */
#ifndef MR_MESSAGES_H
#define MR_MESSAGES_H

#include "mr_base.h"
#include "mr_entries.h"

/* The payload, little-endian:
 *
 *   offset  bytes
 *        0      8  directory index of the sender
 *        8      4  count of messages, at most MR_MESSAGES_ROWS_MAX
 *       12      4  count of entries of all messages together, at most MR_MESSAGES_ENTRIES_MAX
 *       16     76  for each message: group 8 | to 8 | from 8 | term 8 | log term 8 | index 8 | commit 8 |
 *                  reject hint 8 | flags 4 | run length 4 | extra length 4
 *      ...         for each message: its encoded run, then its extra bytes (context or snapshot)
 *
 * Flags: the message's type in bits 0..7, reject in bit 8, the others 0. */

/* cffi: begin */

#define MR_MESSAGES_HEADER 16
#define MR_MESSAGES_ROW 76
#define MR_MESSAGES_FIELDS 11
#define MR_MESSAGES_ROWS_MAX 4096
#define MR_MESSAGES_ENTRIES_MAX 65536
#define MR_MESSAGES_PAYLOAD_MAX 4325376

/* Where the decoder puts messages, column by column. Each array is the caller's and has room for `room`. */
struct mr_message_columns {
    uint64_t room;
    uint64_t *group;
    uint64_t *to;
    uint64_t *from;
    uint64_t *term;
    uint64_t *log_term;
    uint64_t *index;
    uint64_t *commit;
    uint64_t *reject_hint;
    uint8_t *type;
    uint8_t *reject;     /* 0 or 1 */
    uint32_t *run_start; /* offsets into the payload; the extra bytes begin where the run ends */
    uint32_t *extra_start;
    uint32_t *extra_end;
    uint32_t *entries_end; /* where the message's rows end in the entry columns */
};

/* What a payload holds. */
struct mr_messages {
    uint64_t directory_index;
    uint64_t rows;
    uint64_t entries;
    uint64_t extra_bytes;
    uint64_t failed_row; /* the message where a failed call stopped */
};

/* Writes what stands before the bodies of a frame: frame header, payload header and message rows, together
 * MR_FRAME_HEADER + MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW bytes, into `target` (the frame is target
 * followed by body). `numbers`: MR_MESSAGES_FIELDS for each message, each u64le, in the order group, to,
 * from, flags, term, log term, index, commit, reject hint, run length, extra length. `body`: the bodies in
 * the order of the layout above.
 * Errors: MR_TOO_MANY messages or entries, MR_TOO_LARGE if the payload exceeds `payload_max`, MR_RANGE
 * flags, MR_LENGTH if lengths do not add up, MR_GROW if `room` is too small, and those of mr_run_open.
 * Nothing is written then but failed_row. */
int mr_messages_seal(uint64_t kind, uint64_t payload_max, uint64_t directory_index, const uint8_t *numbers,
                     uint64_t rows, const uint8_t *body, uint64_t body_bytes, uint8_t *target, uint64_t room,
                     uint64_t *failed_row);

/* Checks every length and checksum of the payload, then puts messages and entries into the columns.
 * Room for (length / MR_MESSAGES_ROW) messages and (length / MR_RUN_ROW) entries, or for the maxima if they
 * are less, is always enough.
 * Errors: MR_SHORT, MR_TOO_MANY, MR_TOO_LARGE, MR_RESERVED, MR_LENGTH, MR_GROW, and those of mr_run_verify.
 * Nothing is written then but failed_row. */
int mr_messages_decode(const uint8_t *payload, uint64_t length, uint64_t payload_max,
                       struct mr_messages *messages, const struct mr_message_columns *columns,
                       const struct mr_entry_columns *entries);

/* cffi: end */

/* Checks every length and checksum of the payload, and tells what it holds. Errors: as mr_messages_decode,
 * without MR_GROW. Nothing is written then but failed_row. */
int mr_messages_verify(const uint8_t *payload, uint64_t length, uint64_t payload_max,
                       struct mr_messages *messages);

/* The numbers of a message. */
struct mr_message {
    uint64_t group;
    uint64_t to;
    uint64_t from;
    uint64_t term;
    uint64_t log_term;
    uint64_t index;
    uint64_t commit;
    uint64_t reject_hint;
    uint32_t flags;
    uint32_t run_length;
    uint32_t extra_length;
};

/* Reads message `row` of a payload that was verified. */
void mr_message_read(const uint8_t *payload, uint64_t row, struct mr_message *message);

#endif /* MR_MESSAGES_H */
