/* Feeds the decoders and the window with everything that could make them leave their memory.
 *
 * test_sanitizers.py builds this with AddressSanitizer and UndefinedBehaviorSanitizer. Each input lies in a
 * heap block of exactly its length and each output column has exactly the promised room, so that one byte
 * too far ends the program. What is decoded must be the original or be refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mr_base.h"
#include "mr_crc32c.h"
#include "mr_entries.h"
#include "mr_frame.h"
#include "mr_inflights.h"
#include "mr_messages.h"

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

enum { ENTRIES = 3, MESSAGES = 4, MUTATIONS = 60000, WINDOW_STEPS = 200000 };

struct block {
    uint8_t *bytes;
    uint64_t length;
};

typedef int (*decoder)(const uint8_t *bytes, uint64_t length);

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void *allocate(uint64_t length) {
    void *memory = malloc(length == 0 ? 1 : length);
    REQUIRE(memory != NULL);
    return memory;
}

/* ---- inputs ---- */

static struct block make_run(uint64_t first_index) {
    uint8_t counts[4];
    uint8_t numbers[3 * 8 * ENTRIES];
    uint8_t types[ENTRIES] = {0, 1, 255};
    uint8_t payload[64];
    uint64_t payload_bytes = 0;
    uint64_t end = 0;
    uint64_t failed = 0;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        mr_put_u64le(numbers + 8 * i, 7 + i);
        mr_put_u64le(numbers + 8 * (ENTRIES + i), first_index + i);
        mr_put_u64le(numbers + 8 * (2 * ENTRIES + i), 5 * i);
        payload_bytes += 5 * i;
    }
    for (uint64_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)draw(256);
    }
    mr_put_u32le(counts, ENTRIES);
    struct block run = {.length = MR_RUN_HEADER + ENTRIES * MR_RUN_ROW + payload_bytes};
    run.bytes = allocate(run.length);
    REQUIRE(mr_runs_encode(counts, 1, numbers, types, ENTRIES, payload, payload_bytes, run.bytes,
                           run.length - 1, &end, &failed) == MR_GROW);
    REQUIRE(mr_runs_encode(counts, 1, numbers, types, ENTRIES, payload, payload_bytes, run.bytes, run.length,
                           &end, &failed) == MR_OK);
    REQUIRE(end == run.length);
    return run;
}

/* A frame of messages: every other one with a run, every third with extra bytes. */
static struct block make_frame(void) {
    uint8_t numbers[8 * MR_MESSAGES_FIELDS * MESSAGES];
    uint8_t body[1024];
    uint64_t body_bytes = 0;
    uint64_t failed = 0;
    for (uint64_t row = 0; row < MESSAGES; row++) {
        uint64_t lengths[2] = {0, row % 3 == 0 ? 9 : 0};
        if (row % 2 == 0) {
            struct block run = make_run(100 * row);
            memcpy(body + body_bytes, run.bytes, run.length);
            lengths[0] = run.length;
            free(run.bytes);
        }
        memset(body + body_bytes + lengths[0], 'x', lengths[1]);
        body_bytes += lengths[0] + lengths[1];
        for (uint64_t field = 0; field < MR_MESSAGES_FIELDS; field++) {
            uint64_t value = field < 9 ? row + field : lengths[field - 9];
            mr_put_u64le(numbers + 8 * (row * MR_MESSAGES_FIELDS + field), value);
        }
    }
    uint64_t head = MR_FRAME_HEADER + MR_MESSAGES_HEADER + MESSAGES * MR_MESSAGES_ROW;
    struct block frame = {.bytes = allocate(head + body_bytes), .length = head + body_bytes};
    REQUIRE(mr_messages_seal(2, MR_MESSAGES_PAYLOAD_MAX, 5, numbers, MESSAGES, body, body_bytes, frame.bytes,
                             head - 1, &failed) == MR_GROW);
    REQUIRE(mr_messages_seal(2, MR_MESSAGES_PAYLOAD_MAX, 5, numbers, MESSAGES, body, body_bytes, frame.bytes,
                             head, &failed) == MR_OK);
    memcpy(frame.bytes + head, body, body_bytes);
    return frame;
}

/* ---- decoders, each with outputs of exactly the room that the headers promise to be enough ---- */

static uint64_t least(uint64_t one, uint64_t other) {
    return one < other ? one : other;
}

static struct mr_entry_columns make_entry_columns(uint64_t room) {
    return (struct mr_entry_columns){.room = room,
                                     .term = allocate(8 * room),
                                     .index = allocate(8 * room),
                                     .type = allocate(room),
                                     .start = allocate(4 * room),
                                     .end = allocate(4 * room)};
}

static void drop_entry_columns(struct mr_entry_columns *columns) {
    free(columns->term);
    free(columns->index);
    free(columns->type);
    free(columns->start);
    free(columns->end);
}

/* Reads every payload byte that the columns point to. */
static void touch(const uint8_t *bytes, const struct mr_entry_columns *columns, uint64_t count) {
    uint32_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum = mr_crc32c(sum, bytes + columns->start[i], columns->end[i] - columns->start[i]);
    }
    REQUIRE(sum != 1);
}

static int decode_run(const uint8_t *bytes, uint64_t length) {
    struct mr_run run = {0};
    struct mr_entry_columns columns = make_entry_columns(least(MR_RUN_ENTRIES_MAX, length / MR_RUN_ROW));
    int status = mr_run_decode(bytes, length, &run, &columns);
    REQUIRE(status != MR_GROW && status != MR_BUG);
    if (status == MR_OK) {
        touch(bytes, &columns, run.count);
    }
    drop_entry_columns(&columns);
    return status;
}

