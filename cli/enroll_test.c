// init and enroll, by running them and asking openssl about what they made.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/cases.h"
#include "tests/kit/program.h"

static const char *orgtrail;
static const char *collector;
static const char *agent;
static struct program_result result;

static const char *make_organization(void) {
    const char *folder = program_path("%s/org", program_folder());
    program_run(&result, orgtrail, "init", folder, "--organization", "o-exampleorg1",
                "--management-account", "111111111111", "--collector", "audit.example.com:7000",
                "--account", "222222222222=Payments: \"EU\"", "--account", "333333333333", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    return folder;
}

static unsigned mode_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void assert_verified(const char *folder, const char *purpose, const char *certificate) {
    program_run(&result, "openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                program_path("%s/ca/ca.pem", folder), certificate, NULL);
    assert_int_equal(result.code, 0);
}

static bool certificate_has(const char *certificate, const char *text) {
    program_run(&result, "openssl", "x509", "-noout", "-text", "-in", certificate, NULL);
    assert_int_equal(result.code, 0);
    return program_has(result.output, text);
}

static void test_init_makes_an_organization(void **state) {
    (void)state;
    const char *folder = make_organization();
    assert_true(program_has(result.output, "orgtrail enroll"));
    assert_int_equal(mode_of(program_path("%s/ca", folder)), 0700);
    assert_int_equal(mode_of(program_path("%s/ca/ca.key", folder)), 0600);
    assert_int_equal(mode_of(program_path("%s/collector/collector.key", folder)), 0600);
    assert_int_equal(mode_of(program_path("%s/collector/secret.key", folder)), 0600);
    assert_int_equal(mode_of(program_path("%s/store", folder)), 0750);
    const char *certificate = program_path("%s/collector/collector.pem", folder);
    assert_verified(folder, "sslserver", certificate);
    assert_true(certificate_has(certificate, "DNS:audit.example.com"));
    assert_true(certificate_has(certificate, "DNS:localhost"));
    const char *config = program_read(program_path("%s/collector/collector.yaml", folder));
    assert_true(program_has(config, "id: \"o-exampleorg1\""));
    assert_true(program_has(config, "listen: 0.0.0.0:7000"));
    assert_true(program_has(config, "    - {id: \"111111111111\", name: \"management\"}\n"));
    assert_true(program_has(config, "name: \"Payments: \\\"EU\\\"\"}"));
}

static void test_init_puts_the_store_elsewhere(void **state) {
    (void)state;
    const char *base = program_folder();
    const char *folder = program_path("%s/org", base);
    const char *store = program_path("%s/trail", base);
    program_run(&result, orgtrail, "init", folder, "--organization", "o-exampleorg1",
                "--management-account", "111111111111", "--store", store, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(mode_of(store), 0750);
    struct stat status;
    assert_int_equal(stat(program_path("%s/store", folder), &status), -1);
    const char *config = program_read(program_path("%s/collector/collector.yaml", folder));
    assert_true(program_has(config, program_path("directory: \"%s\"", store)));
    program_run(&result, orgtrail, "enroll", folder, "--account", "111111111111", "--spool",
                "/var/lib/spool", NULL);
    assert_string_equal(result.errors, "");
    const char *agent_config =
        program_read(program_path("%s/agents/111111111111/agent.yaml", folder));
    assert_true(program_has(agent_config, "spool:\n  directory: \"/var/lib/spool\"\n"));
}

static void test_init_overwrites_nothing(void **state) {
    (void)state;
    const char *folder = make_organization();
    char *key = strdup(program_read(program_path("%s/ca/ca.key", folder)));
    program_run(&result, orgtrail, "init", folder, "--organization", "o-other",
                "--management-account", "111111111111", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "holds an organization already"));
    assert_string_equal(program_read(program_path("%s/ca/ca.key", folder)), key);
    free(key);
}

// Appends text to a file.
static void append(const char *path, const char *text) {
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_the_collector_takes_what_init_makes(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *config = program_path("%s/collector/collector.yaml", folder);
    program_run(&result, collector, "--check", "--config", config, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "3 accounts"));
    // What the collector knows beyond what init writes does not disturb enroll, and enroll's edit
    // does not disturb the collector.
    append(config, "heartbeat_ms: 5000\nfuture_max_hours: 48\nstreams_max: 100\n");
    program_run(&result, orgtrail, "enroll", folder, "--account", "444444444444", "--add", NULL);
    assert_string_equal(result.errors, "");
    program_run(&result, collector, "--check", "--config", config, NULL);
    assert_string_equal(result.errors, "");
    assert_true(program_has(result.output, "4 accounts"));
    append(config, "nonsense: 1\n");
    program_run(&result, orgtrail, "enroll", folder, "--all", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "collector.yaml: line "));
    assert_true(program_has(result.errors, "nonsense"));
}

static void test_the_agent_takes_what_enroll_makes(void **state) {
    (void)state;
    const char *folder = make_organization();
    static const char *const sources[][3] = {
        {NULL},
        {"--source=directory:/", "--source", "lines=tail:/dev/null"},
        {"--source=tail:-", NULL},
    };
    for (size_t index = 0; index < 3; index++) {
        program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--agent",
                    program_path("a%zu", index), sources[index][0], sources[index][1],
                    sources[index][2], NULL);
        assert_int_equal(result.code, 0);
        program_run(&result, agent, "--check", "--config",
                    program_path("%s/agents/222222222222_a%zu/agent.yaml", folder, index), NULL);
        if (result.code != 0) fail_msg("%s", result.errors);
        assert_true(program_has(result.output, index == 1 ? "2 sources\n" : "1 source\n"));
    }
}

