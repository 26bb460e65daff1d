#include "mr_crc32c.h"

/* The instruction, by compiler and processor, and the attribute that lets one function use it although the
 * rest is compiled for processors without. */
#if defined(__x86_64__)
#include <cpuid.h>
#include <nmmintrin.h>
#define MR_STEP_64(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define MR_STEP_8(crc, byte) (_mm_crc32_u8((crc), (byte)))
#if defined(__clang__) && __clang_major__ >= 14
#define MR_INSTRUCTION __attribute__((target("sse4.2,crc32")))
#else
#define MR_INSTRUCTION __attribute__((target("sse4.2")))
#endif
#elif defined(__aarch64__) && defined(__clang__)
#define MR_STEP_64(crc, word) (__builtin_arm_crc32cd((crc), (word)))
#define MR_STEP_8(crc, byte) (__builtin_arm_crc32cb((crc), (byte)))
#define MR_INSTRUCTION __attribute__((target("crc")))
#elif defined(__aarch64__)
#define MR_STEP_64(crc, word) (__builtin_aarch64_crc32cx((crc), (word)))
#define MR_STEP_8(crc, byte) (__builtin_aarch64_crc32cb((crc), (byte)))
#define MR_INSTRUCTION __attribute__((target("+crc")))
#endif

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

typedef uint32_t (*crc_function)(uint32_t crc, const uint8_t *data, uint64_t length);

static const uint32_t POLYNOMIAL = 0x82F63B78u;

static uint32_t tables[8][256]; /* tables[k][b]: the effect of byte b when k more bytes follow it */
static crc_function chosen;     /* never null after the library is loaded */

/* Eight bytes a round, one table for each of them ("slicing by 8"). */
static uint32_t by_tables(uint32_t crc, const uint8_t *data, uint64_t length) {
    while (length >= 8) {
        uint32_t low = mr_get_u32le(data) ^ crc;
        uint32_t high = mr_get_u32le(data + 4);
        crc = tables[7][low & 0xFF] ^ tables[6][(low >> 8) & 0xFF] ^ tables[5][(low >> 16) & 0xFF] ^
              tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][(high >> 8) & 0xFF] ^
              tables[1][(high >> 16) & 0xFF] ^ tables[0][high >> 24];
        data += 8;
        length -= 8;
    }
    while (length > 0) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *data) & 0xFF];
        data++;
        length--;
    }
    return crc;
}

#if defined(MR_INSTRUCTION)
MR_INSTRUCTION static uint32_t by_instruction(uint32_t crc, const uint8_t *data, uint64_t length) {
    while (length >= 8) {
        crc = MR_STEP_64(crc, mr_get_u64le(data));
        data += 8;
        length -= 8;
    }
    while (length > 0) {
        crc = MR_STEP_8(crc, *data);
        data++;
        length--;
    }
    return crc;
}

static int has_instruction(void) {
#if defined(__x86_64__)
    unsigned int eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_SSE4_2) != 0;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; /* HWCAP_CRC32 */
#else
    return 1; /* every Apple processor of this architecture has it */
#endif
}
#endif

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1u)));
        }
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t shorter = tables[k - 1][byte];
            tables[k][byte] = (shorter >> 8) ^ tables[0][shorter & 0xFF];
        }
    }
}

/* The loader runs this before anybody can call in, so that no thread can ever see half of it. */
__attribute__((constructor)) static void prepare(void) {
    fill_tables();
    chosen = by_tables;
#if defined(MR_INSTRUCTION)
    if (has_instruction()) {
        chosen = by_instruction;
    }
#endif
}

uint32_t mr_crc32c(uint32_t seed, const uint8_t *data, uint64_t length) {
    return ~chosen(~seed, data, length);
}

uint32_t mr_crc32c_portable(uint32_t seed, const uint8_t *data, uint64_t length) {
    return ~by_tables(~seed, data, length);
}

int mr_crc32c_accelerated(void) {
    return chosen != by_tables;
}
