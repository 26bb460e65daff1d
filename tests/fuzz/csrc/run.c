/* Encoded runs: any bytes are entries or refused; entries are those bytes again when they are encoded.
 *
 * Input: a byte whose bit 0 asks for right lengths and checksums, then the run. */
#include "fuzz.h"

static void require_same(const struct mr_run *one, const struct mr_run *other) {
    REQUIRE(one->first_index == other->first_index && one->count == other->count);
    REQUIRE(one->last_term == other->last_term && one->damaged_index == 0 && other->damaged_index == 0);
}

static void require_no_room(const uint8_t *run, uint64_t size, uint64_t count) {
    struct mr_run found = {0};
    struct mr_entry_columns columns = fuzz_entry_columns(count - 1);
    REQUIRE(mr_run_decode(run, size, &found, &columns) == MR_GROW);
    REQUIRE(fuzz_entry_columns_untouched(&columns));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint64_t mode = fuzz_take(&input, 1);
    fuzz_reset();
    uint8_t *run = fuzz_copy(input.data, input.size);
    if (mode & 1) {
        fuzz_mend_run(run, input.size);
    }
    struct mr_run opened = {0};
    struct mr_run verified = {0};
    struct mr_run decoded = {0};
    struct mr_entry_columns columns = fuzz_entry_columns(input.size / MR_RUN_ROW);
    int open = mr_run_open(run, input.size, &opened);
    int verify = mr_run_verify(run, input.size, &verified);
    int decode = mr_run_decode(run, input.size, &decoded, &columns);
    REQUIRE(decode == verify && decode != MR_GROW && decode != MR_BUG);
    REQUIRE(open == MR_OK || verify == open);
    if (decode != MR_OK) {
        REQUIRE(fuzz_entry_columns_untouched(&columns));
        REQUIRE(decoded.damaged_index == verified.damaged_index && decoded.count == 0);
        return 0;
    }
    require_same(&opened, &decoded);
    require_same(&verified, &decoded);
    REQUIRE(decoded.count <= columns.room && columns.index[0] == decoded.first_index);
    REQUIRE(columns.term[decoded.count - 1] == decoded.last_term);
    fuzz_require_run(run, input.size, 0, run, &columns, 0, decoded.count);
    require_no_room(run, input.size, decoded.count);
    return 0;
}