static void test_enroll_says_what_the_agent_reads(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", NULL);
    assert_true(program_has(result.output, "no --source: before the agent starts set"));
    program_run(&result, orgtrail, "enroll", folder, "--account", "333333333333", "--source",
                "tail:./here.ndjson", "--source", "tail:-", "--source", "directory:/data", NULL);
    assert_int_equal(result.code, 0);
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_true(program_has(result.output, program_path("  reads %s/here.ndjson on", here)));
    assert_false(program_has(result.output, "reads /data"));
    const char *config = program_read(program_path("%s/agents/333333333333/agent.yaml", folder));
    assert_true(program_has(config, program_path("path: \"%s/here.ndjson\"", here)));
    assert_true(program_has(config, "path: \"-\""));
}

static void test_enroll_account_region_agent(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--region",
                "eu-west-1", "--agent", "web", "--days", "30", "--source",
                "logs=tail:/var/log/audit.log", "--source", "directory:/data", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    const char *bundle = program_path("%s/agents/222222222222_eu-west-1_web", folder);
    assert_verified(folder, "sslclient", program_path("%s/agent.pem", bundle));
    assert_true(certificate_has(
        program_path("%s/agent.pem", bundle),
        "URI:spiffe://o-exampleorg1/account/222222222222/region/eu-west-1/agent/web"));
    assert_int_equal(mode_of(program_path("%s/agent.key", bundle)), 0600);
    assert_int_equal(mode_of(bundle), 0700);
    const char *config = program_read(program_path("%s/agent.yaml", bundle));
    assert_true(program_has(config, "address: \"audit.example.com:7000\""));
    assert_true(program_has(config, "name: \"audit.example.com\""));
    assert_true(program_has(
        config, "name: \"logs\"\n    kind: \"tail\"\n    path: \"/var/log/audit.log\""));
    assert_true(
        program_has(config, "name: \"directory2\"\n    kind: \"directory\"\n    path: \"/data\""));
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--region",
                "eu-west-1", "--agent", "web", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "--renew"));
}

// A certificate for a region that was mistyped would only show in quarantine.
static void test_regions_that_nobody_knows_are_told(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--region",
                "eu-wst-1", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.errors, "WARNING: region eu-wst-1 is none of AWS's"));
    assert_true(program_has(result.errors, "most like it is eu-west-1\n"));
    // A private cloud says in its roster what its regions are called.
    const char *config = program_path("%s/collector/collector.yaml", folder);
    program_run(&result, "sed", "-i",
                "s/id: \"333333333333\",/id: \"333333333333\", regions: [basement, attic],/",
                config, NULL);
    assert_int_equal(result.code, 0);
    for (unsigned account = 2; account <= 3; account++) {
        const char *id = account == 2 ? "222222222222" : "333333333333";
        program_run(&result, orgtrail, "enroll", folder, "--account", id, "--region", "basement",
                    NULL);
        assert_string_equal(result.errors, "");
        assert_int_equal(result.code, 0);
    }
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--region",
                "atic", NULL);
    assert_true(program_has(result.errors, "most like it is attic\n"));
    const char *other = program_path("%s/other", program_folder());
    program_run(&result, orgtrail, "init", other, "--organization", "o-other1",
                "--management-account", "111111111111", "--home-region", "us-esat-1", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.errors, "WARNING: region us-esat-1 is none of AWS's"));
}

