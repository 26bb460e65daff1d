/* The nursery: whatever comes, it keeps its books, hands out frames that hold, and forgets no write.
 *
 * Input: operations of a byte and what each takes. Groups are few, so that they are born, leave and come
 * again. A frame is made of rows of six bytes, mostly what a peer would say, or of any bytes at all.
 */
#include "fuzz.h"
#include "mr_frame.h"
#include "mr_nursery.h"

enum { GROUPS = 12, NODE = 1, NODES = 4, TICKS = 5, COMMITTED = 2, ROWS = 6, STAGED = 8, PLACEMENTS = 3 };
enum operation { BORN, FRAME, BYTES, STAGE, DURABLE, TIME, REMOVE, OPERATIONS };
enum { VOTE = 5, VOTE_RESP = 6, APPEND = 3, APPEND_RESP = 4, REST = 204, WAKE = 205, UNKNOWN = 201 };

static const uint8_t KINDS[8] = {VOTE, VOTE_RESP, APPEND, APPEND_RESP, REST, WAKE, UNKNOWN, 8};

struct world {
    struct mr_groups *table;
    struct mr_nursery *nursery;
    struct mr_digest *digests[2 * (NODES - 1)];
    uint64_t tick;
    struct mr_promise *staged[STAGED];
    uint64_t counts[STAGED];
    uint64_t batches;
};

/* Members 1, 2, 3 on as many nodes; 11, 12 on two; all four, led from elsewhere. */
static void place(struct world *world) {
    static const uint64_t replicas[PLACEMENTS][NODES] = {{1, 2, 3}, {11, 12}, {21, 22, 23, 24}};
    static const uint64_t nodes[PLACEMENTS][NODES] = {{1, 2, 3}, {1, 3}, {4, 1, 2, 3}};
    static const uint64_t counts[PLACEMENTS] = {3, 2, 4};
    for (int i = 0; i < PLACEMENTS; i++) {
        REQUIRE(mr_nursery_place(world->nursery, replicas[i], nodes[i], counts[i]) == MR_OK);
    }
    REQUIRE(mr_nursery_place(world->nursery, replicas[0], nodes[2], 1) == MR_RANGE);
    REQUIRE(mr_nursery_place(world->nursery, replicas[0], nodes[0] + 1, 2) == MR_ABSENT);
}

static void begin(struct world *world) {
    struct mr_nursery_rules rules = {
        {VOTE, VOTE_RESP, APPEND, APPEND_RESP, REST, WAKE, UNKNOWN}, NODE, TICKS, COMMITTED, 7};
    *world = (struct world){.table = mr_groups_new()};
    world->nursery = mr_nursery_new(world->table, &rules);
    REQUIRE(world->nursery != NULL);
    for (uint64_t i = 0; i < NODES - 1; i++) {
        struct mr_digest **pair = world->digests + 2 * i;
        pair[0] = mr_digest_new();
        pair[1] = mr_digest_new();
        REQUIRE(mr_nursery_meet(world->nursery, i + 2, pair[0], pair[1]) == MR_OK);
        REQUIRE(mr_nursery_meet(world->nursery, i + 2, pair[0], pair[1]) == MR_EXISTS);
    }
    place(world);
}

static void end(struct world *world) {
    mr_nursery_free(world->nursery);
    mr_groups_free(world->table);
    for (int i = 0; i < 2 * (NODES - 1); i++) {
        mr_digest_free(world->digests[i]);
    }
}

static int is_resting(const struct world *world, uint64_t group) {
    struct mr_dormant dormant;
    uint32_t at;
    return mr_groups_look(world->table, group, &at, &dormant) == MR_OK;
}

