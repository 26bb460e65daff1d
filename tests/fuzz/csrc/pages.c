/* Finding a page by what it begins with: the first one that has it, as a plain search finds it.
 *
 * Input: the size of a page, where in it to look, how many bytes are wanted, from which page on, the wanted
 * bytes, then the pages. */
#include "fuzz.h"

#include "mr_pages.h"

static uint64_t plain_find(const uint8_t *data, uint64_t length, uint64_t size, uint64_t at,
                           const uint8_t *wanted, uint64_t wanted_length, uint64_t page) {
    uint64_t pages = length / size;
    while (page < pages && memcmp(data + page * size + at, wanted, wanted_length) != 0) {
        page++;
    }
    return page < pages ? page : pages;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint64_t page_size = 1 + fuzz_take(&input, 1) % 24;
    uint64_t at = fuzz_take(&input, 1) % page_size;
    uint64_t wanted_length = 1 + fuzz_take(&input, 1) % (page_size - at);
    uint64_t page = fuzz_take(&input, 1) % 32;
    fuzz_reset();
    wanted_length = fuzz_least(wanted_length, input.size);
    const uint8_t *wanted = fuzz_copy(input.data, wanted_length);
    input.data += wanted_length;
    input.size -= wanted_length;
    if (wanted_length == 0) {
        return 0;
    }
    const uint8_t *pages = fuzz_copy(input.data, input.size);
    mr_pages_will_need(pages, input.size);
    mr_pages_let_go(0, 0); /* of a heap it would take what is in it */
    uint64_t found = mr_pages_find(pages, input.size, page_size, at, wanted, wanted_length, page);
    REQUIRE(found == plain_find(pages, input.size, page_size, at, wanted, wanted_length, page));
    fuzz_observe(&found, sizeof(found));
    return 0;
}
