/* A batch cut into values: each is what a plain reading of the format makes of it, and nothing else is
 * written.
 *
 * Input: sequence number, run, chain, bytes of a full value, least bytes of the last one, how many bytes of
 * room too few or too many there are, then the batch. */
#include "fuzz.h"

#include "mr_chunks.h"
#include "mr_crc32c.h"

static void check_value(const uint8_t *value, const struct mr_cut *cut, uint32_t number, uint32_t count,
                        const uint8_t *body, uint32_t length) {
    uint64_t seq = mr_get_u64le(value + 8);
    const uint32_t wanted[] = {cut->run, number, count, length, cut->chain};
    REQUIRE(memcmp(value, "mr-log\r\n", 8) == 0 && seq == cut->seq);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        REQUIRE(mr_get_u32le(value + 16 + 4 * i) == wanted[i]);
    }
    uint32_t checksum = mr_crc32c(mr_crc32c(0, value, 36), body, length);
    REQUIRE(mr_get_u32le(value + 36) == checksum);
    REQUIRE(length == 0 || memcmp(value + MR_CHUNK_HEADER, body, length) == 0);
}

static void check(const uint8_t *batch, uint64_t length, const struct mr_cut *cut, uint32_t count,
                  const uint8_t *values, uint64_t bytes) {
    uint64_t at = 0;
    for (uint32_t number = 0; number < count; number++) {
        uint64_t taken = fuzz_least(length - at, cut->full - MR_CHUNK_HEADER);
        uint64_t begin = (uint64_t)number * cut->full;
        check_value(values + begin, cut, number, count, batch + at, (uint32_t)taken);
        at += taken;
        for (uint64_t i = begin + MR_CHUNK_HEADER + taken; number == count - 1 && i < bytes; i++) {
            REQUIRE(values[i] == 0);
        }
    }
    REQUIRE(at == length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    struct mr_cut cut = {.seq = fuzz_take(&input, 6)};
    cut.run = (uint32_t)fuzz_take(&input, 2);
    cut.chain = (uint32_t)fuzz_take(&input, 4);
    cut.full = (uint32_t)fuzz_take(&input, 1);
    cut.least = (uint32_t)fuzz_take(&input, 1);
    int64_t more = (int64_t)fuzz_take(&input, 1) - 3;
    fuzz_reset();
    const uint8_t *batch = fuzz_copy(input.data, input.size);
    uint64_t count = mr_chunks_count(input.size, &cut);
    if (count == 0) {
        uint8_t *nowhere = fuzz_block(8);
        REQUIRE(mr_chunks_cut(batch, input.size, &cut, nowhere, 8) == MR_RANGE && fuzz_untouched(nowhere, 8));
        return 0;
    }
    uint64_t bytes = mr_chunks_bytes(input.size, count, &cut);
    uint64_t room = more < 0 ? bytes - fuzz_least((uint64_t)-more, bytes) : bytes + (uint64_t)more;
    uint8_t *values = fuzz_block(room);
    int status = mr_chunks_cut(batch, input.size, &cut, values, room);
    if (room < bytes) {
        REQUIRE(status == MR_GROW && fuzz_untouched(values, room));
        return 0;
    }
    REQUIRE(status == MR_OK);
    check(batch, input.size, &cut, (uint32_t)count, values, bytes);
    fuzz_observe(values, bytes);
    return 0;
}
