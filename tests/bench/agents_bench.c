// agents_bench: many agents at once, each with a certificate and a stream of its own, in one
// process.
//
//   agents_bench --address=HOST:PORT --folder=DIR [--rate=10] [--seconds=60] [--threads=2]
//                [--regions=1] [--backlog=0] [--answers=FILE]
//
// DIR holds a bundle of `orgtrail enroll` for each agent, in a folder named by its account. Each
// agent behaves as the real one does: an event is due every 1/rate seconds, what is due is sent at
// once unless a batch is under way, and after a lost stream it connects again with the same
// back-off and goes on where the collector says. Events are made from agent and number, so none
// need be kept. With --backlog each agent begins with so many that are due, as after an outage;
// they come in about in order of their time, since none runs far before another. --answers notes
// each answer: when it came, by the monotonic clock, and after how long, in milliseconds.
//
// Prints a line a second, for people and for tests/bench/agents.py:
//   second 12 streaming 1000 sent 118230 acknowledged 117950 ended 0 latency_ms 61 worst_ms 140

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/random.h"
#include "base/rpc/rpc.h"
#include "event/chain.h"
#include "proto/orgtrail.pb-c.h"

enum {
    AGENTS_MAX = 4096,
    THREADS_MAX = 16,
    BATCH_MAX = 500,
    RECORD_SIZE = 4096,
    PEM_SIZE = 16 * 1024,
    PATH_SIZE = 1024,
    ACCOUNT_SIZE = 256,
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 60000,
    PAUSE_MS = 5,
    AHEAD_MAX = 1000,  // events that an agent with a backlog may be before the slowest one
};

struct request {
    const char *address;
    const char *folder;
    uint32_t rate;  // events a second of each agent
    uint32_t seconds;
    uint32_t threads;
    uint32_t regions;  // that the events of an agent come from, in turn
    uint32_t backlog;  // events of each agent that are due at the start
    FILE *answers;     // NULL: not asked for
};

// Shared by the threads and whoever prints.
struct totals {
    atomic_ullong sent;
    atomic_ullong acknowledged;
    atomic_ullong ended;
    atomic_ullong latency_ms;  // sum since the last line
    atomic_ullong answers;     // of this many batches
    atomic_ullong worst_ms;
    atomic_uint streaming;
    atomic_bool is_over;
};

static const char *const REGIONS[] = {
    "eu-west-1",      "us-east-1",      "us-east-2",      "us-west-1",      "us-west-2",
    "eu-west-2",      "eu-west-3",      "eu-central-1",   "eu-north-1",     "sa-east-1",
    "ca-central-1",   "ap-south-1",     "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
    "ap-southeast-1", "ap-southeast-2",
};
enum { REGIONS_MAX = sizeof REGIONS / sizeof REGIONS[0] };

static struct request request = {.rate = 10, .seconds = 60, .threads = 2, .regions = 1};
static struct totals totals;
static int64_t began_ms;  // monotonic
static int64_t began_s;   // wall clock

struct agent {
    char account[ACCOUNT_SIZE];
    uint64_t index;
    struct buffer ca, certificate, key;
    struct rpc_client *client;
    struct rpc_stream *stream;
    bool is_streaming;
    bool is_open;               // an attempt or a stream
    uint64_t acknowledged;      // last number
    uint64_t under_way;         // last number of the batch sent; acknowledged if none is
    uint8_t chain[CHAIN_SIZE];  // after `acknowledged`
    int64_t sent_ms;
    int64_t retry_at_ms;
    int64_t backoff_ms;
    uint64_t random;
    uint64_t batch_size_max;  // bytes of records, as Welcome says
};

static int64_t now_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