static void test_enroll_organization_and_all(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--organization", "--agent", "bucket", NULL);
    assert_int_equal(result.code, 0);
    const char *certificate = program_path("%s/agents/organization_bucket/agent.pem", folder);
    assert_verified(folder, "sslclient", certificate);
    assert_true(
        certificate_has(certificate, "URI:spiffe://o-exampleorg1/organization/agent/bucket"));

    program_run(&result, orgtrail, "enroll", folder, "--all", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "3 of 3 accounts"));
    assert_verified(folder, "sslclient", program_path("%s/agents/333333333333/agent.pem", folder));
    program_run(&result, orgtrail, "enroll", folder, "--all", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "0 of 3 accounts"));
}

static void test_enroll_refuses_strangers_and_adds_them(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--account", "444444444444", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "- {id: \"444444444444\", name: \"444444444444\"}"));
    program_run(&result, orgtrail, "enroll", folder, "--account", "444444444444", "--add", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    const char *config = program_read(program_path("%s/collector/collector.yaml", folder));
    assert_true(program_has(config, "- {id: \"444444444444\", name: \"444444444444\"}"));
    assert_true(program_has(config, "# The collector's config."));
    program_run(&result, orgtrail, "enroll", folder, "--account", "333333333333", NULL);
    assert_int_equal(result.code, 0);
}

static void test_enroll_signs_a_request(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *key = program_path("%s/own.key", folder);
    const char *csr = program_path("%s/own.csr", folder);
    program_run(&result, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr, "-subj",
                "/CN=anything", NULL);
    assert_int_equal(result.code, 0);
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--csr", csr,
                NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    const char *bundle = program_path("%s/agents/222222222222", folder);
    assert_verified(folder, "sslclient", program_path("%s/agent.pem", bundle));
    struct stat status;
    assert_int_equal(stat(program_path("%s/agent.key", bundle), &status), -1);
    program_run(&result, orgtrail, "enroll", folder, "--account", "333333333333", "--csr",
                program_path("%s/organization.yaml", folder), NULL);
    assert_int_equal(result.code, 2);
}

static void test_enroll_tar_and_renew(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *out = program_path("%s/out", folder);
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--tar", "--out",
                out, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    const char *tar = program_path("%s/222222222222.tar", out);
    assert_int_equal(mode_of(tar), 0600);
    program_run(&result, "tar", "-xf", tar, "-C", out, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    const char *bundle = program_path("%s/222222222222", out);
    assert_verified(folder, "sslclient", program_path("%s/agent.pem", bundle));
    assert_int_equal(mode_of(program_path("%s/agent.key", bundle)), 0600);

    char *before = strdup(program_read(program_path("%s/agent.pem", bundle)));
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--renew",
                "--out", out, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_verified(folder, "sslclient", program_path("%s/agent.pem", bundle));
    assert_string_not_equal(program_read(program_path("%s/agent.pem", bundle)), before);
    free(before);
    program_run(&result, orgtrail, "enroll", folder, "--account", "111111111111", "--renew",
                "--out", out, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "nothing to renew"));
}

// The way of many agents: the archives travel and are removed, and still each is renewed.
static void test_agents_whose_archive_has_left_are_renewed(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *agents = program_path("%s/agents", folder);
    program_run(&result, orgtrail, "enroll", folder, "--all", "--tar", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "3 of 3 accounts"));
    const char *issued = program_path("%s/issued/222222222222.pem", folder);
    char *before = strdup(program_read(issued));
    assert_false(program_has(before, "PRIVATE"));
    const char *tar = program_path("%s/222222222222.tar", agents);
    assert_int_equal(remove(tar), 0);
    program_run(&result, orgtrail, "enroll", folder, "--all", "--tar", NULL);
    assert_true(program_has(result.output, "0 of 3 accounts"));
    struct stat status;
    assert_int_equal(stat(tar, &status), -1);

    program_run(&result, orgtrail, "ca", folder, "--replace", NULL);
    assert_int_equal(result.code, 0);
    program_run(&result, orgtrail, "enroll", folder, "--server", NULL);
    assert_int_equal(result.code, 0);
    program_run(&result, orgtrail, "ca", folder, "--finish", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "3 of 3 agents have a certificate of the old CA"));
    assert_true(program_has(result.errors, "222222222222"));

    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--renew", NULL);
    assert_string_equal(result.errors, "");
    assert_string_not_equal(program_read(issued), before);
    free(before);
    program_run(&result, "tar", "-xf", tar, "-C", agents, NULL);
    assert_int_equal(result.code, 0);
    assert_verified(folder, "sslclient", program_path("%s/222222222222/agent.pem", agents));
    assert_int_equal(mode_of(program_path("%s/222222222222/agent.key", agents)), 0600);
    // The agent's own config stays when it is unpacked over the old one.
    assert_int_equal(stat(program_path("%s/222222222222/agent.yaml", agents), &status), -1);
    program_run(&result, orgtrail, "ca", folder, "--finish", NULL);
    assert_true(program_has(result.errors, "2 of 3 agents have a certificate of the old CA"));

    program_run(&result, orgtrail, "enroll", folder, "--all", "--renew", "--tar", NULL);
    assert_string_equal(result.errors, "");
    assert_true(program_has(result.output, "3 bundles in"));
    program_run(&result, orgtrail, "ca", folder, "--finish", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "3 of 3 agents enrolled here"));
}

