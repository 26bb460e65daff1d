/* The group table: any sequence of calls does what a plain list of rows does.
 *
 * Input: operations of one to three bytes. Groups are few, so that they come, go and come again.
 */
#include "fuzz.h"
#include "mr_groups.h"

enum { GROUPS = 48, ROOMS = 5 };
enum operation { ADD, REMOVE, DUE_AT, PUT_AWAY, TAKE_UP, LOOK, DUE, OPERATIONS };

struct model {
    uint64_t due[GROUPS + 1]; /* by group */
    uint32_t place[GROUPS + 1];
    uint8_t here[GROUPS + 1];
    struct mr_dormant dormant[GROUPS + 1]; /* term 0: not put away */
    uint64_t count;
    uint64_t put_away;
};

/* The group whose row is at this place, 0 if it is free. */
static uint64_t group_at(const struct model *model, uint32_t place) {
    for (uint64_t group = 1; group <= GROUPS; group++) {
        if (model->here[group] && model->place[group] == place) {
            return group;
        }
    }
    return 0;
}

static void add(struct model *model, struct mr_groups *table, uint64_t group) {
    uint32_t place = GROUPS;
    int status = mr_groups_add(table, group, &place);
    REQUIRE(status == (model->here[group] ? MR_EXISTS : MR_OK));
    if (status == MR_OK) {
        REQUIRE(place < GROUPS && group_at(model, place) == 0);
        model->here[group] = 1;
        model->place[group] = place;
        model->due[group] = MR_NEVER;
        model->count++;
    }
}

static void remove_(struct model *model, struct mr_groups *table, uint64_t group) {
    REQUIRE(mr_groups_remove(table, group) == (model->here[group] ? MR_OK : MR_ABSENT));
    model->count -= model->here[group];
    model->here[group] = 0;
    model->put_away -= model->dormant[group].term != 0;
    model->dormant[group].term = 0;
}

static void due_at(struct model *model, struct mr_groups *table, uint32_t place, uint64_t tick) {
    uint64_t group = group_at(model, place);
    int known = group != 0 && model->dormant[group].term == 0;
    REQUIRE(mr_groups_due_at(table, place, tick) == (known ? MR_OK : MR_BUG));
    if (known) {
        model->due[group] = tick;
    }
}

static void put_away(struct model *model, struct mr_groups *table, uint32_t place, uint64_t term) {
    uint64_t group = group_at(model, place);
    struct mr_dormant dormant = {term, place, group, 7 * term, 3, 5, term & 1};
    int allowed = group != 0 && model->dormant[group].term == 0 && term != 0;
    REQUIRE(mr_groups_put_away(table, place, &dormant) == (allowed ? MR_OK : MR_BUG));
    if (allowed) {
        model->dormant[group] = dormant;
        model->due[group] = MR_NEVER;
        model->put_away++;
    }
}

static void take_up(struct model *model, struct mr_groups *table, uint32_t place) {
    uint64_t group = group_at(model, place);
    int allowed = group != 0 && model->dormant[group].term != 0;
    REQUIRE(mr_groups_take_up(table, place) == (allowed ? MR_OK : MR_BUG));
    if (allowed) {
        model->dormant[group].term = 0;
        model->put_away--;
    }
}

static void look(const struct model *model, const struct mr_groups *table, uint64_t group, uint64_t room) {
    struct mr_dormant found = {0};
    uint32_t place = GROUPS;
    int there = model->dormant[group].term != 0;
    REQUIRE(mr_groups_look(table, group, &place, &found) == (there ? MR_OK : MR_ABSENT));
    REQUIRE(!there || (place == model->place[group] && found.index == model->dormant[group].index &&
                       found.leads == model->dormant[group].leads));
    uint64_t *groups = fuzz_block(sizeof(*groups) * room);
    uint64_t listed = 0;
    uint64_t handed;
    place = 0;
    do {
        handed = mr_groups_list_dormant(table, &place, groups, room);
        for (uint64_t i = 0; i < handed; i++) {
            REQUIRE(groups[i] <= GROUPS && model->dormant[groups[i]].term != 0);
        }
        listed += handed;
    } while (handed == room);
    REQUIRE(listed == model->put_away);
}

static void soonest(const struct model *model, const struct mr_groups *table) {
    for (uint64_t group = 1; group <= GROUPS; group++) {
        REQUIRE(!model->here[group] || mr_groups_soonest(table) <= model->due[group]);
    }
}

/* Handed out in pieces or at once: every group that is due, once, by place. */
static void due(const struct model *model, struct mr_groups *table, uint64_t tick, uint64_t room) {
    uint64_t *groups = fuzz_block(sizeof(*groups) * room);
    uint32_t place = 0;
    uint32_t next = 0;
    uint64_t found;
    do {
        found = mr_groups_due(table, tick, &place, groups, room);
        REQUIRE(found <= room);
        for (uint64_t i = 0; i < found; i++) {
            uint64_t group = 0;
            while (group == 0 || model->due[group] > tick) {
                REQUIRE(next < GROUPS);
                group = group_at(model, next++);
            }
            REQUIRE(groups[i] == group);
        }
    } while (found == room);
    for (; next < GROUPS; next++) {
        uint64_t group = group_at(model, next);
        REQUIRE(group == 0 || model->due[group] > tick);
    }
    soonest(model, table);
}

static void sum(const struct model *model, const struct mr_groups *table) {
    struct mr_dormant_totals expected = {0};
    struct mr_dormant_totals found;
    for (uint64_t group = 1; group <= GROUPS; group++) {
        const struct mr_dormant *one = &model->dormant[group];
        if (one->term != 0) {
            expected.leading += one->leads;
            expected.ready += one->index > 1;
            expected.led_ready += one->index > 1 && one->leads;
            expected.entries += one->index - (one->index > 0);
            expected.max_term = one->term > expected.max_term ? one->term : expected.max_term;
        }
    }
    mr_groups_sum_dormant(table, &found);
    REQUIRE(memcmp(&found, &expected, sizeof(found)) == 0);
}

static void operate(struct model *model, struct mr_groups *table, struct fuzz_input *input) {
    enum operation operation = fuzz_take(input, 1) % OPERATIONS;
    uint64_t number = fuzz_take(input, 1);
    switch (operation) {
    case ADD:
        add(model, table, 1 + number % GROUPS);
        break;
    case REMOVE:
        remove_(model, table, 1 + number % GROUPS);
        break;
    case DUE_AT:
        due_at(model, table, (uint32_t)(number % (GROUPS + 2)), fuzz_take(input, 1));
        break;
    case PUT_AWAY:
        put_away(model, table, (uint32_t)(number % (GROUPS + 2)), fuzz_take(input, 1));
        break;
    case TAKE_UP:
        take_up(model, table, (uint32_t)(number % (GROUPS + 2)));
        break;
    case LOOK:
        look(model, table, 1 + number % GROUPS, 1 + fuzz_take(input, 1) % ROOMS);
        break;
    default:
        due(model, table, number, 1 + fuzz_take(input, 1) % ROOMS);
    }
    REQUIRE(mr_groups_count(table) == model->count);
    REQUIRE(mr_groups_dormant(table) == model->put_away);
    sum(model, table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_reset();
    struct fuzz_input input = {data, size};
    struct model model = {0};
    struct mr_groups *table = mr_groups_new();
    REQUIRE(table != NULL);
    REQUIRE(mr_groups_add(table, 0, &(uint32_t){0}) == MR_BUG);
    while (input.size > 0) {
        operate(&model, table, &input);
    }
    mr_groups_free(table);
    return 0;
}