static void born(struct world *world, uint64_t first, uint64_t count, uint64_t placement) {
    uint64_t *groups = fuzz_block(sizeof(*groups) * GROUPS);
    struct mr_newborn found;
    uint64_t born = 0;
    for (uint64_t group = first; group < first + count && group <= GROUPS; group++) {
        int known = mr_nursery_find(world->nursery, group, &found) == MR_OK;
        if (!known && !is_resting(world, group)) {
            groups[born++] = group;
        } else if (known) {
            REQUIRE(mr_nursery_take_in(world->nursery, 0, &group, 1, 0) == MR_EXISTS);
        }
    }
    uint64_t before = mr_nursery_count(world->nursery);
    int status = mr_nursery_take_in(world->nursery, (uint32_t)placement, groups, born, world->tick);
    REQUIRE(status == MR_OK && mr_nursery_count(world->nursery) == before + born);
}

/* Steps a payload, and takes out those whose messages came back. */
static void step(struct world *world, const uint8_t *payload, uint64_t length, uint64_t node) {
    uint8_t *marks = fuzz_block(MR_MESSAGES_ROWS_MAX);
    uint64_t rows = 0;
    uint64_t handed_back = 0;
    uint64_t counted = 0;
    int plain = 0;
    int status =
        mr_nursery_sift(world->nursery, payload, length, MR_MESSAGES_PAYLOAD_MAX, marks, &rows, &plain);
    struct mr_messages found = {0};
    REQUIRE(status == mr_messages_verify(payload, length, MR_MESSAGES_PAYLOAD_MAX, &found));
    if (status != MR_OK) {
        REQUIRE(fuzz_untouched(marks, MR_MESSAGES_ROWS_MAX));
        return;
    }
    REQUIRE(rows == found.rows);
    status = mr_nursery_step(world->nursery, payload, rows, node, world->tick, marks, &handed_back);
    REQUIRE(status == MR_OK && fuzz_untouched(marks + rows, MR_MESSAGES_ROWS_MAX - rows));
    for (uint64_t row = 0; row < rows; row++) {
        struct mr_message message;
        mr_message_read(payload, row, &message);
        REQUIRE(marks[row] <= MR_ROW_HANDED_BACK && !(plain && marks[row] == MR_ROW_OTHER));
        if (marks[row] == MR_ROW_HANDED_BACK) {
            status = mr_nursery_remove(world->nursery, message.group);
            REQUIRE(status == MR_OK || status == MR_ABSENT);
            counted++;
        }
    }
    REQUIRE(counted == handed_back);
}

/* Puts a message of six bytes into a row: group, sender, receiver, kind, numbers, whether it has an entry. */
static uint64_t put_message(const struct world *world, struct fuzz_input *input, uint8_t *row, uint8_t *run) {
    uint64_t group = 1 + fuzz_take(input, 1) % (GROUPS + 2);
    uint64_t from = fuzz_take(input, 1) % 25;
    uint64_t to = fuzz_take(input, 1) % 25;
    uint8_t kind = KINDS[fuzz_take(input, 1) % 8];
    uint64_t numbers = fuzz_take(input, 1);
    uint64_t odd = fuzz_take(input, 1);
    int is_append = kind == APPEND;
    uint64_t any = numbers & 3;
    uint64_t at_birth = kind == VOTE || is_append;
    uint64_t index = kind == APPEND_RESP ? 2 : at_birth;
    uint64_t commit = kind == REST ? 2 : (uint64_t)is_append;
    uint64_t fields[8] = {group,
                          to,
                          from,
                          odd & 1 ? any : 1,
                          odd & 2 ? any : at_birth,
                          odd & 4 ? any : index,
                          odd & 8 ? any : commit,
                          0};
    for (int i = 0; i < 8; i++) {
        mr_put_u64le(row + 8 * i, fields[i]);
    }
    uint64_t run_length = is_append && !(odd & 16) ? MR_RUN_HEADER + MR_RUN_ROW : 0;
    memcpy(run, mr_nursery_first_run(world->nursery), run_length);
    mr_put_u32le(row + 64, kind | (odd & 32 ? 1u << 8 : 0));
    mr_put_u32le(row + 68, (uint32_t)run_length);
    mr_put_u32le(row + 72, 0);
    return run_length;
}