// A key that was made elsewhere is not replaced by one that was made here.
static void test_an_archive_without_its_key_keeps_it(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *key = program_path("%s/own.key", folder);
    const char *csr = program_path("%s/own.csr", folder);
    program_run(&result, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr, "-subj",
                "/CN=anything", NULL);
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--tar", "--csr",
                csr, NULL);
    assert_string_equal(result.errors, "");
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", "--renew",
                "--tar", NULL);
    assert_string_equal(result.errors, "");
    const char *tar = program_path("%s/agents/222222222222.tar", folder);
    program_run(&result, "tar", "-tf", tar, NULL);
    assert_string_equal(result.output, "222222222222/ca.pem\n222222222222/agent.pem\n");
    program_run(&result, "tar", "-xf", tar, "-C", folder, NULL);
    program_run(&result, "openssl", "pkey", "-in", key, "-pubout", NULL);
    char *expected = strdup(result.output);
    program_run(&result, "openssl", "x509", "-noout", "-pubkey", "-in",
                program_path("%s/222222222222/agent.pem", folder), NULL);
    assert_string_equal(result.output, expected);
    free(expected);
}

static bool is_there(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

static void test_an_agent_is_retired(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--all", NULL);
    assert_int_equal(result.code, 0);
    program_run(&result, orgtrail, "enroll", folder, "--account", "111111111111", "--region",
                "eu-west-1", "--tar", NULL);
    assert_int_equal(result.code, 0);

    program_run(&result, orgtrail, "enroll", folder, "--retire",
                "spiffe://o-exampleorg1/account/222222222222", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(
        result.output, "orgtrail deny add spiffe://o-exampleorg1/account/222222222222 retired"));
    assert_true(program_has(result.output,
                            "orgtrail agent forget spiffe://o-exampleorg1/account/222222222222"));
    assert_false(is_there(program_path("%s/issued/222222222222.pem", folder)));
    assert_false(is_there(program_path("%s/agents/222222222222", folder)));

    program_run(&result, orgtrail, "enroll", folder, "--retire", "111111111111_eu-west-1", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "/account/111111111111/region/eu-west-1:"));
    assert_false(is_there(program_path("%s/agents/111111111111_eu-west-1.tar", folder)));
    assert_true(is_there(program_path("%s/agents/111111111111/agent.key", folder)));

    // What is not the bundle's stays, but nobody connects with it.
    assert_int_equal(mkdir(program_path("%s/agents/333333333333/spool", folder), 0700), 0);
    program_run(&result, orgtrail, "enroll", folder, "--retire", "333333333333", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "333333333333 holds more than a bundle"));
    assert_true(is_there(program_path("%s/agents/333333333333/spool", folder)));
    assert_false(is_there(program_path("%s/agents/333333333333/agent.key", folder)));

    program_run(&result, orgtrail, "enroll", folder, "--all", "--renew", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "1 bundle in"));
    program_run(&result, orgtrail, "ca", folder, NULL);
    assert_true(program_has(result.output, "1 of 1 agent"));

    static const char *const strangers[] = {"222222222222", "spiffe://o-exampleorg2/account/1",
                                            "spiffe://o-other/account/111111111111", "../ca", ""};
    for (size_t index = 0; index < sizeof strangers / sizeof strangers[0]; index++) {
        program_run(&result, orgtrail, "enroll", folder, "--retire", strangers[index], NULL);
        assert_int_equal(result.code, 2);
        assert_string_equal(result.output, "");
    }
    assert_true(is_there(program_path("%s/agents/111111111111/agent.key", folder)));
}

