/* A newborn's way: what moves it on, step by step. */
#include "mr_nursery_rows.h"
#include "mr_rows.h"

/* ---- what goes out ---- */

int mr_newborn_reserve(struct mr_nursery *nursery, uint64_t count) {
    int status = mr_array_reserve(&nursery->write_groups, 8 * count);
    if (status == MR_OK) {
        status = mr_array_reserve(&nursery->write_replicas, 8 * count);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&nursery->write_lengths, 4 * count);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&nursery->write_parts, count);
    }
    if (status == MR_OK) {
        status = mr_array_reserve(&nursery->write_hard, 24 * count);
    }
    return status == MR_OK ? mr_array_reserve(&nursery->promises, count) : status;
}

static const struct placement *placement_of(const struct mr_nursery *nursery, const struct newborn *one) {
    return &nursery->placements.items[one->placement];
}

/* The replica that it has voted for; 0: none, as of one that hears of a leader first. */
static uint64_t vote_of(const struct mr_nursery *nursery, const struct newborn *one) {
    return one->vote == 0 ? 0 : placement_of(nursery, one)->members[one->vote - 1].replica;
}

/* Notes what has to be durable before the promise of the newborn's stage is kept. */
static int write(struct mr_nursery *nursery, struct newborn *one, int has_vote, int has_entry) {
    int status = mr_newborn_reserve(nursery, 1);
    if (status != MR_OK) {
        return status;
    }
    const struct placement *placement = placement_of(nursery, one);
    uint32_t row = nursery->promises.count;
    mr_put_u64le(nursery->write_groups.items + 8 * (uint64_t)row, one->group);
    mr_put_u64le(nursery->write_replicas.items + 8 * (uint64_t)row,
                 placement->members[placement->own].replica);
    mr_put_u32le(nursery->write_lengths.items + 4 * (uint64_t)row, has_entry ? FIRST_RUN : 0);
    nursery->write_parts.items[row] = has_vote ? MR_PART_HARD : 0;
    nursery->promises.items[row] = (struct mr_promise){.group = one->group, .stage = one->stage};
    if (has_vote) {
        uint8_t *hard = nursery->write_hard.items + 24 * nursery->hards++;
        mr_put_u64le(hard, FIRST_TERM);
        mr_put_u64le(hard + 8, vote_of(nursery, one));
        mr_put_u64le(hard + 16, BIRTH_INDEX);
        nursery->write_hard.count += 24;
    }
    nursery->runs += has_entry != 0;
    nursery->write_groups.count += 8;
    nursery->write_replicas.count += 8;
    nursery->write_lengths.count += 4;
    nursery->write_parts.count++;
    nursery->promises.count++;
    one->in_flight++;
    return MR_OK;
}

/* Fields of a message that differ; it is of term 1. */
struct said {
    uint8_t kind;
    uint64_t log_term;
    uint64_t index;
    uint64_t commit;
    int has_entry;
};

static int send(struct mr_nursery *nursery, const struct newborn *one, uint32_t member,
                const struct said *said) {
    const struct placement *placement = placement_of(nursery, one);
    struct neighbour *to = &nursery->neighbours.items[placement->members[member].neighbour];
    int status = mr_array_reserve(&to->waiting, MESSAGE_BYTES);
    if (status == MR_OK) {
        uint64_t numbers[MR_MESSAGES_FIELDS] = {one->group,
                                                placement->members[member].replica,
                                                placement->members[placement->own].replica,
                                                said->kind,
                                                FIRST_TERM,
                                                said->log_term,
                                                said->index,
                                                said->commit,
                                                0,
                                                said->has_entry ? FIRST_RUN : 0,
                                                0};
        for (int i = 0; i < MR_MESSAGES_FIELDS; i++) {
            mr_put_u64le(to->waiting.items + to->waiting.count + 8 * i, numbers[i]);
        }
        to->waiting.count += MESSAGE_BYTES;
    }
    return status;
}

