/* mr_base: status codes, the assertion that NDEBUG does not remove, and byte helpers. */
#ifndef MR_BASE_H
#define MR_BASE_H

#include <stddef.h>
#include <stdint.h>

#endif /* MR_BASE_H */
