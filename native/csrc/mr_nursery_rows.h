/* The rows of a nursery, and what moves one of them on. Python sees none of it. */
#ifndef MR_NURSERY_ROWS_H
#define MR_NURSERY_ROWS_H

#include "mr_array.h"
#include "mr_frame.h"
#include "mr_map.h"
#include "mr_nursery.h"

#define NOBODY UINT32_MAX

/* Every group is born at index 1 of term 1; its first leader appends entry 2 in term 1. */
enum { BIRTH_INDEX = 1, BIRTH_TERM = 1, FIRST_TERM = 1, FIRST_INDEX = 2 };
enum { PATIENCE = 4 }; /* election timeouts */
enum { FIRST_RUN = MR_RUN_HEADER + MR_RUN_ROW };

/* A message that waits, as the numbers that mr_messages_seal takes. */
enum { MESSAGE_BYTES = 8 * MR_MESSAGES_FIELDS, RUN_LENGTH_AT = 8 * 9 };

struct member {
    uint64_t replica;
    uint32_t neighbour; /* the number of its node; NOBODY: this one */
};

struct placement {
    struct member members[MR_NURSERY_MEMBERS]; /* first: the last array of a struct is not bounds-checked */
    uint32_t count;
    uint32_t own; /* which of the members is here */
};

struct neighbour {
    uint64_t node;
    struct mr_digest *led;
    struct mr_digest *followed;
    MR_ARRAY(uint8_t) waiting; /* messages for it */
    uint32_t sealed;           /* how many of these are on their way */
    int alive;
};

/* Of the members the first is 1. */
struct newborn {
    uint64_t group;     /* 0: the row is free */
    uint64_t since;     /* the tick of its last step */
    uint64_t committed; /* the tick since which a quorum has its entry; MR_NEVER */
    uint32_t placement;
    uint32_t approving;
    uint8_t stage;
    uint8_t vote;
    uint8_t lead;
    uint8_t in_flight;
    uint8_t handed_back; /* a message for it was, and it is about to be removed */
};

struct mr_nursery {
    struct mr_groups *table;
    struct mr_nursery_rules rules;
    uint64_t moved; /* the tick in which any newborn took a step last */
    uint8_t first_run[FIRST_RUN];
    struct mr_map places;
    MR_ARRAY(struct newborn) rows;
    MR_ARRAY(uint32_t) freed;
    MR_ARRAY(struct placement) placements;
    MR_ARRAY(struct neighbour) neighbours;
    MR_ARRAY(uint8_t) write_groups;
    MR_ARRAY(uint8_t) write_replicas;
    MR_ARRAY(uint8_t) write_lengths;
    MR_ARRAY(uint8_t) write_parts;
    MR_ARRAY(uint8_t) write_hard;
    MR_ARRAY(struct mr_promise) promises; /* one for each write */
    uint64_t runs;                        /* writes that have the first entry, */
    uint64_t hards;                       /* and those that have a vote */
};

/* Whether a message says nothing to a newborn: that a group is awake, or unknown somewhere. */
static inline int mr_means_nothing(const struct mr_nursery *nursery, uint32_t kind) {
    return kind == nursery->rules.kinds.wake || kind == nursery->rules.kinds.unknown;
}

/* Without the bit of a refusal. */
static inline uint32_t mr_kind_of(const struct mr_message *message) {
    return message->flags & UINT8_MAX;
}

/* Makes room for so many more writes. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_newborn_reserve(struct mr_nursery *nursery, uint64_t count);

/* Asks for votes, as soon as its own is durable. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_newborn_campaign(struct mr_nursery *nursery, struct newborn *one, uint64_t tick);

/* The row is free. If it was the last one, the memory of all rows is given back. */
void mr_newborn_forget(struct mr_nursery *nursery, struct newborn *one);

#endif /* MR_NURSERY_ROWS_H */