static int send_to_others(struct mr_nursery *nursery, const struct newborn *one, const struct said *said) {
    const struct placement *placement = placement_of(nursery, one);
    int status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < placement->count; i++) {
        status = i == placement->own ? MR_OK : send(nursery, one, i, said);
    }
    return status;
}

/* ---- the end of the way ---- */

/* The next number of splitmix64. */
static uint64_t drawn(struct mr_nursery *nursery) {
    uint64_t value = nursery->rules.seed += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

/* The digests of the nodes that this replica rests with count its group: of a leader those of all others, of
 * a follower that of its leader. */
static int count_at_rest(struct mr_nursery *nursery, const struct newborn *one) {
    const struct placement *placement = placement_of(nursery, one);
    int leads = one->stage == MR_STAGE_LEADER;
    int status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < placement->count; i++) {
        const struct member *member = &placement->members[i];
        if (i != placement->own && (leads || i + 1 == one->lead)) {
            struct neighbour *neighbour = &nursery->neighbours.items[member->neighbour];
            struct mr_digest *digest = leads ? neighbour->led : neighbour->followed;
            status = mr_digest_add(digest, one->group, FIRST_TERM, FIRST_INDEX);
        }
    }
    return status;
}

/* It is a row of the group table from now on, at rest. */
static int leave(struct mr_nursery *nursery, struct newborn *one) {
    const struct placement *placement = placement_of(nursery, one);
    uint64_t ticks = nursery->rules.election_ticks;
    struct mr_dormant dormant = {.term = FIRST_TERM,
                                 .vote = vote_of(nursery, one),
                                 .lead = placement->members[one->lead - 1].replica,
                                 .index = FIRST_INDEX,
                                 .timeout = (uint32_t)(ticks + drawn(nursery) % ticks),
                                 .leads = one->stage == MR_STAGE_LEADER};
    uint32_t place;
    MR_ASSERT(one->in_flight == 0);
    int status = mr_groups_add(nursery->table, one->group, &place);
    if (status == MR_OK) {
        status = mr_groups_put_away(nursery->table, place, &dormant);
    }
    if (status == MR_OK) {
        status = count_at_rest(nursery, one);
    }
    if (status == MR_OK) {
        mr_newborn_forget(nursery, one);
    }
    return status;
}

/* ---- the election ---- */

static void advance(struct mr_nursery *nursery, struct newborn *one, uint8_t stage, uint64_t tick) {
    one->stage = stage;
    one->since = nursery->moved = tick;
}

static int has_quorum(const struct mr_nursery *nursery, const struct newborn *one) {
    return 2 * (uint32_t)__builtin_popcount(one->approving) > placement_of(nursery, one)->count;
}

int mr_newborn_campaign(struct mr_nursery *nursery, struct newborn *one, uint64_t tick) {
    advance(nursery, one, MR_STAGE_CANDIDATE, tick);
    one->vote = (uint8_t)(placement_of(nursery, one)->own + 1);
    return write(nursery, one, 1, 0);
}

static int lead(struct mr_nursery *nursery, struct newborn *one, uint64_t tick) {
    const struct said append = {.kind = nursery->rules.kinds.append,
                                .log_term = BIRTH_TERM,
                                .index = BIRTH_INDEX,
                                .commit = BIRTH_INDEX,
                                .has_entry = 1};
    advance(nursery, one, MR_STAGE_LEADER, tick);
    one->lead = (uint8_t)(placement_of(nursery, one)->own + 1);
    one->approving = 0;
    int status = send_to_others(nursery, one, &append);
    return status == MR_OK ? write(nursery, one, 0, 1) : status;
}

static int take_vote(struct mr_nursery *nursery, struct newborn *one, uint32_t member, uint64_t tick) {
    if (one->stage != MR_STAGE_CANDIDATE) {
        return MR_OK;
    }
    one->approving |= UINT32_C(1) << member;
    nursery->moved = tick;
    return has_quorum(nursery, one) ? lead(nursery, one, tick) : MR_OK;
}

