/* mr_tree: the pages of an LMDB file (format of LMDB 0.9), checked before LMDB follows what they say.
 *
 *   page    number 8 | 0 2 | flags 2 | lower 2, upper 2 (of an overflow run: its pages 4) ; offsets of nodes
 * 2 each, up to `lower` ; free ; nodes, from `upper` to the end, without a gap, each of even size branch
 * child 6 | key length 2 | key leaf    value length 4 | flags 2 | key length 2 | key | value, or the number
 * of its overflow run 8 */
#ifndef MR_TREE_H
#define MR_TREE_H

#include "mr_base.h"

/* cffi: begin */

#define MR_TREE_DEPTH_MAX 32

/* What a meta page says of a tree. That it has all its pages shows without their numbers: nodes leave no gap.
 */
struct mr_tree {
    uint64_t root; /* UINT64_MAX: there are no pages */
    uint64_t depth;
    uint64_t lists_pages;   /* whether keys are numbers and values are lists of free pages */
    uint64_t branches_only; /* whether leaves are counted and not looked at: there are too many */
};

/* A branch on the way to where a walk is; keys are offsets in the file, 0 for none. */
struct mr_tree_level {
    uint64_t page;
    uint64_t next;
    uint64_t low;
    uint64_t high;
};

/* A walk through a tree; all zero at its beginning. */
struct mr_tree_walk {
    uint64_t begun;
    uint64_t levels; /* 0, once it has begun: it has come to the end */
    uint64_t wrong;  /* the page that a failed call stopped at */
    struct mr_tree_level level[32];
};

/* Checks the next `budget` pages of a tree, those of large values not counted, in a file of `length` bytes in
 * pages of `size`, of which those up to `last` are in use. `seen` has a bit for each of these, set by this
 * and by all walks before: no page may serve twice. Whatever the bytes are, nothing outside of them is read.
 * Errors: MR_RANGE, MR_TWICE a page that cannot be there; MR_MAGIC, MR_RESERVED one that is none of the tree;
 * MR_LENGTH, MR_GAP nodes that do not fill it; MR_ORDER keys. */
int mr_tree_check(const uint8_t *data, uint64_t length, uint64_t size, uint64_t last,
                  const struct mr_tree *tree, uint8_t *seen, struct mr_tree_walk *walk, uint64_t budget);

/* cffi: end */

#endif /* MR_TREE_H */
