// erring.c: put before the decoder of a collector, it turns a byte of the first text that is
// decoded, as failing memory would. That text is one that the writer compares before it writes.

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tokens_decoder;
struct tokens_row;

bool __real_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end);
bool __wrap_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end);

bool __wrap_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end) {
    static atomic_bool has_erred;
    uint8_t *begin = *output;
    bool is_good = __real_tokens_decoder_next(decoder, row, output, output_end);
    if (is_good && !atomic_exchange(&has_erred, true)) {
        assert(*output > begin);
        *begin ^= 1;
    }
    return is_good;
}
