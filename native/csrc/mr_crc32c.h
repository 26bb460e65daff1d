/* mr_crc32c: the one checksum of multiraft (CRC-32C, Castagnoli). */
#ifndef MR_CRC32C_H
#define MR_CRC32C_H

#include "mr_base.h"

/* cffi: begin */
uint32_t mr_crc32c(uint32_t seed, const uint8_t *data, size_t length);
/* cffi: end */

#endif /* MR_CRC32C_H */
