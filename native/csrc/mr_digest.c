#include "mr_digest.h"

#include "mr_array.h"

enum { BLOCK_ROOM = 128 };

struct resting {
    uint64_t group;
    uint64_t term;
    uint64_t commit;
};

/* Groups in ascending order. A block is never empty. */
struct block {
    uint32_t count;
    struct resting items[BLOCK_ROOM];
};

/* All groups of a block are below those of the next one. Groups mostly come in their order, and then blocks
 * are full; in any other order they are so by two thirds. */
struct mr_digest {
    MR_ARRAY(struct block *) blocks;
    uint64_t count;
    uint64_t total;
};

/* Where a group is, or would be: in which block, and before which of its items. */
struct spot {
    uint32_t block;
    uint32_t item;
};

struct mr_digest *mr_digest_new(void) {
    return calloc(1, sizeof(struct mr_digest));
}

void mr_digest_free(struct mr_digest *digest) {
    if (digest != NULL) {
        for (uint32_t i = 0; i < digest->blocks.count; i++) {
            free(digest->blocks.items[i]);
        }
        mr_array_free(&digest->blocks);
        free(digest);
    }
}

uint64_t mr_digest_count(const struct mr_digest *digest) {
    return digest->count;
}

uint64_t mr_digest_total(const struct mr_digest *digest) {
    return digest->total;
}

