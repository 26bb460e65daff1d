#include "mr_crc32c.h"

uint32_t mr_crc32c(uint32_t seed, const uint8_t *data, size_t length) {
    uint32_t crc = ~seed;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}
