/* The trees of an LMDB file: whatever its bytes are, nothing outside of them is read, a walk ends, and one in
 * small steps finds what one in a single step does.
 *
 * Input: depth, whether its pages are lists of free ones, whether leaves are left out, root, then the file in
 * pages of 512 bytes. */
#include "fuzz.h"

#include "mr_tree.h"

enum { PAGE = 512, STEPS = 4096 };

static int walked(const uint8_t *file, uint64_t size, const struct mr_tree *tree, uint64_t budget,
                  struct mr_tree_walk *walk) {
    uint64_t last = size / PAGE;
    uint8_t *seen = fuzz_block(last / 8 + 1);
    memset(seen, 0, last / 8 + 1);
    *walk = (struct mr_tree_walk){0};
    int status = MR_OK;
    for (uint64_t step = 0; status == MR_OK && (!walk->begun || walk->levels > 0); step++) {
        REQUIRE(step < STEPS);
        status = mr_tree_check(file, size, PAGE, last, tree, seen, walk, budget);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    fuzz_reset();
    struct mr_tree tree = {.depth = fuzz_take(&input, 1) % 40,
                           .lists_pages = fuzz_take(&input, 1) & 1,
                           .branches_only = fuzz_take(&input, 1) & 1,
                           .root = fuzz_take(&input, 1)};
    if (tree.root == 255) {
        tree.root = UINT64_MAX;
    }
    const uint8_t *file = fuzz_copy(input.data, input.size);
    struct mr_tree_walk whole;
    struct mr_tree_walk steps;
    int status = walked(file, input.size, &tree, UINT64_MAX, &whole);
    REQUIRE(walked(file, input.size, &tree, 1, &steps) == status);
    REQUIRE(status == MR_OK || whole.wrong == steps.wrong);
    fuzz_observe(&status, sizeof(status));
    return 0;
}