static int take_acknowledgement(struct mr_nursery *nursery, struct newborn *one, uint32_t member,
                                uint64_t tick) {
    const struct said rest = {.kind = nursery->rules.kinds.rest, .commit = FIRST_INDEX};
    one->approving |= UINT32_C(1) << member;
    nursery->moved = tick;
    if ((uint32_t)__builtin_popcount(one->approving) < placement_of(nursery, one)->count) {
        if (one->committed == MR_NEVER && has_quorum(nursery, one)) {
            one->committed = tick;
        }
        return MR_OK;
    }
    int status = send_to_others(nursery, one, &rest);
    return status == MR_OK ? leave(nursery, one) : status;
}

int mr_nursery_durable(struct mr_nursery *nursery, const struct mr_promise *promises, uint64_t count,
                       uint64_t tick) {
    const struct mr_nursery_kinds *kinds = &nursery->rules.kinds;
    const struct said ask = {.kind = kinds->vote, .log_term = BIRTH_TERM, .index = BIRTH_INDEX};
    const struct said vote = {.kind = kinds->vote_resp};
    const struct said acknowledgement = {.kind = kinds->append_resp, .index = FIRST_INDEX};
    int status = MR_OK;
    for (uint64_t i = 0; status == MR_OK && i < count; i++) {
        uint32_t place = mr_map_get(&nursery->places, promises[i].group);
        MR_ASSERT(place != MR_NOWHERE && nursery->rows.items[place].in_flight > 0);
        struct newborn *one = &nursery->rows.items[place];
        uint32_t own = placement_of(nursery, one)->own;
        one->in_flight--;
        one->since = nursery->moved = tick;
        switch (promises[i].stage) {
        case MR_STAGE_CANDIDATE:
            status = send_to_others(nursery, one, &ask);
            status = status == MR_OK ? take_vote(nursery, one, own, tick) : status;
            break;
        case MR_STAGE_VOTED:
            status = send(nursery, one, one->vote - 1u, &vote);
            break;
        case MR_STAGE_LEADER:
            status = take_acknowledgement(nursery, one, own, tick);
            break;
        default:
            MR_ASSERT(promises[i].stage == MR_STAGE_FOLLOWER);
            status = send(nursery, one, one->lead - 1u, &acknowledgement);
        }
    }
    return status;
}

/* ---- what comes in ---- */

/* A received message: whose it is, and whether it carries exactly the first entry. */
struct heard {
    const struct mr_message *message;
    uint32_t member;
    int is_first;
    uint64_t tick;
};

static int hear_vote(struct mr_nursery *nursery, struct newborn *one, const struct heard *heard, int *calm) {
    const struct mr_message *message = heard->message;
    *calm = one->stage == MR_STAGE_NEW && message->index == BIRTH_INDEX && message->log_term == BIRTH_TERM;
    if (!*calm) {
        return MR_OK;
    }
    advance(nursery, one, MR_STAGE_VOTED, heard->tick);
    one->vote = (uint8_t)(heard->member + 1);
    return write(nursery, one, 1, 0);
}

static int hear_append(struct mr_nursery *nursery, struct newborn *one, const struct heard *heard,
                       int *calm) {
    const struct mr_message *message = heard->message;
    int enters = one->stage == MR_STAGE_NEW;
    int follows = message->index == BIRTH_INDEX && message->log_term == BIRTH_TERM;
    *calm = (enters || one->stage == MR_STAGE_VOTED) && follows && message->commit <= BIRTH_INDEX &&
            heard->is_first;
    if (!*calm) {
        return MR_OK;
    }
    advance(nursery, one, MR_STAGE_FOLLOWER, heard->tick);
    one->lead = (uint8_t)(heard->member + 1);
    return write(nursery, one, enters, 1);
}

