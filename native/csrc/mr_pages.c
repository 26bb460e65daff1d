#include "mr_pages.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t mr_pages_find(const uint8_t *data, uint64_t length, uint64_t size, uint64_t at,
                       const uint8_t *wanted, uint64_t wanted_length, uint64_t page) {
    uint64_t pages = size == 0 ? 0 : length / size;
    if (at + wanted_length > size) {
        return pages;
    }
    while (page < pages && memcmp(data + page * size + at, wanted, wanted_length) != 0) {
        page++;
    }
    return page < pages ? page : pages;
}

void mr_pages_will_need(const uint8_t *data, uint64_t length) {
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)data & ~(size - 1);
    uintptr_t end = (uintptr_t)data + length;
    (void)madvise((void *)start, end - start, MADV_WILLNEED);
}

void mr_pages_let_go(uint64_t address, uint64_t length) {
    (void)madvise((void *)(uintptr_t)address, length, MADV_DONTNEED);
}
