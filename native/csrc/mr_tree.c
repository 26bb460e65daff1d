#include "mr_tree.h"

#include <string.h>

enum {
    HEADER = 16,
    NODE = 8,
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW_RUN = 4,
    BIG = 1,
    KEY_MAX = 511,
    PAGE_MAX = 32768,
    FIRST = 2 /* the pages before it are meta pages */
};

_Static_assert(MR_TREE_DEPTH_MAX == 32, "a walk has a level for each");

/* The file, as one argument. */
struct file {
    const uint8_t *data;
    uint64_t length;
    uint64_t size;
    uint64_t last;
    uint8_t *seen;
    const struct mr_tree *tree;
};

static uint16_t u16(const uint8_t *source) {
    return (uint16_t)(source[0] | source[1] << 8);
}

static uint64_t key_length(const struct file *file, uint64_t node) {
    return u16(file->data + node + 6);
}

/* Where node `i` of a page stands in the file. */
static uint64_t node_at(const struct file *file, uint64_t page, uint64_t i) {
    return page * file->size + u16(file->data + page * file->size + HEADER + 2 * i);
}

static uint64_t node_count(const struct file *file, uint64_t page) {
    return (u16(file->data + page * file->size + 12) - HEADER) / 2u;
}

/* Below zero, zero, above: the key of a node against another's. */
static int compare(const struct file *file, uint64_t node, uint64_t other) {
    const uint8_t *one = file->data + node + NODE;
    const uint8_t *two = file->data + other + NODE;
    uint64_t length = key_length(file, node);
    uint64_t other_length = key_length(file, other);
    if (file->tree->lists_pages) {
        uint64_t a = mr_get_u64le(one);
        uint64_t b = mr_get_u64le(two);
        return (a > b) - (a < b);
    }
    int order = memcmp(one, two, length < other_length ? length : other_length);
    return order != 0 ? order : (length > other_length) - (length < other_length);
}

