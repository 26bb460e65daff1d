/* mr_pages: finding values in the pages of a file whose tree does not lead to them. */
#ifndef MR_PAGES_H
#define MR_PAGES_H

#include "mr_base.h"

/* cffi: begin */

/* The first page from number `page` on that has the bytes `wanted` at `at`; the number of whole pages if
 * there is none. `data` are `length` bytes of pages of `size` bytes each; at + wanted_length <= size. */
uint64_t mr_pages_find(const uint8_t *data, uint64_t length, uint64_t size, uint64_t at,
                       const uint8_t *wanted, uint64_t wanted_length, uint64_t page);

/* Asks the system to bring these bytes of a mapped file into memory, and does not wait for it. A hint. */
void mr_pages_will_need(const uint8_t *data, uint64_t length);

/* Takes the pages at `address` out of this process's memory; they come back from the file when they are
 * touched. `address` begins a page of a shared map of a file that nobody unmaps meanwhile. A hint. */
void mr_pages_let_go(uint64_t address, uint64_t length);

/* cffi: end */

#endif /* MR_PAGES_H */
