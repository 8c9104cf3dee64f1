#include "storage/block/block_sort.h"

#include <string.h>

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, FEW = 24 };

static void sort_few(uint64_t *numbers, uint32_t count) {
    for (uint32_t index = 1; index < count; index++) {
        uint64_t number = numbers[index];
        uint32_t place = index;
        for (; place > 0 && numbers[place - 1] > number; place--) {
            numbers[place] = numbers[place - 1];
        }
        numbers[place] = number;
    }
}

void block_sort(uint64_t *numbers, uint64_t *spare, uint32_t count) {
    if (count <= FEW) {
        sort_few(numbers, count);
        return;
    }
    uint64_t differing = 0;
    for (uint32_t index = 1; index < count; index++) differing |= numbers[index] ^ numbers[0];
    uint64_t *from = numbers;
    uint64_t *to = spare;
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        if ((differing >> shift & (DIGITS - 1)) == 0) continue;
        uint32_t begins[DIGITS + 1] = {0};
        for (uint32_t index = 0; index < count; index++) {
            begins[(from[index] >> shift & (DIGITS - 1)) + 1]++;
        }
        for (uint32_t digit = 1; digit < DIGITS; digit++) begins[digit] += begins[digit - 1];
        for (uint32_t index = 0; index < count; index++) {
            to[begins[from[index] >> shift & (DIGITS - 1)]++] = from[index];
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != numbers) memcpy(numbers, from, count * sizeof *numbers);
}
