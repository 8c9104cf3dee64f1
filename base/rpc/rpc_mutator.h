// rpc_mutator.h: the members of gRPC's socket mutator, of which its public headers know the name.
//
// They are those of src/core/lib/iomgr/socket_mutator.h in gRPC 1.51.1 (grpc_fd_usage,
// grpc_mutate_socket_info, grpc_socket_mutator_vtable and grpc_socket_mutator there), and no other
// version is given one: rpc_handshake_argument looks at the version first.

#pragma once

#include <grpc/grpc.h>
#include <grpc/support/sync.h>
#include <stdbool.h>

// How grpc_version_string() begins in gRPC 1.51: it tells the core's version.
#define RPC_MUTATOR_VERSION "29.0."

enum rpc_socket_use { RPC_SOCKET_CLIENT, RPC_SOCKET_LISTENER, RPC_SOCKET_ACCEPTED };

struct rpc_socket_facts {
    int descriptor;
    enum rpc_socket_use use;
};

struct rpc_mutator_functions {
    bool (*change)(int descriptor, grpc_socket_mutator *mutator);
    int (*compare)(grpc_socket_mutator *one, grpc_socket_mutator *other);
    void (*destroy)(grpc_socket_mutator *mutator);
    bool (*change_any)(const struct rpc_socket_facts *socket, grpc_socket_mutator *mutator);
};

struct grpc_socket_mutator {
    const struct rpc_mutator_functions *functions;
    gpr_refcount references;
};
