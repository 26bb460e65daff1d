#include "mr_chunks.h"

#include <string.h>

#include "mr_crc32c.h"

enum { CHECKSUM_AT = MR_CHUNK_HEADER - 4 };

static const uint8_t MAGIC[8] = "mr-log\r\n";

uint64_t mr_chunks_count(uint64_t length, const struct mr_cut *cut) {
    if (cut->full <= MR_CHUNK_HEADER || cut->least > cut->full) {
        return 0;
    }
    uint64_t body = cut->full - MR_CHUNK_HEADER;
    uint64_t count = length / body + (length % body != 0);
    count = count == 0 ? 1 : count;
    return count < MR_CHUNKS_MAX ? count : 0;
}

uint64_t mr_chunks_bytes(uint64_t length, uint64_t count, const struct mr_cut *cut) {
    uint64_t before = (count - 1) * (cut->full - MR_CHUNK_HEADER);
    uint64_t last = MR_CHUNK_HEADER + length - before;
    return (count - 1) * cut->full + (last < cut->least ? cut->least : last);
}

/* Writes one value; returns its bytes without padding. */
static void put_value(const uint8_t *body, uint32_t length, const struct mr_cut *cut, uint32_t number,
                      uint32_t count, uint8_t *target) {
    memcpy(target, MAGIC, sizeof(MAGIC));
    mr_put_u64le(target + 8, cut->seq);
    mr_put_u32le(target + 16, cut->run);
    mr_put_u32le(target + 20, number);
    mr_put_u32le(target + 24, count);
    mr_put_u32le(target + 28, length);
    mr_put_u32le(target + 32, cut->chain);
    if (length > 0) {
        memcpy(target + MR_CHUNK_HEADER, body, length);
    }
    uint32_t checksum = mr_crc32c(0, target, CHECKSUM_AT);
    checksum = mr_crc32c(checksum, target + MR_CHUNK_HEADER, length); /* just copied: it is at hand */
    mr_put_u32le(target + CHECKSUM_AT, checksum);
}

int mr_chunks_cut(const uint8_t *batch, uint64_t length, const struct mr_cut *cut, uint8_t *target,
                  uint64_t room) {
    uint64_t count = mr_chunks_count(length, cut);
    if (count == 0) {
        return MR_RANGE;
    }
    uint64_t bytes = mr_chunks_bytes(length, count, cut);
    if (room < bytes) {
        return MR_GROW;
    }
    uint64_t body = cut->full - MR_CHUNK_HEADER;
    for (uint64_t number = 0; number < count; number++) {
        uint64_t at = number * body;
        uint64_t taken = length - at < body ? length - at : body;
        uint8_t *value = target + number * cut->full;
        put_value(batch + at, (uint32_t)taken, cut, (uint32_t)number, (uint32_t)count, value);
        uint64_t end = number * cut->full + MR_CHUNK_HEADER + taken;
        if (number == count - 1) {
            memset(target + end, 0, bytes - end);
        }
    }
    return MR_OK;
}