static int decode_messages(const uint8_t *bytes, uint64_t length) {
    uint64_t room = least(MR_MESSAGES_ROWS_MAX, length / MR_MESSAGES_ROW);
    struct mr_messages found = {0};
    struct mr_entry_columns entries = make_entry_columns(least(MR_MESSAGES_ENTRIES_MAX, length / MR_RUN_ROW));
    uint64_t *numbers[8];
    uint8_t *flags[2] = {allocate(room), allocate(room)};
    uint32_t *offsets[4];
    for (int i = 0; i < 8; i++) {
        numbers[i] = allocate(8 * room);
    }
    for (int i = 0; i < 4; i++) {
        offsets[i] = allocate(4 * room);
    }
    struct mr_message_columns columns = {room,       numbers[0], numbers[1], numbers[2], numbers[3],
                                         numbers[4], numbers[5], numbers[6], numbers[7], flags[0],
                                         flags[1],   offsets[0], offsets[1], offsets[2], offsets[3]};
    int status = mr_messages_decode(bytes, length, MR_MESSAGES_PAYLOAD_MAX, &found, &columns, &entries);
    REQUIRE(status != MR_GROW && status != MR_BUG);
    if (status == MR_OK) {
        touch(bytes, &entries, found.entries);
    }
    for (int i = 0; i < 8; i++) {
        free(numbers[i]);
    }
    for (int i = 0; i < 4; i++) {
        free(offsets[i]);
    }
    free(flags[0]);
    free(flags[1]);
    drop_entry_columns(&entries);
    return status;
}

static int open_header(const uint8_t *bytes, uint64_t length) {
    struct mr_frame frame = {0};
    return mr_frame_open(bytes, length, &frame);
}

/* ---- damage ---- */

/* Decodes a copy of exactly `length` bytes. */
static int decode_copy(decoder decode, const uint8_t *bytes, uint64_t length) {
    uint8_t *copy = allocate(length);
    memcpy(copy, bytes, length);
    int status = decode(copy, length);
    free(copy);
    return status;
}

static void cut_everywhere(decoder decode, const struct block *input) {
    for (uint64_t length = 0; length < input->length; length++) {
        REQUIRE(decode_copy(decode, input->bytes, length) != MR_OK);
    }
}

static void flip_everywhere(decoder decode, const struct block *input, int all_guarded) {
    for (uint64_t bit = 0; bit < 8 * input->length; bit++) {
        uint8_t mask = (uint8_t)(1u << (bit % 8));
        input->bytes[bit / 8] ^= mask;
        int status = decode_copy(decode, input->bytes, input->length);
        REQUIRE(status != MR_OK || !all_guarded);
        input->bytes[bit / 8] ^= mask;
    }
}

/* Several wild bytes at once, biased to the values where arithmetic turns over, and a wild length. */
static void mutate_randomly(decoder decode, const struct block *input) {
    static const uint8_t EDGES[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
    uint8_t *mutated = allocate(input->length);
    for (int round = 0; round < MUTATIONS; round++) {
        memcpy(mutated, input->bytes, input->length);
        for (uint64_t changes = 1 + draw(8); changes > 0; changes--) {
            uint64_t place = draw(input->length);
            mutated[place] = draw(2) == 0 ? EDGES[draw(sizeof(EDGES))] : (uint8_t)draw(256);
        }
        (void)decode_copy(decode, mutated, draw(4) == 0 ? draw(input->length + 1) : input->length);
    }
    free(mutated);
}

static void damage(decoder decode, struct block input, int all_guarded) {
    REQUIRE(decode_copy(decode, input.bytes, input.length) == MR_OK);
    cut_everywhere(decode, &input);
    flip_everywhere(decode, &input, all_guarded);
    mutate_randomly(decode, &input);
    free(input.bytes);
}

/* ---- the window ---- */

static void exercise_window(uint32_t size) {
    struct mr_inflights window;
    struct mr_inflight *records = NULL;
    uint64_t newest = 0;
    mr_inflights_init(&window, size, 50);
    for (int step = 0; step < WINDOW_STEPS; step++) {
        if (draw(3) != 0) {
            int status = mr_inflights_add(&window, ++newest, draw(20));
            if (status == MR_GROW) {
                uint32_t capacity = mr_inflights_next_capacity(&window);
                struct mr_inflight *larger = allocate(sizeof(*larger) * capacity);
                REQUIRE(mr_inflights_grow(&window, larger, capacity) == MR_OK);
                free(records);
                records = larger;
                status = mr_inflights_add(&window, newest, 1);
            }
            REQUIRE(status == MR_OK || (status == MR_FULL && mr_inflights_full(&window)));
        } else if (draw(200) == 0) {
            mr_inflights_reset(&window);
            free(records);
            records = NULL;
        } else {
            uint64_t back = draw(size + 2);
            REQUIRE(mr_inflights_free_le(&window, newest < back ? 0 : newest - back) == MR_OK);
            REQUIRE(mr_inflights_free_first_one(&window) == MR_OK);
        }
    }
    free(records);
}

int main(void) {
    struct block frame = make_frame();
    struct block payload = {.length = frame.length - MR_FRAME_HEADER};
    payload.bytes = allocate(payload.length);
    memcpy(payload.bytes, frame.bytes + MR_FRAME_HEADER, payload.length);
    frame.length = MR_FRAME_HEADER;
    damage(open_header, frame, 1);
    damage(decode_run, make_run(1), 1);
    damage(decode_messages, payload, 0);
    exercise_window(1);
    exercise_window(7);
    exercise_window(64);
    (void)printf("sanitized: all held\n");
    return 0;
}
