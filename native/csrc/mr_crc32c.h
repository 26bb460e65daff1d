/* mr_crc32c: the one checksum of multiraft, CRC-32C (Castagnoli, reflected polynomial 0x82F63B78). */
#ifndef MR_CRC32C_H
#define MR_CRC32C_H

#include "mr_base.h"

/* cffi: begin */

/* The checksum of `length` bytes at `data`. `seed` is 0, or the checksum of what stands before them:
 * crc(a + b) == crc(b, seed = crc(a)). Uses the processor's instruction where there is one. */
uint32_t mr_crc32c(uint32_t seed, const uint8_t *data, uint64_t length);

/* The same by tables alone: what processors without the instruction run, and what tests compare with. */
uint32_t mr_crc32c_portable(uint32_t seed, const uint8_t *data, uint64_t length);

/* 1 if mr_crc32c uses the processor's instruction, else 0. */
int mr_crc32c_accelerated(void);

/* cffi: end */

#endif /* MR_CRC32C_H */