// Prints the event of a number: about 1,300 bytes, a fifteenth of them random.
static size_t print_event(const struct agent *agent, uint64_t number, char text[RECORD_SIZE]) {
    uint64_t state = agent->index << 40 ^ number ^ (uint64_t)began_s << 16;
    uint64_t one = random_splitmix64(&state), two = random_splitmix64(&state);
    char time_text[TIME_TEXT_SIZE];
    time_print(began_s + ((int64_t)number - request.backlog) / request.rate, time_text);
    const char *account = agent->account;
    int size = snprintf(
        text, RECORD_SIZE,
        "{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"AssumedRole\",\"principalId\":"
        "\"AROAEXAMPLE%09" PRIu64
        ":session\",\"arn\":\"arn:aws:sts::%s:assumed-role/worker-%" PRIu64
        "/session\",\"accountId\":\"%s\",\"accessKeyId\":\"ASIAEXAMPLE%09" PRIu64
        "\",\"sessionContext\":{\"sessionIssuer\":{\"type\":\"Role\",\"principalId\":\"AROAEXAMPLE"
        "\",\"arn\":\"arn:aws:iam::%s:role/worker\",\"accountId\":\"%s\",\"userName\":\"worker\"},"
        "\"attributes\":{\"creationDate\":\"%s\",\"mfaAuthenticated\":\"false\"}}},\"eventTime\":"
        "\"%s\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"GetObject\",\"awsRegion\":"
        "\"%s\",\"sourceIPAddress\":\"10.0.%u.%u\",\"userAgent\":\"[aws-sdk-java/2.25.1 "
        "Linux/6.1 OpenJDK_64-Bit_Server_VM/21]\",\"requestParameters\":{\"bucketName\":\"data-%s"
        "\",\"Host\":\"data-%s.s3.eu-west-1.amazonaws.com\",\"key\":\"year=2026/part-%06" PRIu64
        ".parquet\"},\"responseElements\":null,\"additionalEventData\":{\"SignatureVersion\":"
        "\"SigV4\",\"CipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"bytesTransferredIn\":0,"
        "\"AuthenticationMethod\":\"AuthHeader\",\"bytesTransferredOut\":%" PRIu64
        "},\"requestID\":\"%016" PRIX64 "\",\"eventID\":\"%08" PRIx32
        "-%04x-4%03x-8%03x-%012" PRIx64
        "\",\"readOnly\":true,\"eventType\":\"AwsApiCall\",\"managementEvent\":false,"
        "\"recipientAccountId\":\"%s\",\"eventCategory\":\"Data\"}",
        one % 50, account, one % 50, account, two % 200, account, account, time_text, time_text,
        REGIONS[number % request.regions], (unsigned)(one >> 8 & 255), (unsigned)(one & 255),
        account, account, two % 100000, one % 4000000, one ^ two, (uint32_t)one,
        (unsigned)(one >> 32 & 0xffff), (unsigned)(one >> 48 & 0xfff),
        (unsigned)(two >> 48 & 0xfff), two & 0xffffffffffff, account);
    assert(size > 0 && size < RECORD_SIZE);
    return (size_t)size;
}

static bool send_message(struct agent *agent, const Orgtrail__V1__AgentMessage *message) {
    size_t size = orgtrail__v1__agent_message__get_packed_size(message);
    uint8_t *bytes = malloc(size);
    assert(bytes != NULL);
    orgtrail__v1__agent_message__pack(message, bytes);
    bool is_sent = rpc_stream_send(agent->stream, span_of(bytes, size));
    free(bytes);
    return is_sent;
}

static void say_hello(struct agent *agent) {
    uint8_t stream_id[16] = {'b', 'e', 'n', 'c', 'h'};
    // Another run is another spool, with other events.
    memcpy(stream_id + 5, &began_s, 3);
    memcpy(stream_id + 8, &agent->index, sizeof agent->index);
    Orgtrail__V1__Hello hello = ORGTRAIL__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.stream_id = (ProtobufCBinaryData){sizeof stream_id, stream_id};
    hello.first_seq = 1;
    hello.next_seq = agent->under_way + 1;
    hello.acked_seq = agent->acknowledged;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    (void)send_message(agent, &message);
}

static void on_connected(void *context, struct rpc_stream *stream) {
    struct agent *agent = context;
    agent->stream = stream;
    say_hello(agent);
}

// The collector holds everything up to the number: all that is under way, or a part of it.
static void take_acknowledged(struct agent *agent, uint64_t number) {
    if (number <= agent->acknowledged) return;
    assert(number <= agent->under_way);
    atomic_fetch_add(&totals.acknowledged, number - agent->acknowledged);
    while (agent->acknowledged < number) {
        char text[RECORD_SIZE];
        size_t size = print_event(agent, ++agent->acknowledged, text);
        chain_advance(agent->chain, false, span_of(text, size));
    }
    int64_t now = now_ms();
    uint64_t took_ms = (uint64_t)(now - agent->sent_ms);
    if (request.answers != NULL)
        fprintf(request.answers, "%" PRId64 " %" PRIu64 "\n", now, took_ms);
    atomic_fetch_add(&totals.latency_ms, took_ms);
    atomic_fetch_add(&totals.answers, 1);
    if (took_ms > atomic_load(&totals.worst_ms)) atomic_store(&totals.worst_ms, took_ms);
}

static void on_welcome(struct agent *agent, const Orgtrail__V1__Welcome *welcome) {
    assert(welcome->resume_seq > agent->acknowledged);
    take_acknowledged(agent, welcome->resume_seq - 1);
    agent->under_way = agent->acknowledged;
    agent->is_streaming = true;
    agent->batch_size_max = welcome->max_batch_bytes;
    agent->backoff_ms = BACKOFF_MIN_MS;
    atomic_fetch_add(&totals.streaming, 1);
}