/* The leader has everybody's acknowledgement, this one's too: so what it stands for is durable. */
static int hear_rest(struct mr_nursery *nursery, struct newborn *one, const struct heard *heard) {
    int is_told = one->stage == MR_STAGE_FOLLOWER && one->lead == heard->member + 1;
    int ends = is_told && heard->message->commit == FIRST_INDEX && one->in_flight == 0;
    return ends ? leave(nursery, one) : MR_OK;
}

static int hear(struct mr_nursery *nursery, struct newborn *one, const struct heard *heard, int *calm) {
    const struct mr_nursery_kinds *kinds = &nursery->rules.kinds;
    uint32_t kind = heard->message->flags;
    if (kind == kinds->vote) {
        return hear_vote(nursery, one, heard, calm);
    }
    if (kind == kinds->append) {
        return hear_append(nursery, one, heard, calm);
    }
    if (kind == kinds->vote_resp) {
        *calm = one->stage == MR_STAGE_CANDIDATE || one->stage == MR_STAGE_LEADER;
        return *calm ? take_vote(nursery, one, heard->member, heard->tick) : MR_OK;
    }
    if (kind == kinds->append_resp) {
        *calm = one->stage == MR_STAGE_LEADER && heard->message->index == FIRST_INDEX;
        return *calm ? take_acknowledgement(nursery, one, heard->member, heard->tick) : MR_OK;
    }
    *calm = kind == kinds->rest;
    return *calm ? hear_rest(nursery, one, heard) : MR_OK;
}

/* Which of the members a message is from; NOBODY if it is from none, or came from another's node. */
static uint32_t sender(const struct mr_nursery *nursery, const struct newborn *one,
                       const struct mr_message *message, uint64_t node) {
    const struct placement *placement = placement_of(nursery, one);
    if (message->to != placement->members[placement->own].replica || message->term != FIRST_TERM) {
        return NOBODY;
    }
    for (uint32_t i = 0; i < placement->count; i++) {
        const struct member *member = &placement->members[i];
        if (member->replica == message->from && member->neighbour != NOBODY &&
            nursery->neighbours.items[member->neighbour].node == node) {
            return i;
        }
    }
    return NOBODY;
}

int mr_nursery_step(struct mr_nursery *nursery, const uint8_t *payload, uint64_t rows, uint64_t node,
                    uint64_t tick, uint8_t *marks, uint64_t *handed_back) {
    const uint8_t *body = payload + MR_MESSAGES_HEADER + rows * MR_MESSAGES_ROW;
    int status = MR_OK;
    *handed_back = 0;
    for (uint64_t row = 0; status == MR_OK && row < rows; row++) {
        struct mr_message message;
        mr_message_read(payload, row, &message);
        const uint8_t *run = body;
        body += (uint64_t)message.run_length + message.extra_length;
        uint32_t place =
            marks[row] == MR_ROW_NEWBORN ? mr_map_get(&nursery->places, message.group) : MR_NOWHERE;
        if (marks[row] == MR_ROW_NEWBORN && place == MR_NOWHERE) {
            marks[row] = MR_ROW_HANDED_BACK; /* it has left, or grown up, since it was sifted */
            ++*handed_back;
            continue;
        }
        if (place == MR_NOWHERE) {
            continue;
        }
        struct newborn *one = &nursery->rows.items[place];
        struct heard heard = {
            .message = &message, .member = sender(nursery, one, &message, node), .tick = tick};
        heard.is_first = message.run_length == FIRST_RUN && memcmp(run, nursery->first_run, FIRST_RUN) == 0;
        int calm = !one->handed_back && mr_means_nothing(nursery, mr_kind_of(&message));
        if (!calm && !one->handed_back && heard.member != NOBODY) {
            status = hear(nursery, one, &heard, &calm);
        }
        if (!calm && (one->handed_back || one->in_flight == 0)) {
            one->handed_back = 1;
            marks[row] = MR_ROW_HANDED_BACK;
            ++*handed_back;
        }
    }
    return status;
}
