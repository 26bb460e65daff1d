/* Which messages of a frame are for newborns. */
#include "mr_nursery_rows.h"

/* Whether a message for a newborn is one that any replica would take in, or refuse, without a second look. */
static int is_plain(const struct mr_nursery *nursery, const struct mr_message *message, const uint8_t *run) {
    const struct mr_nursery_kinds *kinds = &nursery->rules.kinds;
    uint32_t kind = mr_kind_of(message);
    if (kind == kinds->rest || mr_means_nothing(nursery, kind)) {
        return message->run_length == 0 && message->extra_length == 0;
    }
    if (message->term == 0 || message->extra_length > 0) {
        return 0;
    }
    if (kind == kinds->append) {
        return message->index == BIRTH_INDEX && message->run_length == FIRST_RUN &&
               memcmp(run, nursery->first_run, FIRST_RUN) == 0;
    }
    int is_known = kind == kinds->vote || kind == kinds->vote_resp || kind == kinds->append_resp;
    return is_known && message->run_length == 0;
}

int mr_nursery_sift(const struct mr_nursery *nursery, const uint8_t *payload, uint64_t length,
                    uint64_t payload_max, uint8_t *marks, uint64_t *rows, int *plain) {
    struct mr_messages found = {0};
    int status = mr_messages_verify(payload, length, payload_max, &found);
    if (status != MR_OK) {
        return status;
    }
    const uint8_t *body = payload + MR_MESSAGES_HEADER + found.rows * MR_MESSAGES_ROW;
    *rows = found.rows;
    *plain = 1;
    for (uint64_t row = 0; row < found.rows; row++) {
        struct mr_message message;
        mr_message_read(payload, row, &message);
        int is_newborn = mr_map_get(&nursery->places, message.group) != MR_NOWHERE;
        marks[row] = is_newborn ? MR_ROW_NEWBORN : MR_ROW_OTHER;
        *plain = *plain && is_newborn && is_plain(nursery, &message, body);
        body += (uint64_t)message.run_length + message.extra_length;
    }
    return MR_OK;
}