static void frame(struct world *world, struct fuzz_input *input) {
    uint8_t rows[ROWS * MR_MESSAGES_ROW];
    uint8_t runs[ROWS * (MR_RUN_HEADER + MR_RUN_ROW)];
    uint64_t node = 2 + fuzz_take(input, 1) % (NODES - 1);
    uint64_t count = 1 + fuzz_take(input, 1) % ROWS;
    uint64_t body = 0;
    for (uint64_t i = 0; i < count; i++) {
        body += put_message(world, input, rows + i * MR_MESSAGES_ROW, runs + body);
    }
    uint64_t head = MR_MESSAGES_HEADER + count * MR_MESSAGES_ROW;
    uint8_t *payload = fuzz_block(head + body);
    mr_put_u64le(payload, 3);
    mr_put_u32le(payload + 8, (uint32_t)count);
    mr_put_u32le(payload + 12, (uint32_t)(body / (MR_RUN_HEADER + MR_RUN_ROW)));
    memcpy(payload + MR_MESSAGES_HEADER, rows, count * MR_MESSAGES_ROW);
    memcpy(payload + head, runs, body);
    step(world, payload, head + body, node);
}

static void any_bytes(struct world *world, struct fuzz_input *input) {
    uint64_t wanted = fuzz_take(input, 1);
    uint64_t length = fuzz_least(wanted, input->size);
    uint8_t *payload = fuzz_copy(input->data, length);
    input->data += length;
    input->size -= length;
    step(world, payload, length, 2);
}

static void stage(struct world *world) {
    struct mr_first_writes writes;
    mr_nursery_writes(world->nursery, &writes);
    if (writes.rows == 0 || world->batches == STAGED) {
        return;
    }
    uint64_t hards = 0;
    uint64_t runs = 0;
    for (uint64_t row = 0; row < writes.rows; row++) {
        uint64_t group = mr_get_u64le(writes.groups + 8 * row);
        REQUIRE(group == writes.promises[row].group && group <= GROUPS);
        if (writes.parts[row] != 0) {
            uint64_t vote = mr_get_u64le(writes.hard + 24 * hards++ + 8);
            REQUIRE(vote <= 3 || vote == 11 || vote == 12 || (vote >= 21 && vote <= 24));
        }
        runs += mr_get_u32le(writes.lengths + 4 * row) > 0;
    }
    REQUIRE(hards == writes.hards && runs == writes.runs);
    fuzz_observe(writes.replicas, 8 * writes.rows);
    fuzz_observe(writes.hard, 24 * writes.hards);
    world->counts[world->batches] = writes.rows;
    world->staged[world->batches++] =
        (struct mr_promise *)(void *)fuzz_copy(writes.promises, sizeof(struct mr_promise) * writes.rows);
    mr_nursery_written(world->nursery);
}

static void durable(struct world *world) {
    if (world->batches > 0) {
        REQUIRE(mr_nursery_durable(world->nursery, world->staged[0], world->counts[0], world->tick) == MR_OK);
        world->batches--;
        memmove(world->staged, world->staged + 1, sizeof(world->staged[0]) * world->batches);
        memmove(world->counts, world->counts + 1, sizeof(world->counts[0]) * world->batches);
    }
}

static void remove_(struct world *world, uint64_t group) {
    struct mr_newborn found;
    int known = mr_nursery_find(world->nursery, group, &found) == MR_OK;
    int expected = !known ? MR_ABSENT : found.in_flight > 0 ? MR_BUG : MR_OK;
    REQUIRE(mr_nursery_remove(world->nursery, group) == expected);
}