/* Takes `count` pages from `page` on, none of which may be in use. */
static int claim(const struct file *file, uint64_t page, uint64_t count) {
    if (page < FIRST || page > file->last || count == 0 || count > file->last - page + 1 ||
        (page + count) > file->length / file->size) {
        return MR_RANGE;
    }
    for (uint64_t i = page; i < page + count; i++) {
        if (file->seen[i / 8] & 1u << i % 8) {
            return MR_TWICE;
        }
        file->seen[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return MR_OK;
}

/* Bytes of a node, whose header lies in the page; 0 if it cannot be one. */
static uint64_t node_size(const struct file *file, const uint8_t *node, int is_branch) {
    uint64_t key = u16(node + 6);
    uint64_t value = 0;
    if (!is_branch) {
        if (u16(node + 4) & ~BIG || key == 0 || (file->tree->lists_pages && key != 8)) {
            return 0;
        }
        value = u16(node + 4) & BIG ? 8 : mr_get_u32le(node);
    }
    return key > KEY_MAX ? 0 : (NODE + key + value + 1) & ~UINT64_C(1);
}

/* The nodes fill the page from `upper` to its end, and each offset leads to another one. */
static int check_nodes(const struct file *file, const uint8_t *page, uint64_t count, int is_branch) {
    uint64_t starts[PAGE_MAX / 128];
    uint64_t at = u16(page + 14);
    memset(starts, 0, file->size / 16);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = u16(page + HEADER + 2 * i);
        if (start < at || start + NODE > file->size || start % 2) {
            return MR_RANGE;
        }
        uint64_t bit = UINT64_C(1) << start / 2 % 64;
        if (starts[start / 128] & bit) {
            return MR_TWICE;
        }
        starts[start / 128] |= bit;
    }
    for (; at < file->size; count--) {
        uint64_t room = file->size - at;
        if (count == 0 || room < NODE || !(starts[at / 128] >> at / 2 % 64 & 1)) {
            return MR_GAP;
        }
        uint64_t size = node_size(file, page + at, is_branch);
        if (size == 0 || size > room) {
            return MR_LENGTH;
        }
        at += size;
    }
    return count == 0 ? MR_OK : MR_GAP;
}

/* Keys ascend and lie in [low, high). The first key of a branch means nothing. */
static int check_keys(const struct file *file, uint64_t page, const struct mr_tree_level *level,
                      int is_branch) {
    uint64_t count = node_count(file, page);
    for (uint64_t i = is_branch ? 1 : 0; i < count; i++) {
        uint64_t node = node_at(file, page, i);
        if (file->tree->lists_pages && key_length(file, node) != 8) {
            return MR_LENGTH;
        }
        if ((i > (is_branch ? 1 : 0) && compare(file, node_at(file, page, i - 1), node) >= 0) ||
            (level->low != 0 && compare(file, level->low, node) > 0) ||
            (level->high != 0 && compare(file, level->high, node) <= 0)) {
            return MR_ORDER;
        }
    }
    return MR_OK;
}

/* The pages of a list are free: nothing else leads to them. */
static int check_list(const struct file *file, const uint8_t *value, uint64_t length) {
    uint64_t count = length < 8 ? 0 : mr_get_u64le(value);
    if (length < 8 || count > (length - 8) / 8) {
        return MR_LENGTH;
    }
    int status = MR_OK;
    for (uint64_t i = 1; i <= count && status == MR_OK; i++) {
        uint64_t page = mr_get_u64le(value + 8 * i);
        status = page >= file->length / file->size && page <= file->last
                     ? MR_OK /* counted, and never written */
                     : claim(file, page, 1);
    }
    return status;
}

static int check_values(const struct file *file, uint64_t page) {
    uint64_t count = node_count(file, page);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *node = file->data + node_at(file, page, i);
        const uint8_t *value = node + NODE + u16(node + 6);
        uint64_t length = mr_get_u32le(node);
        int status = MR_OK;
        if (u16(node + 4) & BIG) {
            uint64_t run = mr_get_u64le(value);
            uint64_t pages = (HEADER - 1 + length) / file->size + 1;
            status = claim(file, run, pages);
            value = status == MR_OK ? file->data + run * file->size : value;
            if (status == MR_OK && (mr_get_u64le(value) != run || u16(value + 10) != OVERFLOW_RUN ||
                                    mr_get_u32le(value + 12) != pages)) {
                status = MR_MAGIC;
            }
            value += HEADER;
        }
        if (status == MR_OK && file->tree->lists_pages) {
            status = check_list(file, value, length);
        }
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* Checks a page on the level above which `level` is; a branch becomes the next level. */
static int enter(const struct file *file, uint64_t page, const struct mr_tree_level *level,
                 struct mr_tree_walk *walk) {
    walk->wrong = page;
    int status = claim(file, page, 1);
    if (status != MR_OK) {
        return status;
    }
    if (file->tree->branches_only && walk->levels + 1 == file->tree->depth) {
        return MR_OK;
    }
    const uint8_t *bytes = file->data + page * file->size;
    uint64_t lower = u16(bytes + 12);
    uint64_t upper = u16(bytes + 14);
    int is_branch = walk->levels + 1 < file->tree->depth;
    if (mr_get_u64le(bytes) != page) {
        return MR_MAGIC;
    }
    if (u16(bytes + 10) != (is_branch ? BRANCH : LEAF)) {
        return MR_RESERVED;
    }
    if (lower < HEADER + (is_branch ? 4 : 2) || lower % 2 || lower > upper || upper > file->size ||
        upper % 2) {
        return MR_LENGTH;
    }
    status = check_nodes(file, bytes, node_count(file, page), is_branch);
    if (status == MR_OK) {
        status = check_keys(file, page, level, is_branch);
    }
    if (status != MR_OK) {
        return status;
    }
    if (!is_branch) {
        return check_values(file, page);
    }
    walk->level[walk->levels++] = (struct mr_tree_level){page, 0, level->low, level->high};
    return MR_OK;
}

/* The next child of the deepest branch, if it has one left. */
static int descend(const struct file *file, struct mr_tree_walk *walk) {
    struct mr_tree_level *level = &walk->level[walk->levels - 1];
    uint64_t count = node_count(file, level->page);
    if (level->next == count) {
        walk->levels--;
        return MR_OK;
    }
    uint64_t i = level->next++;
    uint64_t node = node_at(file, level->page, i);
    const uint8_t *bytes = file->data + node;
    struct mr_tree_level below = {0, 0, i == 0 ? level->low : node, level->high};
    if (i + 1 < count) {
        below.high = node_at(file, level->page, i + 1);
    }
    uint64_t child = mr_get_u32le(bytes) | (uint64_t)u16(bytes + 4) << 32;
    return enter(file, child, &below, walk);
}

int mr_tree_check(const uint8_t *data, uint64_t length, uint64_t size, uint64_t last,
                  const struct mr_tree *tree, uint8_t *seen, struct mr_tree_walk *walk, uint64_t budget) {
    struct file file = {data, length, size, last, seen, tree};
    if (size < 512 || size > PAGE_MAX || size % 128 || tree->depth > MR_TREE_DEPTH_MAX) {
        return MR_RANGE;
    }
    if (!walk->begun) {
        walk->begun = 1;
        if (tree->root == UINT64_MAX) {
            return MR_OK;
        }
        if (tree->depth == 0) {
            return MR_RANGE;
        }
        int status = enter(&file, tree->root, &(struct mr_tree_level){0}, walk);
        if (status != MR_OK) {
            return status;
        }
    }
    for (; walk->levels > 0 && budget > 0; budget--) {
        int status = descend(&file, walk);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}
