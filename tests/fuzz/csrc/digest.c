/* A digest of resting groups: any sequence of calls does what a flag for each group does, and a list of
 * whatever bytes is held against it without a step beyond the list.
 *
 * Input: operations of two or more bytes. Adding and removing take whole stretches of groups, so that blocks
 * fill, split, empty and join.
 */
#include "fuzz.h"
#include "mr_digest.h"

enum { GROUPS = 701 }; /* a prime, for the scattered order */
enum operation { ADD, REMOVE, LIST, UNLIKE, STRANGE, OPERATIONS };
enum order { RISING, FALLING, SCATTERED, ORDERS };

struct model {
    uint64_t commit[GROUPS]; /* 0: the group does not rest */
    uint64_t count;
};

static uint64_t term_of(uint64_t commit) {
    return 1 + commit % 3;
}

/* The i-th group of a stretch of `count` in an order; each comes once. */
static uint64_t group_at(uint64_t i, uint64_t count, enum order order) {
    return order == RISING ? i : order == FALLING ? count - 1 - i : i * 379 % GROUPS;
}

static void add(struct model *model, struct mr_digest *digest, uint64_t count, enum order order) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t group = group_at(i, count, order);
        uint64_t commit = 1 + i % 5;
        int status = mr_digest_add(digest, group, term_of(commit), commit);
        REQUIRE(status == (model->commit[group] ? MR_TWICE : MR_OK));
        if (status == MR_OK) {
            model->commit[group] = commit;
            model->count++;
        }
    }
}

static void remove_(struct model *model, struct mr_digest *digest, uint64_t first) {
    for (uint64_t group = first; group < GROUPS && group < first + GROUPS / 8; group++) {
        REQUIRE(mr_digest_remove(digest, group) == (model->commit[group] ? MR_OK : MR_ABSENT));
        model->count -= model->commit[group] != 0;
        model->commit[group] = 0;
    }
}

static void list(const struct model *model, const struct mr_digest *digest, uint64_t low, uint64_t high,
                 uint64_t room) {
    uint8_t *rows = fuzz_block(room * MR_LISTED_SIZE);
    uint64_t found = mr_digest_list(digest, low, high, rows, room);
    REQUIRE(found <= room && mr_listed_check(rows, found * MR_LISTED_SIZE) == MR_OK);
    uint64_t expected = 0;
    for (uint64_t group = low; group < high && group < GROUPS && expected < room; group++) {
        uint64_t commit = model->commit[group];
        if (commit != 0) {
            const uint8_t *row = rows + expected++ * MR_LISTED_SIZE;
            REQUIRE(expected <= found && mr_get_u64le(row) == group);
            REQUIRE(mr_get_u64le(row + 8) == term_of(commit) && mr_get_u64le(row + 16) == commit);
        }
    }
    REQUIRE(expected == found);
}

/* A list as long as the input says, of groups and points near those of the model, in any order. */
static const uint8_t *take_list(struct fuzz_input *input, uint64_t count) {
    uint8_t *rows = fuzz_block(count * MR_LISTED_SIZE);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t commit = fuzz_take(input, 1);
        mr_put_u64le(rows + i * MR_LISTED_SIZE, fuzz_take(input, 2));
        mr_put_u64le(rows + i * MR_LISTED_SIZE + 8, term_of(commit));
        mr_put_u64le(rows + i * MR_LISTED_SIZE + 16, commit);
    }
    return rows;
}

static int listed_at(const uint8_t *rows, uint64_t count, uint64_t group, uint64_t commit) {
    for (uint64_t i = 0; i < count; i++) {
        if (mr_get_u64le(rows + i * MR_LISTED_SIZE) == group &&
            mr_get_u64le(rows + i * MR_LISTED_SIZE + 16) == commit) {
            return 1;
        }
    }
    return 0;
}

static void unlike(const struct model *model, const struct mr_digest *digest, struct fuzz_input *input) {
    uint64_t low = fuzz_take(input, 1) * 3;
    uint64_t high = fuzz_take(input, 1) * 3;
    uint64_t count = fuzz_take(input, 1) % 4;
    const uint8_t *rows = take_list(input, count);
    uint64_t *groups = fuzz_block(GROUPS * sizeof(*groups));
    uint64_t found = mr_digest_unlike(digest, low, high, rows, count, groups, GROUPS);
    REQUIRE(found <= GROUPS);
    if (mr_listed_check(rows, count * MR_LISTED_SIZE) != MR_OK) {
        return; /* such a list is refused: all that counts is that nothing breaks */
    }
    uint64_t expected = 0;
    for (uint64_t group = low; group < high && group < GROUPS; group++) {
        if (model->commit[group] != 0 && !listed_at(rows, count, group, model->commit[group])) {
            REQUIRE(expected < found && groups[expected] == group);
            expected++;
        }
    }
    REQUIRE(expected == found);
}

static void strange(const struct model *model, const struct mr_digest *digest, struct fuzz_input *input) {
    uint64_t count = fuzz_take(input, 1) % 4;
    const uint8_t *rows = take_list(input, count);
    uint64_t *groups = fuzz_block(count * sizeof(*groups));
    uint64_t found = mr_digest_strange(digest, rows, count, groups);
    uint64_t expected = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t group = mr_get_u64le(rows + i * MR_LISTED_SIZE);
        if (group >= GROUPS || model->commit[group] == 0) {
            REQUIRE(expected < found && groups[expected] == group);
            expected++;
        }
    }
    REQUIRE(expected == found);
}

static void operate(struct model *model, struct mr_digest *digest, struct fuzz_input *input) {
    enum operation operation = fuzz_take(input, 1) % OPERATIONS;
    switch (operation) {
    case ADD: {
        uint64_t count = fuzz_take(input, 1) * 2;
        add(model, digest, count, fuzz_take(input, 1) % ORDERS);
        break;
    }
    case REMOVE:
        remove_(model, digest, fuzz_take(input, 1) * 3);
        break;
    case LIST: {
        uint64_t low = fuzz_take(input, 1) * 3;
        uint64_t high = fuzz_take(input, 1) * 3;
        list(model, digest, low, high, 1 + fuzz_take(input, 1));
        break;
    }
    case UNLIKE:
        unlike(model, digest, input);
        break;
    default:
        strange(model, digest, input);
    }
    REQUIRE(mr_digest_count(digest) == model->count);
}

/* The sum is that of a digest into which the same groups came in their order. */
static void check_total(const struct model *model, const struct mr_digest *digest) {
    struct mr_digest *again = mr_digest_new();
    REQUIRE(again != NULL);
    for (uint64_t group = 0; group < GROUPS; group++) {
        uint64_t commit = model->commit[group];
        uint64_t point[2];
        REQUIRE(mr_digest_find(digest, group, point) == (commit != 0));
        if (commit != 0) {
            REQUIRE(point[0] == term_of(commit) && point[1] == commit);
            REQUIRE(mr_digest_add(again, group, term_of(commit), commit) == MR_OK);
        }
    }
    REQUIRE(mr_digest_total(again) == mr_digest_total(digest));
    mr_digest_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_reset();
    struct fuzz_input input = {data, size};
    struct model model = {0};
    struct mr_digest *digest = mr_digest_new();
    REQUIRE(digest != NULL);
    while (input.size > 0) {
        operate(&model, digest, &input);
    }
    check_total(&model, digest);
    mr_digest_free(digest);
    return 0;
}