/* The finalizer of splitmix64. */
static uint64_t scrambled(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static uint64_t mixed(const struct resting *one) {
    return scrambled(scrambled(one->group * UINT64_C(0x9E3779B97F4A7C15) + one->term) + one->commit);
}

/* The last block that begins at `group` or before it, the first one if none does, and the place in there. */
static struct spot find(const struct mr_digest *digest, uint64_t group) {
    uint32_t low = 0;
    for (uint32_t high = digest->blocks.count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (digest->blocks.items[middle]->items[0].group <= group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct spot spot = {.block = low == 0 ? 0 : low - 1};
    if (digest->blocks.count > 0) {
        const struct block *block = digest->blocks.items[spot.block];
        for (uint32_t high = block->count; spot.item < high;) {
            uint32_t middle = spot.item + (high - spot.item) / 2;
            if (block->items[middle].group < group) {
                spot.item = middle + 1;
            } else {
                high = middle;
            }
        }
    }
    return spot;
}

/* The item at a spot; NULL if there is none, neither there nor at the beginning of the next block, to which
 * the spot moves then. */
static const struct resting *at(const struct mr_digest *digest, struct spot *spot) {
    if (spot->block < digest->blocks.count && spot->item == digest->blocks.items[spot->block]->count) {
        *spot = (struct spot){.block = spot->block + 1};
    }
    return spot->block < digest->blocks.count ? &digest->blocks.items[spot->block]->items[spot->item] : NULL;
}

/* The item of a group, NULL if it has none, and where it is or would be. */
static const struct resting *find_group(const struct mr_digest *digest, uint64_t group, struct spot *spot) {
    *spot = find(digest, group);
    if (digest->blocks.count == 0) {
        return NULL;
    }
    const struct block *block = digest->blocks.items[spot->block];
    const struct resting *found = &block->items[spot->item];
    return spot->item < block->count && found->group == group ? found : NULL;
}

int mr_digest_find(const struct mr_digest *digest, uint64_t group, uint64_t *point) {
    struct spot spot;
    const struct resting *found = find_group(digest, group, &spot);
    if (found != NULL) {
        point[0] = found->term;
        point[1] = found->commit;
    }
    return found != NULL;
}

/* ---- changes ---- */

/* Puts a new block behind block `before` and moves the items from `first` on there. Errors: MR_MEMORY. */
static int split(struct mr_digest *digest, uint32_t before, uint32_t first) {
    int status = mr_array_reserve(&digest->blocks, 1);
    struct block *right = status == MR_OK ? malloc(sizeof(*right)) : NULL;
    if (right == NULL) {
        return status == MR_OK ? MR_MEMORY : status;
    }
    right->count = 0;
    struct block **blocks = digest->blocks.items;
    if (digest->blocks.count > 0) {
        struct block *left = blocks[before++];
        right->count = left->count - first;
        memcpy(right->items, left->items + first, right->count * sizeof(*right->items));
        left->count = first;
    }
    memmove(blocks + before + 1, blocks + before, (digest->blocks.count - before) * sizeof(struct block *));
    blocks[before] = right;
    digest->blocks.count++;
    return MR_OK;
}

/* Makes room for one item at a spot, which may move. Errors: MR_MEMORY, MR_TOO_MANY. */
static int make_room(struct mr_digest *digest, struct spot *spot) {
    if (digest->blocks.count == 0) {
        return split(digest, 0, 0);
    }
    if (digest->blocks.items[spot->block]->count < BLOCK_ROOM) {
        return MR_OK;
    }
    int is_last = spot->block == digest->blocks.count - 1 && spot->item == BLOCK_ROOM;
    uint32_t first = is_last ? BLOCK_ROOM : BLOCK_ROOM / 2;
    int status = split(digest, spot->block, first);
    if (status == MR_OK && spot->item >= first) {
        *spot = (struct spot){.block = spot->block + 1, .item = spot->item - first};
    }
    return status;
}

int mr_digest_add(struct mr_digest *digest, uint64_t group, uint64_t term, uint64_t commit) {
    struct spot spot;
    if (find_group(digest, group, &spot) != NULL) {
        return MR_TWICE;
    }
    int status = make_room(digest, &spot);
    if (status != MR_OK) {
        return status;
    }
    struct block *block = digest->blocks.items[spot.block];
    struct resting *item = &block->items[spot.item];
    memmove(item + 1, item, (block->count - spot.item) * sizeof(*item));
    *item = (struct resting){.group = group, .term = term, .commit = commit};
    block->count++;
    digest->count++;
    digest->total += mixed(item);
    return MR_OK;
}

static void drop_block(struct mr_digest *digest, uint32_t number) {
    struct block **block = digest->blocks.items + number;
    free(*block);
    memmove(block, block + 1, (digest->blocks.count - number - 1) * sizeof(struct block *));
    digest->blocks.count--;
}

/* Joins a block and the next one if half a block has room for both: then neither soon splits again. */
static void join(struct mr_digest *digest, uint32_t number) {
    if (number + 1 < digest->blocks.count) {
        struct block *left = digest->blocks.items[number];
        const struct block *right = digest->blocks.items[number + 1];
        if (left->count + right->count <= BLOCK_ROOM / 2) {
            memcpy(left->items + left->count, right->items, right->count * sizeof(*left->items));
            left->count += right->count;
            drop_block(digest, number + 1);
        }
    }
}

int mr_digest_remove(struct mr_digest *digest, uint64_t group) {
    struct spot spot;
    const struct resting *found = find_group(digest, group, &spot);
    if (found == NULL) {
        return MR_ABSENT;
    }
    digest->total -= mixed(found);
    digest->count--;
    struct block *block = digest->blocks.items[spot.block];
    struct resting *item = &block->items[spot.item];
    block->count--;
    memmove(item, item + 1, (block->count - spot.item) * sizeof(*item));
    if (block->count == 0) {
        drop_block(digest, spot.block);
    } else {
        join(digest, spot.block);
    }
    return MR_OK;
}

/* ---- lists ---- */

uint64_t mr_digest_list(const struct mr_digest *digest, uint64_t low, uint64_t high, uint8_t *list,
                        uint64_t room) {
    struct spot spot = find(digest, low);
    uint64_t count = 0;
    for (const struct resting *one; count < room; count++, spot.item++) {
        one = at(digest, &spot);
        if (one == NULL || one->group >= high) {
            break;
        }
        uint8_t *row = list + count * MR_LISTED_SIZE;
        mr_put_u64le(row, one->group);
        mr_put_u64le(row + 8, one->term);
        mr_put_u64le(row + 16, one->commit);
    }
    return count;
}

static uint64_t listed_group(const uint8_t *list, uint64_t number) {
    return mr_get_u64le(list + number * MR_LISTED_SIZE);
}

int mr_listed_check(const uint8_t *list, uint64_t length) {
    if (length % MR_LISTED_SIZE != 0) {
        return MR_LENGTH;
    }
    for (uint64_t i = 1; i < length / MR_LISTED_SIZE; i++) {
        if (listed_group(list, i - 1) >= listed_group(list, i)) {
            return MR_ORDER;
        }
    }
    return MR_OK;
}

uint64_t mr_digest_unlike(const struct mr_digest *digest, uint64_t low, uint64_t high, const uint8_t *list,
                          uint64_t count, uint64_t *groups, uint64_t room) {
    struct spot spot = find(digest, low);
    uint64_t found = 0;
    uint64_t listed = 0;
    for (; found < room; spot.item++) {
        const struct resting *one = at(digest, &spot);
        if (one == NULL || one->group >= high) {
            break;
        }
        while (listed < count && listed_group(list, listed) < one->group) {
            listed++;
        }
        const uint8_t *row = list + listed * MR_LISTED_SIZE;
        if (listed == count || mr_get_u64le(row) != one->group || mr_get_u64le(row + 8) != one->term ||
            mr_get_u64le(row + 16) != one->commit) {
            groups[found++] = one->group;
        }
    }
    return found;
}

uint64_t mr_digest_strange(const struct mr_digest *digest, const uint8_t *list, uint64_t count,
                           uint64_t *groups) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct spot spot;
        uint64_t group = listed_group(list, i);
        if (find_group(digest, group, &spot) == NULL) {
            groups[found++] = group;
        }
    }
    return found;
}
