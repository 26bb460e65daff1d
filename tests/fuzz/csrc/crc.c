/* Checksums: the instruction, the tables and the definition agree, on any bytes at any alignment, cut
 * anywhere.
 *
 * Input: seed 4 | alignment 1 | cut 2, then the bytes. */
#include "fuzz.h"
#include "mr_crc32c.h"

static uint32_t by_definition(uint32_t seed, const uint8_t *data, uint64_t length) {
    uint32_t crc = ~seed;
    for (uint64_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
        }
    }
    return ~crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint32_t seed = (uint32_t)fuzz_take(&input, 4);
    uint64_t shift = fuzz_take(&input, 1) % 16;
    uint64_t cut = fuzz_take(&input, 2);
    cut %= input.size + 1;
    fuzz_reset();
    uint8_t *bytes = (uint8_t *)fuzz_block(input.size + shift) + shift;
    if (input.size > 0) {
        memcpy(bytes, input.data, input.size);
    }
    uint32_t crc = mr_crc32c(seed, bytes, input.size);
    uint32_t front = mr_crc32c(seed, bytes, cut);
    REQUIRE(crc == mr_crc32c_portable(seed, bytes, input.size));
    REQUIRE(crc == by_definition(seed, bytes, input.size));
    REQUIRE(crc == mr_crc32c(front, bytes + cut, input.size - cut));
    fuzz_observe(&crc, sizeof(crc));
    return 0;
}
