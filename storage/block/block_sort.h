// block_sort.h: sorts numbers in time proportional to their count. Internal.

#pragma once

#include <stdint.h>

// Sorts ascending. `spare` has room for as many; its content is lost.
void block_sort(uint64_t *numbers, uint64_t *spare, uint32_t count);