// Nobody would accept a certificate for longer than the CA that signed it.
static void test_no_certificate_outlives_its_ca(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "ca", folder, "--replace", "--days", "30", NULL);
    assert_int_equal(result.code, 0);
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.errors, "WARNING: not good for 397 days"));
    assert_true(program_has(result.errors, "orgtrail ca"));
    assert_true(program_has(result.output, "30 days") || program_has(result.output, "29 days"));
    program_run(&result, "openssl", "x509", "-noout", "-checkend", "2592001", "-in",
                program_path("%s/agents/222222222222/agent.pem", folder), NULL);
    assert_int_equal(result.code, 1);
    program_run(&result, orgtrail, "enroll", folder, "--account", "333333333333", "--days", "20",
                NULL);
    assert_string_equal(result.errors, "");
    assert_true(program_has(result.output, "20 days"));
}

// A file that is missing is named with what makes it.
static void test_a_missing_certificate_names_the_next_step(void **state) {
    (void)state;
    const char *folder = make_organization();
    program_run(&result, orgtrail, "enroll", folder, "--account", "222222222222", NULL);
    assert_int_equal(result.code, 0);
    const struct {
        const char *file;
        const char *advice;
    } cases[] = {
        {"agents/222222222222/ca.pem", "a renewed bundle has it"},
        {"agents/222222222222/agent.pem", "enroll ORGANIZATION --account ID --renew"},
        {"agents/222222222222/agent.key", "enroll ORGANIZATION --account ID --renew"},
        {"collector/ca.pem", "ca/ca.pem of the organization's folder"},
        {"collector/collector.pem", "enroll ORGANIZATION --server"},
        {"collector/collector.key", "enroll ORGANIZATION --server"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        bool is_agent = index < 3;
        const char *path = program_path("%s/%s", folder, cases[index].file);
        const char *aside = program_path("%s.aside", path);
        const char *config = program_path(
            is_agent ? "%s/agents/222222222222/agent.yaml" : "%s/collector/collector.yaml", folder);
        assert_int_equal(rename(path, aside), 0);
        program_run(&result, is_agent ? agent : collector, "--check", "--config", config, NULL);
        assert_int_equal(result.code, 2);
        if (!program_has(result.errors, "does not exist: ") ||
            !program_has(result.errors, cases[index].advice)) {
            fail_msg("%s: %s", cases[index].file, result.errors);
        }
        assert_int_equal(rename(aside, path), 0);
    }
}

static void test_server_certificate_is_renewed(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *certificate = program_path("%s/collector/collector.pem", folder);
    char *before = strdup(program_read(certificate));
    program_run(&result, orgtrail, "enroll", folder, "--server", NULL);
    assert_int_equal(result.code, 0);
    assert_string_not_equal(program_read(certificate), before);
    free(before);
    assert_true(program_has(result.output, "renewed, 397 days, until 20"));
    assert_verified(folder, "sslserver", certificate);
    assert_true(certificate_has(certificate, "DNS:audit.example.com"));
}

// Each line is refused with exit code 2 and says this.
static void test_wrong_arguments(void **state) {
    (void)state;
    const char *folder = make_organization();
    const char *fresh = program_path("%s/fresh", folder);
    static const char *const cases[][8] = {
        {"Try \"orgtrail help\"", "frobnicate"},
        {"did you mean \"enroll\"", "enrol"},
        {"did you mean \"init\"", "innit"},
        {"unknown command \"check\"\nTry", "check"},
        {"DIR is missing", "init"},
        {"--organization is missing", "init", "FRESH", "--management-account", "1"},
        {"--management-account is missing", "init", "FRESH", "--organization", "o-x"},
        {"must be \"o-\"", "init", "FRESH", "--organization=x", "--management-account=1x"},
        {"management account \"1/2\"", "init", "FRESH", "--organization=o-x",
         "--management-account=1/2"},
        {"account \"1111\": an AWS account has 12 digits, this has 4", "init", "FRESH",
         "--organization=o-x", "--management-account=1111"},
        {"account \"1111\": an AWS account has 12 digits, this has 4", "enroll", "ORG",
         "--account=1111"},
        {"account abc is not in the roster, and no AWS account, which has 12 digits", "enroll",
         "ORG", "--account=abc"},
        {"is given twice", "init", "FRESH", "--organization=o-x", "--management-account=1x",
         "--account=2x", "--account=2x"},
        {"the id stands first, as in 222222222222=shop", "init", "FRESH", "--organization=o-x",
         "--management-account=1x", "--account=shop=222222222222"},
        {"must be HOST", "init", "FRESH", "--organization=o-x", "--management-account=1x",
         "--collector=a:b:c"},
        {"must begin with /", "init", "FRESH", "--organization=o-x", "--management-account=1x",
         "--store=here"},
        {"there is no user \"nobody-has-this\"", "init", "FRESH", "--organization=o-x",
         "--management-account=1x", "--user=nobody-has-this"},
        {"region \"EU\"", "init", "FRESH", "--organization=o-x", "--management-account=1x",
         "--home-region=EU"},
        {"one folder only", "init", "FRESH", "other", "--organization=o-x"},
        {"unrecognized option", "init", "--frob"},
        {"DIR is missing", "enroll", "--all"},
        {"one of --account", "enroll", "ORG"},
        {"one of --account", "enroll", "ORG", "--all", "--organization"},
        {"--region needs --account", "enroll", "ORG", "--organization", "--region", "eu-west-1"},
        {"--days 0", "enroll", "ORG", "--all", "--days", "0"},
        {"--days 9999", "enroll", "ORG", "--all", "--days", "9999"},
        {"KIND:PATH", "enroll", "ORG", "--all", "--source", "nonsense"},
        {"must be directory or tail", "enroll", "ORG", "--all", "--source", "pipe:/x"},
        {"holds no organization", "enroll", "FRESH", "--all"},
        {"agent \"a/b\"", "enroll", "ORG", "--organization", "--agent", "a/b"},
        {"renews a folder in place", "enroll", "ORG", "--tar", "--renew=FRESH"},
        {"nothing to renew", "enroll", "ORG", "--all", "--renew"},
        {"nothing to renew", "enroll", "ORG", "--all", "--renew", "--tar"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const char *arguments[7] = {0};
        for (size_t column = 0; column < 7; column++) {
            const char *argument = cases[index][column + 1];
            if (argument != NULL && strcmp(argument, "ORG") == 0) argument = folder;
            if (argument != NULL && strcmp(argument, "FRESH") == 0) argument = fresh;
            arguments[column] = argument;
        }
        program_run(&result, orgtrail, arguments[0], arguments[1], arguments[2], arguments[3],
                    arguments[4], arguments[5], arguments[6], NULL);
        assert_true(program_has(result.errors, cases[index][0]));
        assert_string_equal(result.output, "");
        assert_int_equal(result.code, 2);
    }
    struct stat status;
    assert_int_equal(stat(fresh, &status), -1);
}

static void test_help_and_version(void **state) {
    (void)state;
    program_run(&result, orgtrail, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "usage: orgtrail COMMAND"));
    program_run(&result, orgtrail, "--help", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "enroll"));
    program_run(&result, orgtrail, "help", "enroll", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "Usage: orgtrail enroll"));
    program_run(&result, orgtrail, "init", "--help", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "--management-account"));
    program_run(&result, orgtrail, "version", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "orgtrail 0."));
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    orgtrail = argv[1];
    collector = argv[2];
    agent = argv[3];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_makes_an_organization),
        cmocka_unit_test(test_init_puts_the_store_elsewhere),
        cmocka_unit_test(test_init_overwrites_nothing),
        cmocka_unit_test(test_the_collector_takes_what_init_makes),
        cmocka_unit_test(test_the_agent_takes_what_enroll_makes),
        cmocka_unit_test(test_enroll_says_what_the_agent_reads),
        cmocka_unit_test(test_enroll_account_region_agent),
        cmocka_unit_test(test_regions_that_nobody_knows_are_told),
        cmocka_unit_test(test_enroll_organization_and_all),
        cmocka_unit_test(test_enroll_refuses_strangers_and_adds_them),
        cmocka_unit_test(test_enroll_signs_a_request),
        cmocka_unit_test(test_enroll_tar_and_renew),
        cmocka_unit_test(test_agents_whose_archive_has_left_are_renewed),
        cmocka_unit_test(test_an_archive_without_its_key_keeps_it),
        cmocka_unit_test(test_an_agent_is_retired),
        cmocka_unit_test(test_no_certificate_outlives_its_ca),
        cmocka_unit_test(test_a_missing_certificate_names_the_next_step),
        cmocka_unit_test(test_server_certificate_is_renewed),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_help_and_version),
    };
    return cases_run("enroll_test", tests, sizeof tests / sizeof tests[0]);
}
