/* mr_frame: the header that stands before everything that nodes send to each other. */
#ifndef MR_FRAME_H
#define MR_FRAME_H

#include "mr_base.h"

/* A frame header, little-endian:
 *
 *   offset  bytes
 *        0      4  magic, "MRF1"
 *        4      1  version, MR_FRAME_VERSION
 *        5      1  kind, 1..255, the transport's business
 *        6      2  flags, 0
 *        8      4  length of the payload that follows the header
 *       12      4  crc32c of the payload
 *       16      4  reserved, 0
 *       20      4  crc32c of the 20 bytes before */

/* cffi: begin */

#define MR_FRAME_HEADER 24
#define MR_FRAME_VERSION 1
#define MR_FRAME_PAYLOAD_MAX 5242880

/* What stands in the header of a frame. */
struct mr_frame {
    uint64_t kind;
    uint64_t length;      /* of the payload */
    uint64_t payload_crc; /* to be compared with mr_crc32c of the payload when it is there */
};

/* Writes a header into `target`, which has room for MR_FRAME_HEADER bytes.
 * Errors: MR_TOO_LARGE a payload, MR_RANGE a kind outside 1..255; nothing is written then. */
int mr_frame_seal(uint64_t kind, uint64_t length, uint32_t payload_crc, uint8_t *target);

/* Reads the header at `data`, of which `available` bytes are there.
 * Errors: MR_SHORT, MR_MAGIC, MR_CHECKSUM, MR_VERSION, MR_RESERVED, MR_TOO_LARGE; `frame` is untouched
 * then. The version is judged after the checksum: a damaged header is damage, not another version. */
int mr_frame_open(const uint8_t *data, uint64_t available, struct mr_frame *frame);

/* cffi: end */

#endif /* MR_FRAME_H */
