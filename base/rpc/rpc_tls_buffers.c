// rpc_tls_buffers.c: what OpenSSL keeps for a connection that waits. gRPC makes its connections
// itself and has no setting for this; OpenSSL calls whoever registered extra data for each one it
// makes.

#include <assert.h>
#include <openssl/ssl.h>

#include "base/rpc/rpc_internal.h"

static void on_connection(void *connection, void *data, CRYPTO_EX_DATA *all, int index, long number,
                          void *context) {
    (void)data;
    (void)all;
    (void)index;
    (void)number;
    (void)context;
    // 33 KB each otherwise, for a record that may come and one that may go.
    SSL_set_mode(connection, SSL_MODE_RELEASE_BUFFERS);
    // Nobody resumes sessions: an agent connects once and stays.
    (void)SSL_set_num_tickets(connection, 0);
}

void rpc_spare_tls_buffers(void) {
    static bool is_done;
    if (is_done) return;
    int index = SSL_get_ex_new_index(0, NULL, on_connection, NULL, NULL);
    assert(index >= 0);
    is_done = true;
}