/* Those who are late have nothing in flight; all of them, in pieces. */
static void pass_time(struct world *world, uint64_t ticks) {
    uint64_t groups[2];
    uint32_t at = 0;
    uint64_t found;
    world->tick += ticks;
    mr_nursery_alive(world->nursery, (uint32_t)ticks, (int)(world->tick & 1));
    do {
        found = mr_nursery_late(world->nursery, world->tick, &at, groups, 2);
        for (uint64_t i = 0; i < found; i++) {
            struct mr_newborn one;
            REQUIRE(mr_nursery_find(world->nursery, groups[i], &one) == MR_OK && one.in_flight == 0);
        }
    } while (found == 2);
}

/* Whatever waits leaves in frames that hold. */
static void seal(const struct world *world) {
    static uint8_t target[MR_NURSERY_FRAME];
    static uint64_t groups[MR_MESSAGES_ROWS_MAX];
    for (uint32_t number = 0; number < NODES; number++) {
        uint64_t waiting = mr_nursery_waiting(world->nursery, number);
        uint64_t rows = 0;
        uint64_t length = 0;
        if (waiting == 0) {
            continue;
        }
        REQUIRE(mr_nursery_seal(world->nursery, number, 2, 9, target, MR_FRAME_HEADER, groups, &rows,
                                &length) == MR_GROW);
        REQUIRE(mr_nursery_seal(world->nursery, number, 2, 9, target, sizeof(target), groups, &rows,
                                &length) == MR_OK);
        struct mr_messages found = {0};
        const uint8_t *payload = target + MR_FRAME_HEADER;
        REQUIRE(rows == waiting && mr_nursery_waiting(world->nursery, number) == 0);
        REQUIRE(mr_messages_verify(payload, length - MR_FRAME_HEADER, MR_MESSAGES_PAYLOAD_MAX, &found) ==
                MR_OK);
        REQUIRE(found.rows == rows && found.directory_index == 9);
        for (uint64_t row = 0; row < rows; row++) {
            struct mr_message message;
            mr_message_read(payload, row, &message);
            REQUIRE(message.group == groups[row] && message.term == 1 && message.from != message.to);
        }
    }
}

/* Nothing that was written is forgotten, and who rests is no newborn. */
static void require_books(const struct world *world) {
    struct mr_first_writes writes;
    mr_nursery_writes(world->nursery, &writes);
    uint64_t promised = writes.rows;
    for (uint64_t i = 0; i < world->batches; i++) {
        promised += world->counts[i];
    }
    uint64_t here = 0;
    for (uint64_t group = 1; group <= GROUPS; group++) {
        struct mr_newborn one;
        if (mr_nursery_find(world->nursery, group, &one) == MR_OK) {
            REQUIRE(!is_resting(world, group) && one.stage <= MR_STAGE_FOLLOWER);
            promised -= one.in_flight;
            here++;
        }
    }
    REQUIRE(promised == 0 && here == mr_nursery_count(world->nursery));
}

static void operate(struct world *world, struct fuzz_input *input) {
    enum operation operation = fuzz_take(input, 1) % OPERATIONS;
    switch (operation) {
    case BORN: {
        uint64_t first = 1 + fuzz_take(input, 1) % GROUPS;
        uint64_t count = fuzz_take(input, 1) % GROUPS;
        born(world, first, count, fuzz_take(input, 1) % PLACEMENTS);
        break;
    }
    case FRAME:
        frame(world, input);
        break;
    case BYTES:
        any_bytes(world, input);
        break;
    case STAGE:
        stage(world);
        break;
    case DURABLE:
        durable(world);
        break;
    case TIME:
        pass_time(world, fuzz_take(input, 1) % (TICKS + 1));
        break;
    default:
        remove_(world, 1 + fuzz_take(input, 1) % GROUPS);
    }
    seal(world);
    require_books(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct world world;
    fuzz_reset();
    begin(&world);
    while (input.size > 0) {
        operate(&world, &input);
    }
    end(&world);
    return 0;
}
