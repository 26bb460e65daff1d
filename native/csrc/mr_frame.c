#include "mr_frame.h"

#include <string.h>

#include "mr_crc32c.h"

enum {
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_FLAGS = 6,
    AT_LENGTH = 8,
    AT_PAYLOAD_CRC = 12,
    AT_RESERVED = 16,
    AT_HEADER_CRC = 20,
};

_Static_assert(AT_HEADER_CRC + 4 == MR_FRAME_HEADER, "the header ends with its own checksum");

static const uint8_t MAGIC[4] = {'M', 'R', 'F', '1'};

int mr_frame_seal(uint64_t kind, uint64_t length, uint32_t payload_crc, uint8_t *target) {
    if (length > MR_FRAME_PAYLOAD_MAX) {
        return MR_TOO_LARGE;
    }
    if (kind == 0 || kind > UINT8_MAX) {
        return MR_RANGE;
    }
    memset(target, 0, MR_FRAME_HEADER);
    memcpy(target, MAGIC, sizeof(MAGIC));
    target[AT_VERSION] = MR_FRAME_VERSION;
    target[AT_KIND] = (uint8_t)kind;
    mr_put_u32le(target + AT_LENGTH, (uint32_t)length);
    mr_put_u32le(target + AT_PAYLOAD_CRC, payload_crc);
    mr_put_u32le(target + AT_HEADER_CRC, mr_crc32c(0, target, AT_HEADER_CRC));
    return MR_OK;
}

static int check_fields(const uint8_t *data) {
    if (data[AT_VERSION] != MR_FRAME_VERSION) {
        return MR_VERSION;
    }
    if (data[AT_KIND] == 0 || data[AT_FLAGS] != 0 || data[AT_FLAGS + 1] != 0) {
        return MR_RESERVED;
    }
    if (mr_get_u32le(data + AT_RESERVED) != 0) {
        return MR_RESERVED;
    }
    return mr_get_u32le(data + AT_LENGTH) <= MR_FRAME_PAYLOAD_MAX ? MR_OK : MR_TOO_LARGE;
}

int mr_frame_open(const uint8_t *data, uint64_t available, struct mr_frame *frame) {
    if (available < MR_FRAME_HEADER) {
        return MR_SHORT;
    }
    if (memcmp(data, MAGIC, sizeof(MAGIC)) != 0) {
        return MR_MAGIC;
    }
    if (mr_get_u32le(data + AT_HEADER_CRC) != mr_crc32c(0, data, AT_HEADER_CRC)) {
        return MR_CHECKSUM;
    }
    int status = check_fields(data);
    if (status != MR_OK) {
        return status;
    }
    frame->kind = data[AT_KIND];
    frame->length = mr_get_u32le(data + AT_LENGTH);
    frame->payload_crc = mr_get_u32le(data + AT_PAYLOAD_CRC);
    return MR_OK;
}
