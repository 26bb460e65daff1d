/* What all fuzz targets share: memory whose borders are watched, checks, and a sink for what was decoded.
 *
 * A target is one file with LLVMFuzzerTestOneInput. libFuzzer drives it where clang is; elsewhere driver.c
 * does. fuzz.c itself is built without sanitizers: it is run for every input, and is not what is searched.
 * Nothing here is linked into the product. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mr_base.h"
#include "mr_entries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* What a decoder hands out must be there, all of it, and no optimiser may leave the decoder's work out. */
void fuzz_observe(const void *data, size_t size);

/* ---- memory: as exact as malloc, at a tenth of the price ---- */

/* Takes back all blocks; every input begins with it. */
void fuzz_reset(void);

/* A block of exactly `size` bytes, filled with FUZZ_UNTOUCHED. The bytes before and behind it are poisoned.
 */
void *fuzz_block(size_t size);

/* A block with these bytes. */
uint8_t *fuzz_copy(const void *data, size_t size);

enum { FUZZ_UNTOUCHED = 0xA5 };

/* Whether nobody has written to the block. */
int fuzz_untouched(const void *block, size_t size);

/* ---- inputs: numbers are taken from the front, what is missing reads as zero ---- */

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint64_t fuzz_take(struct fuzz_input *input, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && input->size > 0; i++) {
        value |= (uint64_t)*input->data << (8 * i);
        input->data++;
        input->size--;
    }
    return value;
}

static inline uint64_t fuzz_least(uint64_t one, uint64_t other) {
    return one < other ? one : other;
}

/* ---- entries ---- */

/* Columns of exactly so much room. */
struct mr_entry_columns fuzz_entry_columns(uint64_t room);

/* Whether no column was written to. */
int fuzz_entry_columns_untouched(const struct mr_entry_columns *columns);

/* Makes the lengths and checksums of what claims to be a run right, as far as it lies within `length`: no
 * fuzzer finds the checksum of an entry by chance, and behind it most of the decoder begins. */
void fuzz_mend_run(uint8_t *run, uint64_t length);

/* Checks that rows `first` to `first + count` are the run that fills `data`: encoded again they are it. */
void fuzz_require_run(const uint8_t *data, uint64_t length, uint64_t base, const uint8_t *source,
                      const struct mr_entry_columns *columns, uint64_t first, uint64_t count);

#endif /* FUZZ_H */
