/* Frame headers: any bytes are read or refused, and what was read is written the same way again.
 *
 * Input: a byte whose bit 0 asks for right magic and checksum and whose bit 1 turns the input into numbers to
 * seal; then the header, or kind 8 | length 8 | payload checksum 4. */
#include "fuzz.h"
#include "mr_crc32c.h"
#include "mr_frame.h"

enum { MEND = 1, SEAL = 2 };

static void open_any(uint8_t *header, uint64_t size) {
    struct mr_frame *frame = fuzz_block(sizeof(*frame));
    int status = mr_frame_open(header, size, frame);
    if (status != MR_OK) {
        REQUIRE(status != MR_GROW && status != MR_BUG);
        REQUIRE((status == MR_SHORT) == (size < MR_FRAME_HEADER));
        REQUIRE(fuzz_untouched(frame, sizeof(*frame)));
        return;
    }
    uint8_t *sealed = fuzz_block(MR_FRAME_HEADER);
    REQUIRE(size >= MR_FRAME_HEADER);
    REQUIRE(frame->kind >= 1 && frame->kind <= UINT8_MAX && frame->length <= MR_FRAME_PAYLOAD_MAX);
    REQUIRE(frame->payload_crc <= UINT32_MAX);
    REQUIRE(mr_frame_seal(frame->kind, frame->length, (uint32_t)frame->payload_crc, sealed) == MR_OK);
    REQUIRE(memcmp(sealed, header, MR_FRAME_HEADER) == 0);
    fuzz_observe(frame, sizeof(*frame));
}

static void seal_any(struct fuzz_input input) {
    uint64_t kind = fuzz_take(&input, 8);
    uint64_t length = fuzz_take(&input, 8);
    uint32_t crc = (uint32_t)fuzz_take(&input, 4);
    uint8_t *sealed = fuzz_block(MR_FRAME_HEADER);
    struct mr_frame *frame = fuzz_block(sizeof(*frame));
    int status = mr_frame_seal(kind, length, crc, sealed);
    if (status != MR_OK) {
        REQUIRE(status == (length > MR_FRAME_PAYLOAD_MAX ? MR_TOO_LARGE : MR_RANGE));
        REQUIRE(fuzz_untouched(sealed, MR_FRAME_HEADER));
        return;
    }
    REQUIRE(mr_frame_open(sealed, MR_FRAME_HEADER, frame) == MR_OK);
    REQUIRE(frame->kind == kind && frame->length == length && frame->payload_crc == crc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint64_t mode = fuzz_take(&input, 1);
    fuzz_reset();
    if (mode & SEAL) {
        seal_any(input);
        return 0;
    }
    uint8_t *header = fuzz_copy(input.data, input.size);
    if ((mode & MEND) && input.size >= MR_FRAME_HEADER) {
        memcpy(header, "MRF1", 4);
        mr_put_u32le(header + 20, mr_crc32c(0, header, 20));
    }
    open_any(header, input.size);
    return 0;
}
