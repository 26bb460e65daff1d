/* Columns for messages, as two targets need them. */
#ifndef MESSAGES_SHARED_H
#define MESSAGES_SHARED_H

#include "fuzz.h"
#include "mr_messages.h"

/* Columns of exactly so much room. */
static inline struct mr_message_columns message_columns(uint64_t room) {
    return (struct mr_message_columns){.room = room,
                                       .group = fuzz_block(8 * room),
                                       .to = fuzz_block(8 * room),
                                       .from = fuzz_block(8 * room),
                                       .term = fuzz_block(8 * room),
                                       .log_term = fuzz_block(8 * room),
                                       .index = fuzz_block(8 * room),
                                       .commit = fuzz_block(8 * room),
                                       .reject_hint = fuzz_block(8 * room),
                                       .type = fuzz_block(room),
                                       .reject = fuzz_block(room),
                                       .run_start = fuzz_block(4 * room),
                                       .extra_start = fuzz_block(4 * room),
                                       .extra_end = fuzz_block(4 * room),
                                       .entries_end = fuzz_block(4 * room)};
}

/* Whether no column was written to. */
static inline int message_columns_untouched(const struct mr_message_columns *columns) {
    const void *wide[] = {columns->group,    columns->to,    columns->from,   columns->term,
                          columns->log_term, columns->index, columns->commit, columns->reject_hint};
    const void *halves[] = {columns->run_start, columns->extra_start, columns->extra_end,
                            columns->entries_end};
    int untouched =
        fuzz_untouched(columns->type, columns->room) && fuzz_untouched(columns->reject, columns->room);
    for (int i = 0; i < 8; i++) {
        untouched = untouched && fuzz_untouched(wide[i], 8 * columns->room);
    }
    for (int i = 0; i < 4; i++) {
        untouched = untouched && fuzz_untouched(halves[i], 4 * columns->room);
    }
    return untouched;
}

/* The numbers of row `row`, as mr_messages_seal takes them. */
static inline void put_numbers(uint8_t *numbers, uint64_t row, const struct mr_message_columns *columns) {
    uint64_t fields[MR_MESSAGES_FIELDS] = {
        columns->group[row],
        columns->to[row],
        columns->from[row],
        columns->type[row] | (uint64_t)columns->reject[row] << 8,
        columns->term[row],
        columns->log_term[row],
        columns->index[row],
        columns->commit[row],
        columns->reject_hint[row],
        columns->extra_start[row] - columns->run_start[row],
        columns->extra_end[row] - columns->extra_start[row],
    };
    for (uint64_t i = 0; i < MR_MESSAGES_FIELDS; i++) {
        mr_put_u64le(numbers + 8 * (row * MR_MESSAGES_FIELDS + i), fields[i]);
    }
}

#endif /* MESSAGES_SHARED_H */