static enum rpc_read on_message(void *context, struct span bytes) {
    struct agent *agent = context;
    Orgtrail__V1__CollectorMessage *message =
        orgtrail__v1__collector_message__unpack(NULL, bytes.size, bytes.bytes);
    assert(message != NULL);
    if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME) {
        on_welcome(agent, message->welcome);
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK) {
        take_acknowledged(agent, message->ack->durable_seq);
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN) {
        rpc_stream_close(agent->stream, FAULT_NONE, NULL);
    }
    orgtrail__v1__collector_message__free_unpacked(message, NULL);
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    (void)context;
}

static void on_closed(void *context, const struct fault *reason) {
    struct agent *agent = context;
    (void)reason;
    if (agent->is_streaming) atomic_fetch_sub(&totals.streaming, 1);
    atomic_fetch_add(&totals.ended, 1);
    agent->is_streaming = false;
    agent->is_open = false;
    agent->stream = NULL;
    // Half of it is chance, as in the agent.
    int64_t pause_ms = agent->backoff_ms / 2;
    pause_ms += (int64_t)(random_splitmix64(&agent->random) % (uint64_t)(pause_ms + 1));
    agent->retry_at_ms = now_ms() + pause_ms;
    agent->backoff_ms = 2 * agent->backoff_ms;
    if (agent->backoff_ms > BACKOFF_MAX_MS) agent->backoff_ms = BACKOFF_MAX_MS;
}

// Sends what is due, up to a batch, unless one is under way.
static void send_due(struct agent *agent, uint64_t limit) {
    static _Thread_local char texts[BATCH_MAX][RECORD_SIZE];
    if (agent->under_way != agent->acknowledged) return;
    uint64_t due = request.backlog + (uint64_t)(now_ms() - began_ms) * request.rate / 1000;
    if (due > limit) due = limit;
    // Agents are not in step with one another.
    if (due <= agent->acknowledged ||
        agent->index * 7919 % 1000 > (uint64_t)(now_ms() - began_ms)) {
        return;
    }
    uint64_t count = due - agent->acknowledged;
    if (count > BATCH_MAX) count = BATCH_MAX;
    Orgtrail__V1__Event events[BATCH_MAX], *pointers[BATCH_MAX];
    size_t batch_size = 0;
    for (uint64_t index = 0; index < count; index++) {
        size_t size = print_event(agent, agent->acknowledged + 1 + index, texts[index]);
        batch_size += size;
        if (index > 0 && batch_size > agent->batch_size_max) {
            count = index;
            break;
        }
        orgtrail__v1__event__init(&events[index]);
        events[index].record = (ProtobufCBinaryData){size, (uint8_t *)texts[index]};
        pointers[index] = &events[index];
    }
    Orgtrail__V1__EventBatch batch = ORGTRAIL__V1__EVENT_BATCH__INIT;
    batch.first_seq = agent->acknowledged + 1;
    batch.n_events = count;
    batch.events = pointers;
    batch.chain = (ProtobufCBinaryData){CHAIN_SIZE, agent->chain};
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_BATCH;
    message.batch = &batch;
    if (!send_message(agent, &message)) return;
    agent->under_way = agent->acknowledged + count;
    agent->sent_ms = now_ms();
    atomic_fetch_add(&totals.sent, count);
}

// --- one thread's agents

struct worker {
    pthread_t thread;
    struct agent *agents;
    size_t count;
};

static void *run_worker(void *argument) {
    struct worker *worker = argument;
    uint64_t slowest = 0;
    while (!atomic_load(&totals.is_over)) {
        uint64_t limit = slowest + AHEAD_MAX;
        slowest = UINT64_MAX - AHEAD_MAX;
        for (size_t index = 0; index < worker->count; index++) {
            struct agent *agent = &worker->agents[index];
            if (!agent->is_open && now_ms() >= agent->retry_at_ms) {
                agent->is_open = true;
                rpc_client_connect(agent->client);
            }
            if (agent->is_open) rpc_client_step(agent->client, 0);
            if (agent->is_streaming) send_due(agent, limit);
            if (agent->acknowledged < slowest) slowest = agent->acknowledged;
        }
        struct timespec pause = {0, PAUSE_MS * 1000000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

// --- start

static bool load_file(const char *account, const char *name, struct buffer *buffer,
                      struct fault *fault) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s/%s", request.folder, account, name);
    buffer_init(buffer, PEM_SIZE);
    return files_read_whole(files_system(), path, PEM_SIZE, buffer, fault);
}

static bool make_agent(struct agent *agent, size_t index, const char *account,
                       struct fault *fault) {
    static const struct rpc_client_callbacks callbacks = {on_connected, on_message, on_sent,
                                                          on_closed};
    agent->index = index;
    agent->random = index;
    agent->backoff_ms = BACKOFF_MIN_MS;
    snprintf(agent->account, sizeof agent->account, "%s", account);
    if (!load_file(account, "ca.pem", &agent->ca, fault) ||
        !load_file(account, "agent.pem", &agent->certificate, fault) ||
        !load_file(account, "agent.key", &agent->key, fault)) {
        return false;
    }
    struct rpc_client_options options = {
        .target = request.address,
        .authority = "localhost",
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = {buffer_span(&agent->ca), buffer_span(&agent->certificate),
                        buffer_span(&agent->key)},
        .callbacks = &callbacks,
        .context = agent,
    };
    return rpc_client_create(&options, &agent->client, fault);
}

static bool make_agents(struct agent *agents, size_t *count, struct fault *fault) {
    DIR *folder = opendir(request.folder);
    if (folder == NULL) return fault_set(fault, FAULT_INPUT, "--folder: cannot open it");
    const struct dirent *entry;
    bool good = true;
    *count = 0;
    while (good && *count < AGENTS_MAX && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        good = make_agent(&agents[*count], *count, entry->d_name, fault);
        *count += 1;
    }
    closedir(folder);
    return good;
}

static bool take_option(const char *argument) {
    const char *value = strchr(argument, '=');
    if (value == NULL) return false;
    value++;
    if (strncmp(argument, "--address=", 10) == 0) {
        request.address = value;
    } else if (strncmp(argument, "--folder=", 9) == 0) {
        request.folder = value;
    } else if (strncmp(argument, "--rate=", 7) == 0) {
        request.rate = (uint32_t)strtoul(value, NULL, 10);
    } else if (strncmp(argument, "--seconds=", 10) == 0) {
        request.seconds = (uint32_t)strtoul(value, NULL, 10);
    } else if (strncmp(argument, "--threads=", 10) == 0) {
        request.threads = (uint32_t)strtoul(value, NULL, 10);
    } else if (strncmp(argument, "--regions=", 10) == 0) {
        request.regions = (uint32_t)strtoul(value, NULL, 10);
    } else if (strncmp(argument, "--answers=", 10) == 0) {
        request.answers = fopen(value, "w");
        if (request.answers == NULL) return false;
        setvbuf(request.answers, NULL, _IOLBF, 0);
    } else if (strncmp(argument, "--backlog=", 10) == 0) {
        request.backlog = (uint32_t)strtoul(value, NULL, 10);
    } else {
        return false;
    }
    return true;
}

static void print_second(uint32_t second) {
    uint64_t answers = atomic_exchange(&totals.answers, 0);
    uint64_t sum_ms = atomic_exchange(&totals.latency_ms, 0);
    printf("second %u streaming %u sent %llu acknowledged %llu ended %llu latency_ms %" PRIu64
           " worst_ms %llu\n",
           second, atomic_load(&totals.streaming), atomic_load(&totals.sent),
           atomic_load(&totals.acknowledged), atomic_load(&totals.ended),
           answers == 0 ? 0 : sum_ms / answers, atomic_exchange(&totals.worst_ms, 0));
    fflush(stdout);
}

int main(int argc, char **argv) {
    static struct agent agents[AGENTS_MAX];
    static struct worker workers[THREADS_MAX];
    struct fault fault = {.kind = FAULT_NONE};
    bool good = true;
    for (int index = 1; index < argc; index++) good = good && take_option(argv[index]);
    if (!good || request.address == NULL || request.folder == NULL || request.rate == 0 ||
        request.threads == 0 || request.threads > THREADS_MAX || request.regions == 0 ||
        request.regions > REGIONS_MAX) {
        fprintf(stderr,
                "usage: agents_bench --address=HOST:PORT --folder=DIR [--rate=N]"
                " [--seconds=N] [--threads=N] [--regions=N] [--backlog=N]"
                " [--answers=FILE]\n");
        return 2;
    }
    size_t count;
    if (!rpc_init(&fault) || !make_agents(agents, &count, &fault)) {
        fprintf(stderr, "agents_bench: %s\n", fault.text);
        return 1;
    }
    began_ms = now_ms();
    began_s = time(NULL);
    for (uint32_t index = 0; index < request.threads; index++) {
        size_t first = count * index / request.threads;
        workers[index].agents = &agents[first];
        workers[index].count = count * (index + 1) / request.threads - first;
        int status = pthread_create(&workers[index].thread, NULL, run_worker, &workers[index]);
        assert(status == 0);
    }
    for (uint32_t second = 1; second <= request.seconds; second++) {
        struct timespec pause = {1, 0};
        nanosleep(&pause, NULL);
        print_second(second);
    }
    atomic_store(&totals.is_over, true);
    for (uint32_t index = 0; index < request.threads; index++) {
        pthread_join(workers[index].thread, NULL);
    }
    // The streams and their memory go with the process.
    fflush(stdout);
    _Exit(0);
}
